"""The objective of a training, in plain values."""

from dataclasses import asdict, dataclass, field
from typing import Any

from lic.errors import UserError

_LONGEST_TEXT = 1000


def is_plain(value: object) -> bool:
    """Whether people can be shown a value as it is: a number, or text without control characters."""
    if isinstance(value, str):
        return value.isprintable() and len(value) <= _LONGEST_TEXT
    return value is None or (isinstance(value, int | float) and abs(value) < 1e18)


@dataclass(frozen=True)
class Objective:
    """What a training made smaller: it tells one codec from others of its architecture.

    Args:
        values: what was weighed and how, such as ``{"lambda": 5.0, "distortion": "ms_ssim"}``.
        setting: what moves along an R-D curve, in words ("λ = 5").
        curve: what else is told of a curve besides its model ("ms_ssim"); may be empty.
    """

    values: dict[str, float | int | str] = field(default_factory=dict)
    setting: str = "trained"
    curve: str = ""

    @classmethod
    def rate_distortion(cls, lmbda: float, distortion: str) -> "Objective":
        """J = λ·D + R, see `lic.losses`."""
        return cls({"lambda": float(lmbda), "distortion": distortion}, f"λ = {lmbda:g}", distortion)

    @classmethod
    def parse(cls, source: Any) -> "Objective":
        """Read what `plain` gave, perhaps from a stranger's file.

        Raises:
            UserError: it is something else.
        """
        try:
            made = cls(**source)
            words = [made.setting, made.curve, *made.values]
            plain = all(map(is_plain, [*words, *made.values.values()]))
            if not plain or not all(isinstance(word, str) for word in words):
                raise TypeError("not plain")
        except (TypeError, AttributeError) as error:
            raise UserError("It does not say what it was trained for.") from error
        return made

    def plain(self) -> dict[str, Any]:
        """The plain values that `parse` reads."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.setting} ({self.curve})" if self.curve else self.setting
