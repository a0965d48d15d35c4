"""The result of an evaluation: a row per image, their means, and the ``test.json`` that holds them."""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import KW_ONLY, asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_args, get_origin

from lic.atomic import write_text
from lic.codecs.base import CodecInfo
from lic.errors import UserError
from lic.foreign import inside, is_plain_list, is_plain_table, read_json
from lic.metrics.measures import all_measures

__all__ = [
    "INNER",
    "ORIGINALS",
    "PICTURES",
    "RECONSTRUCTIONS",
    "RESULT_FILE",
    "CodecInfo",
    "Result",
    "Row",
    "json_text",
    "kept_picture",
]

RESULT_FILE = "test.json"
PICTURES = ORIGINALS, RECONSTRUCTIONS, INNER = "originals", "reconstructions", "inner"
"""Folders of a run that hold ``<file>.png`` for a few of its rows."""
_LONGEST_TEXT, _LONGEST_KEY, _LARGEST_NUMBER = 10_000, 100, 1e15


@dataclass(frozen=True)
class Row:
    """One image, coded to a file and decoded from it.

    ``file`` is the image's name in its set, without a suffix. ``bpp`` is 8 · bytes of the whole file /
    original pixels. ``estimated_bpp`` is the rate that the model promises; it is NaN where a codec has
    none. ``measures`` compare 8-bit pixels: those of `lic.metrics.measures` by name, NaN where one is not
    defined; those in dB are inf for an image that comes back without any loss. ``encode_s`` and ``decode_s``
    are seconds from pixels to the file's bytes and back; ``analysis_s`` is g_a's part of the one,
    ``synthesis_s`` the time of g_s alone, run again after decoding, each with the conversion of pixels (NaN
    where a codec has none, and in older files).
    """

    file: str
    width: int
    height: int
    bytes: int
    bpp: float
    estimated_bpp: float
    measures: dict[str, float]
    encode_s: float
    decode_s: float
    analysis_s: float = math.nan
    synthesis_s: float = math.nan
    _: KW_ONLY
    distinct_values: float = math.nan
    entropy: float = math.nan
    entropy_bpp: float = math.nan
    source_bytes: float = math.nan
    source_format: str = ""

    def __post_init__(self) -> None:
        assert not self.measures.keys() & _COLUMNS, "a measure has the name of a column"

    def measure(self, name: str) -> float:
        """The value of a measure; NaN where it was not measured, as in older files."""
        return self.measures.get(name, math.nan)

    def plain(self) -> dict[str, Any]:
        """All in one table, as in ``test.json``."""
        return {key: getattr(self, key) for key in _COLUMNS} | self.measures

    @classmethod
    def parse(cls, content: Mapping[str, Any]) -> "Row":
        """What `plain` gave, from JSON; measures that nobody declared here are kept, too."""
        values = {k: v if k in _COLUMNS and k not in _NUMBERS else _from_json(v) for k, v in content.items()}
        columns = {key: values.pop(key) for key in _COLUMNS if key in values}
        return cls(**columns, measures=values)


SYMBOLS = {
    "distinct_values": "Distinct\nvalues",
    "entropy": "Entropy\nbits/value",
    "entropy_bpp": "Entropy\nbpp",
}
"""The columns of rows on a codec's 8-bit values, and what tables call them."""
_COLUMNS = tuple(field.name for field in fields(Row) if field.name != "measures")
_NUMBERS = tuple(field.name for field in fields(Row) if field.type is float)


@dataclass(frozen=True)
class Result:
    """All rows of one codec on one set of images: one point of an R-D curve.

    ``threads`` are those that torch computed with (None in older files).
    """

    codec: CodecInfo
    data: str
    rows: tuple[Row, ...]
    threads: int | None = None

    @property
    def images(self) -> tuple[tuple[str, int, int], ...]:
        """Name and size of every image: two sets of one name are told apart by them."""
        return tuple((row.file, row.width, row.height) for row in self.rows)

    @property
    def mean(self) -> dict[str, float]:
        """Means over images of rates, seconds and every measure, and averages over all pixels of all images.

        ``bpp_pooled`` is the rate of all files together over all pixels, ``psnr_pooled`` the PSNR of the
        squared error of all pixels: the averages of the CLIC challenge, and of the rate control in Cheng et
        al. (2019). Large images, and for PSNR bad ones, weigh more in them.

        In a mean over images NaN is left out, and so is inf: a single image coded without loss (a blank
        page) would make the mean infinite and hide all the others. Where no finite value remains the mean
        is inf if there was one (every image is lossless), else NaN.
        """
        means = {name: _mean([getattr(row, name) for row in self.rows]) for name in _NUMBERS}
        means["bpp_pooled"] = self._pooled_bpp()
        pixels = [row.width * row.height for row in self.rows]
        for name, measure in all_measures().items():
            values = [row.measure(name) for row in self.rows]
            means[name] = _mean(values)
            if measure.pooled:
                means[f"{name}_pooled"] = measure.pooled(values, pixels)
        return means

    @property
    def pixels(self) -> int:
        """Of all images together."""
        return sum(row.width * row.height for row in self.rows)

    def _pooled_bpp(self) -> float:
        return 8 * sum(row.bytes for row in self.rows) / self.pixels if self.rows else math.nan

    def save(self, path: Path) -> None:
        """Write ``test.json`` (NaN as null, inf as the string "Infinity": JSON has neither)."""
        content = {
            "codec": asdict(self.codec),
            "data": self.data,
            "threads": self.threads,
            "mean": self.mean,
            "rows": [row.plain() for row in self.rows],
        }
        write_text(path, json_text(content))

    @classmethod
    def load(cls, path: Path) -> "Result":
        """Read ``test.json`` back, which may be anybody's: every value has its type and a sane size.

        Raises:
            UserError: the file, which it names, is none, or not of its folder.
        """
        try:
            content = read_json(path.parent, path.name)
            if unknown := sorted(content["codec"].keys() - {field.name for field in fields(CodecInfo)}):
                raise ValueError(f"another version of lic wrote it: its codec has {unknown[0]:.99}")
            rows = [Row.parse(row) for row in content["rows"]]
            codec = CodecInfo(**{"moving": ["lambda"]} | content["codec"])  # older files do not say it
            result = cls(codec, content["data"], tuple(rows), content.get("threads"))
            parts: list[CodecInfo | Row] = [result.codec, *rows]
            for part in parts:
                for field in fields(part):
                    _check(field.name, getattr(part, field.name), field.type)
            _check("data", result.data, str)
            _check("threads", result.threads, int | None)
            _check_images(rows)
            return result
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise UserError(
                f"{path} is not a test result of lic ({error!s:.200}); evaluate the run again, or remove it."
            ) from error


def kept_picture(run: Path, kind: str, image: str) -> Path | None:
    """The PNG file that a run keeps of an image in its folder ``kind``, if it does."""
    return inside(run, kind, f"{image}.png")


def json_text(content: Any) -> str:
    """Measures and what goes with them as JSON: NaN as null, inf as the string "Infinity"."""
    return json.dumps(_to_json(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _mean(values: list[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    if finite:
        return math.fsum(finite) / len(finite)
    return next((value for value in values if math.isinf(value)), math.nan)


def _to_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _to_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else f"{'-' * (value < 0)}Infinity"
    return value


def _from_json(value: Any) -> Any:
    if value is None:
        return math.nan
    return float(value) if value in ("Infinity", "-Infinity") else value


def _check(name: str, value: Any, kind: Any) -> None:
    """Whether a value has the type of its field, and a size that can be shown and computed with."""
    if get_origin(kind) is dict:
        if get_args(kind)[1] is float:
            _check_measures(name, value)
        elif not is_plain_table(value):  # what trains can be reported
            raise ValueError(f"{name} is no small table of plain values")
        return
    if get_origin(kind) is list:
        if not is_plain_list(value):
            raise ValueError(f"{name} is no list of names")
        return
    kinds = get_args(kind) or (kind,)
    if type(value) not in (kinds if float not in kinds else (*kinds, int)):  # JSON may leave out the point
        raise TypeError(f"{name} is {type(value).__name__}")
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        raise ValueError(f"{name} is too long")
    lowest = all_measures()[name].lowest if name in all_measures() else -1
    infinite = math.isnan(value) or value in (math.inf, lowest) if kind is float else False
    if isinstance(value, int | float) and not (
        infinite or max(lowest, -_LARGEST_NUMBER) <= value <= _LARGEST_NUMBER
    ):
        raise ValueError(f"{name} is out of range")


def _check_measures(name: str, table: Any) -> None:
    """Plain words and numbers."""
    if type(table) is not dict or len(table) > _LONGEST_KEY:
        raise TypeError(f"{name} is no small table")
    for key, value in table.items():
        if not key.isidentifier() or len(key) > _LONGEST_KEY:
            raise ValueError(f"{name} has {key!r:.99}, which is no name")
        _check(key, value, float)


def _check_images(rows: list[Row]) -> None:
    """Rates and sizes that can be computed with, names that are files of one folder."""
    for row in rows:
        if not (0 < row.bpp < math.inf and row.width >= 1 and row.height >= 1):
            raise ValueError("an image has no size or no rate")
        if Path(row.file).name != row.file or row.file in ("", ".."):
            raise ValueError(f"{row.file!r:.99} is no name of an image")
        if not re.fullmatch(r"\w{0,9}", row.source_format):
            raise ValueError(f"{row.source_format!r:.99} is no format of an image")
    if repeated := [name for name, times in Counter(row.file for row in rows).items() if times > 1]:
        raise ValueError(f"it has several rows of {repeated[0]!r:.99}")
