"""The measures of decoded images: each is declared once, and all that shows measures follows.

Rows and means of ``test.json``, columns of ``rd.csv`` and of tables, curves and captions of reports, W&B's
tables and the choices of rate control are made of `all_measures`.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from torch import Tensor

from lic import plugins
from lic.errors import UserError
from lic.metrics.quality import MS_SSIM_MIN_SIDE, SSIM_MIN_SIDE, ms_ssim, ms_ssim_db, psnr, ssim


@dataclass(frozen=True)
class Measure:
    """A number per image: what two images are to each other, or what another measure says otherwise.

    ``function`` takes two uint8 batches ``[N, C, H, W]`` of equal shape and gives a float tensor ``[N]``;
    that of a derived measure, which names its base in ``of``, takes the values ``[N]`` of the base. It gives
    NaN where the measure is not defined, as for images with a side below ``smallest_side``. No value is below
    ``lowest``, by which forged files are told.

    People read ``title``, ``unit``, ``digits`` after the point, and in reports the sentence ``note``. An
    ``axis`` is drawn against the rate and has BD-rates. The console's ``table`` of points has a column of it,
    and the ``caption`` of a picture its value.

    In a sum, as rate control maximises it, no value counts more than ``cap``: what is inf for an image
    without any loss needs one. ``pooled`` gives, from the values of images and their numbers of pixels, what
    the measure is of all pixels together, which then stands beside the mean.
    """

    name: str
    title: str
    function: Callable[..., Tensor]
    of: str | None = None
    unit: str = ""
    digits: int = 4
    higher_is_better: bool = True
    smallest_side: int = 1
    lowest: float = -math.inf
    cap: float = math.inf
    axis: bool = True
    table: bool = True
    caption: bool = True
    note: str = ""
    pooled: Callable[[Sequence[float], Sequence[int]], float] | None = None

    @property
    def axis_title(self) -> str:
        """The title with the unit, and which way is better if that is not up."""
        unit = f" ({self.unit})" if self.unit else ""
        return f"{self.title}{unit}{'' if self.higher_is_better else ', lower is better'}"

    @property
    def averages(self) -> dict[str, str]:
        """The averages over a set of images: names, as of ``rd.csv``'s columns, and headings."""
        mean = {self.name: self.title}
        return mean | {f"{self.name}_pooled": "Pooled"} if self.pooled else mean


def _pooled_psnr(values: Sequence[float], pixels: Sequence[int]) -> float:
    """Of the squared error of all pixels; inf without an error, NaN without an image."""
    error = math.fsum(
        count * 10 ** (-value / 10) for value, count in zip(values, pixels, strict=True)
    )  # / PEAK²
    if error:
        return 10 * math.log10(sum(pixels) / error)
    return math.inf if values else math.nan


_DECLARED = (
    Measure("psnr", "PSNR", psnr, unit="dB", digits=2, lowest=0, cap=100, pooled=_pooled_psnr),
    Measure("ssim", "SSIM", ssim, smallest_side=SSIM_MIN_SIDE, lowest=-1, axis=False),
    Measure(
        "ms_ssim", "MS-SSIM", ms_ssim, smallest_side=MS_SSIM_MIN_SIDE, lowest=0, axis=False, table=False
    ),
    Measure(
        "ms_ssim_db", "MS-SSIM", ms_ssim_db, of="ms_ssim", unit="dB", digits=2, lowest=0, cap=100,
        smallest_side=MS_SSIM_MIN_SIDE, caption=False, note="MS-SSIM in dB is −10 log₁₀(1 − MS-SSIM).",
    ),
)  # fmt: skip
TAKEN = frozenset({
    "file", "width", "height", "bytes", "bpp", "estimated_bpp", "encode_s", "decode_s", "analysis_s",
    "synthesis_s", "distinct_values", "entropy", "entropy_bpp", "source_bytes", "source_format", "bpp_pooled",
    "gap_percent", "curve", "setting", "model", "parameters", "data", "images", "run",
})  # fmt: skip
"""Columns of rows and tables that are no measures: no measure can be called so."""
MEASURES: dict[str, Measure] = {measure.name: measure for measure in _DECLARED}
"""By name, in the order in which they are shown; a derived one after its base. `register` adds others."""


def all_measures() -> dict[str, Measure]:
    """`MEASURES`, with those that installed packages offer as entry points of ``lic.measures``."""
    _find_installed()
    return MEASURES


@cache
def _find_installed() -> None:
    """When a measure is first asked for, not on import: these packages import what stands above."""
    found = dict(MEASURES)
    rest: list[Measure] = [plugins.load("lic.measures", name) for name in plugins.names("lic.measures")]
    while rest:  # bases first
        names = {measure.name for measure in rest}
        ready = [measure for measure in rest if measure.of not in names] or rest  # a circle is refused
        for measure in ready:
            _add(found, measure)
        rest = [measure for measure in rest if measure not in ready]
    MEASURES.update(found)  # all, or none where one is refused


def register(measure: Measure) -> None:
    """Add a measure, as packages beside lic do.

    Raises:
        UserError: the name is no plain word or is taken, or there is no such base.
    """
    _add(MEASURES, measure)


def _add(table: dict[str, Measure], measure: Measure) -> None:
    taken = {*TAKEN, *(name for known in table.values() for name in (known.name, *known.averages))}
    if not measure.name.isidentifier() or not taken.isdisjoint(measure.averages):
        raise UserError(
            f"A measure cannot be called {measure.name!r}; choose a plain word that is not taken."
        )
    if measure.of is not None and measure.of not in table:
        raise UserError(
            f"The measure {measure.name} is made of {measure.of}, which is none; register that first."
        )
    table[measure.name] = measure


def measure_called(name: str) -> Measure:
    """The measure of a name.

    Raises:
        UserError: there is none.
    """
    if name not in all_measures():
        raise UserError(f"There is no measure {name!r}; choose one of {', '.join(all_measures())}.")
    return all_measures()[name]


def measure_images(x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """All measures of two uint8 batches ``[N, C, H, W]`` of equal shape, each ``[N]``, by name."""
    values: dict[str, Tensor] = {}
    for declared in all_measures().values():
        inputs = (x, y) if declared.of is None else (values[declared.of],)
        values[declared.name] = declared.function(*inputs)
    return values


def axes() -> list[Measure]:
    """The measures that are drawn against the rate."""
    return [declared for declared in all_measures().values() if declared.axis]


def averages(measures: Iterable[Measure] | None = None) -> dict[str, Measure]:
    """The averages of measures, of all by default: names, and the measures that they are of."""
    chosen = all_measures().values() if measures is None else measures
    return {name: declared for declared in chosen for name in declared.averages}
