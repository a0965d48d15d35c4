"""The description of a trained codec in plain values, which files hold and which rebuilds its network."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lic.codecs.base import CodecInfo
from lic.errors import UserError
from lic.foreign import Plain, is_plain_table
from lic.models import Network, describe_model, full_options
from lic.store.objective import Objective


def model_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """The keywords of `lic.models.build_model` in a run's configuration."""
    return {key: value for key, value in config["model"].items() if key != "_target_"}


@dataclass(frozen=True)
class Description:
    """A trained codec in plain values: network, objective, and the rest that tells it from others.

    ``model`` are the keywords of `lic.models.build_model`, ``variant`` are the overrides that a sweep varied.
    """

    model: dict[str, Any]
    objective: Objective
    variant: dict[str, Plain] = field(default_factory=dict)

    @classmethod
    def parse(cls, source: Any, objective: Any) -> "Description":
        """Read it from a run's configuration, or from what `plain` gave.

        Args:
            source: has ``model`` and perhaps ``variant``.
            objective: what `Objective.parse` reads.

        Raises:
            UserError: they have something else than plain values, or lack some.
        """
        try:
            model, variant = model_options(source), source.get("variant") or {}
            if isinstance(variant, str):  # as it was once written
                variant = dict(override.partition("=")[::2] for override in variant.split(", "))
            fits = isinstance(model["name"], str) and is_plain_table(model) and is_plain_table(variant)
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError("It does not describe its model.") from error
        if not fits:
            raise UserError("It does not describe its model.")
        return cls(model, Objective.parse(objective), variant)

    def plain(self) -> dict[str, Any]:
        """The plain values that `parse` reads, for JSON."""
        return {"model": self.model, "objective": self.objective.plain(), "variant": self.variant}

    def info(self, net: Network) -> CodecInfo:
        """Who the codec is, in reports."""
        options, choices = full_options(**self.model), self._other_choices()
        told = [self.objective.curve, *(f"{key}={value}" for key, value in choices.items())]
        others = ", ".join(filter(None, told))
        fixed = {key: value for key, value in self.model.items() if key not in self.objective.moving}
        return CodecInfo(
            curve=describe_model(**fixed) + (f" ({others})" if others else ""),
            setting=self.objective.setting,
            learned=True,
            model=options.pop("name"),
            options=options,
            objective=self.objective.values,
            choices=choices,
            moving=self.objective.moving,
            parameters=sum(p.numel() for p in net.parameters()),
        )

    def _other_choices(self) -> dict[str, Plain]:
        """What a sweep varied besides the model and what moves along its curve: it makes another curve."""
        told = {*self.model, *self.objective.values, *self.objective.moving}
        varied = {key.lstrip("+"): value for key, value in self.variant.items()}
        return {k: v for k, v in varied.items() if k not in told and k.partition(".")[0] != "model"}
