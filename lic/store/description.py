"""The description of a trained codec in plain values, which files hold and which rebuilds its network."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lic.codecs.base import CodecInfo
from lic.errors import UserError
from lic.foreign import is_plain, is_plain_table
from lic.models import CompressionModel, describe_model
from lic.store.objective import Objective


def model_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """The keywords of `lic.models.build_model` in a run's configuration."""
    return {key: value for key, value in config["model"].items() if key != "_target_"}


@dataclass(frozen=True)
class Description:
    """A trained codec in plain values: network, objective, and the rest that tells it from others.

    ``model`` are the keywords of `lic.models.build_model`, ``variant`` says what a sweep varied.
    """

    model: dict[str, Any]
    objective: Objective
    variant: str

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
            model, variant = model_options(source), source.get("variant") or ""
            texts = [model["name"], variant]
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError("It does not describe its model.") from error
        if not (is_plain_table(model) and all(isinstance(text, str) and is_plain(text) for text in texts)):
            raise UserError("It does not describe its model.")
        return cls(model, Objective.parse(objective), variant)

    def plain(self) -> dict[str, Any]:
        """The plain values that `parse` reads, for JSON."""
        return {"model": self.model, "objective": self.objective.plain(), "variant": self.variant}

    def info(self, net: CompressionModel) -> CodecInfo:
        """Who the codec is, in reports."""
        others = ", ".join(filter(None, [self.objective.curve, *self._other_choices()]))
        return CodecInfo(
            curve=describe_model(**self.model) + (f" ({others})" if others else ""),
            setting=self.objective.setting,
            learned=True,
            model=self.model["name"],
            options={key: value for key, value in self.model.items() if key != "name"},
            objective=self.objective.values,
            parameters=sum(p.numel() for p in net.parameters()),
        )

    def _other_choices(self) -> list[str]:
        """What a sweep varied besides the model and what moves along its curve: it makes another curve."""
        told = {"model", *self.model, *self.objective.values}
        swept = [override.lstrip("+") for override in self.variant.split(", ")]
        return [o for o in swept if told.isdisjoint((o.partition("=")[0], o.partition(".")[0]))]
