"""The result of an evaluation: a row per image, their means, and the ``test.json`` that holds them."""

import math
import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from lic.atomic import write_text
from lic.codecs.base import CodecInfo
from lic.evaluation.values import (
    check_fields,
    check_images,
    check_value,
    from_json,
    json_text,
    mean_of,
    means_of,
    read_info,
    reading,
)
from lic.foreign import inside, read_json

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
        values = {k: v if k in _COLUMNS and k not in _NUMBERS else from_json(v) for k, v in content.items()}
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
        means = {name: mean_of([getattr(row, name) for row in self.rows]) for name in _NUMBERS}
        means["bpp_pooled"] = self._pooled_bpp()
        pixels = [row.width * row.height for row in self.rows]
        return means | means_of([row.measures for row in self.rows], pixels)

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
        with reading(path, "test result"):
            content = read_json(path.parent, path.name)
            codec = read_info(content["codec"])
            rows = [Row.parse(row) for row in content["rows"]]
            result = cls(codec, content["data"], tuple(rows), content.get("threads"))
            check_fields(codec, *rows)
            check_value("data", result.data, str)
            check_value("threads", result.threads, int | None)
            if not all(0 < row.bpp < math.inf for row in rows):
                raise ValueError("an image has no rate")
            if odd := [row for row in rows if not re.fullmatch(r"\w{0,9}", row.source_format)]:
                raise ValueError(f"{odd[0].source_format!r:.99} is no format of an image")
            check_images(result.images)
            return result


def kept_picture(run: Path, kind: str, image: str) -> Path | None:
    """The PNG file that a run keeps of an image in its folder ``kind``, if it does."""
    return inside(run, kind, f"{image}.png")
