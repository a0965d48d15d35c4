"""What a trained codec is, in plain values: what files say of it, and what rebuilds its network."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lic.codecs.base import CodecInfo
from lic.errors import UserError
from lic.losses import check_distortion, check_lambda
from lic.models import CompressionModel, describe_model

_LONGEST_TEXT = 1000


def is_plain(value: object) -> bool:
    """Whether people can be shown a value as it is: a number, or text without control characters."""
    if isinstance(value, str):
        return value.isprintable() and len(value) <= _LONGEST_TEXT
    return value is None or (isinstance(value, int | float) and abs(value) < 1e18)


def model_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """The keywords of `lic.models.build_model` in a run's configuration."""
    return {key: value for key, value in config["model"].items() if key != "_target_"}


@dataclass(frozen=True)
class Description:
    """What tells one trained codec from others.

    ``model`` are the keywords of `lic.models.build_model`, ``variant`` says what else a sweep varied.
    """

    model: dict[str, Any]
    lmbda: float
    distortion: str
    variant: str

    @classmethod
    def parse(cls, source: Any) -> "Description":
        """Read it from a run's configuration, or from what `plain` gave.

        Raises:
            UserError: it has something else than plain values, or lacks some.
        """
        try:
            model = model_options(source)
            lmbda, distortion, variant = source["lambda"], source["distortion"], source.get("variant") or ""
            values = [*model, *model.values(), lmbda, distortion, variant]
            texts = [*model, model["name"], distortion, variant]
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError("It does not describe its model.") from error
        if not all(map(is_plain, values)) or not all(isinstance(text, str) for text in texts):
            raise UserError("It does not describe its model.")
        return cls(model, check_lambda(lmbda), check_distortion(distortion), variant)

    def plain(self) -> dict[str, Any]:
        """What `parse` reads, for JSON."""
        return {
            "model": self.model,
            "lambda": self.lmbda,
            "distortion": self.distortion,
            "variant": self.variant,
        }

    def info(self, net: CompressionModel) -> CodecInfo:
        """What reports call the codec."""
        variant = f", {self.variant}" if self.variant else ""  # makes another curve
        return CodecInfo(
            curve=f"{describe_model(**self.model)} ({self.distortion}{variant})",
            setting=f"λ = {self.lmbda:g}",
            learned=True,
            model=self.model["name"],
            options={key: value for key, value in self.model.items() if key != "name"},
            objective={"lambda": self.lmbda, "distortion": self.distortion},
            parameters=sum(p.numel() for p in net.parameters()),
        )
