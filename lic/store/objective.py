"""The objective of a training, in plain values."""

from dataclasses import asdict, dataclass, field
from typing import Any

from lic.errors import UserError
from lic.foreign import Plain, is_plain, is_plain_list, is_plain_table


@dataclass(frozen=True)
class Objective:
    """What a training made smaller: it tells one codec from others of its architecture.

    Args:
        values: what was weighed and how, such as ``{"lambda": 5.0, "distortion": "ms_ssim"}``.
        setting: the place on an R-D curve, in words ("λ = 5").
        curve: what else is told of a curve besides its model ("ms_ssim"); may be empty.
        moving: the keys of ``values`` that move along a curve.
    """

    values: dict[str, Plain] = field(default_factory=dict)
    setting: str = "trained"
    curve: str = ""
    moving: list[str] = field(default_factory=list)

    @classmethod
    def rate_distortion(cls, lmbda: float, distortion: str) -> "Objective":
        """J = λ·D + R, see `lic.losses`."""
        values: dict[str, Plain] = {"lambda": float(lmbda), "distortion": distortion}
        return cls(values, f"λ = {lmbda:g}", distortion, ["lambda"])

    @classmethod
    def parse(cls, source: Any) -> "Objective":
        """Read what `plain` gave, perhaps from a stranger's file.

        Raises:
            UserError: it is something else.
        """
        try:
            made = cls(**{"moving": ["lambda"]} | source)  # older files do not say it
        except TypeError as error:
            raise UserError("It does not say what it was trained for.") from error
        words = (made.setting, made.curve)
        if not (
            is_plain_table(made.values)
            and all(isinstance(word, str) and is_plain(word) for word in words)
            and is_plain_list(made.moving)
        ):
            raise UserError("It does not say what it was trained for.")
        return made

    def plain(self) -> dict[str, Any]:
        """The plain values that `parse` reads."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.setting} ({self.curve})" if self.curve else self.setting
