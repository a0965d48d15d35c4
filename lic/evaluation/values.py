"""What a file of results holds, in JSON and back: numbers, tables of measures, who was measured."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_origin

from lic.codecs.base import CodecInfo
from lic.errors import UserError
from lic.foreign import is_plain_list, is_plain_table
from lic.metrics.measures import all_measures

_LONGEST_TEXT, _LONGEST_KEY, _LARGEST_NUMBER = 10_000, 100, 1e15


def json_text(content: Any) -> str:
    """Measures and what goes with them as JSON: NaN as null, inf as the string "Infinity"."""
    return json.dumps(_to_json(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def mean_of(values: Sequence[float]) -> float:
    """The mean of what is finite; else inf if a value is, else NaN."""
    finite = [value for value in values if math.isfinite(value)]
    if finite:
        return math.fsum(finite) / len(finite)
    return next((value for value in values if math.isinf(value)), math.nan)


def means_of(rows: Sequence[Mapping[str, float]], pixels: Sequence[int]) -> dict[str, float]:
    """The averages of every measure over images of so many ``pixels``: means, and those over all pixels.

    Args:
        rows: the values of each image by measure; a missing one is NaN.
        pixels: of each image.
    """
    means: dict[str, float] = {}
    for name, measure in all_measures().items():
        values = [row.get(name, math.nan) for row in rows]
        means[name] = mean_of(values)
        if measure.pooled:
            means[f"{name}_pooled"] = measure.pooled(values, pixels)
    return means


def _to_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _to_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else f"{'-' * (value < 0)}Infinity"
    return value


def from_json(value: Any) -> Any:
    """A number as `json_text` wrote it."""
    if value is None:
        return math.nan
    return float(value) if value in ("Infinity", "-Infinity") else value


def check_value(name: str, value: Any, kind: Any) -> None:
    """Whether a value has the type of its field, and a size that can be shown and computed with.

    Raises:
        ValueError, TypeError: it has not.
    """
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
        check_value(key, value, float)


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Say in one sentence that a file, which may be anybody's, is no ``kind`` of lic."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise UserError(
            f"{path} is not a {kind} of lic ({error!s:.200}); evaluate the run again, or remove it."
        ) from error


def read_info(content: Mapping[str, Any]) -> CodecInfo:
    """Who was measured, from JSON.

    Raises:
        ValueError, TypeError: it is something else.
    """
    if unknown := sorted(content.keys() - {field.name for field in fields(CodecInfo)}):
        raise ValueError(f"another version of lic wrote it: its codec has {unknown[0]:.99}")
    return CodecInfo(**{"moving": ["lambda"]} | dict(content))  # older files do not say it


def check_fields(*parts: Any) -> None:
    """Whether all fields of dataclasses have their types and sane sizes.

    Raises:
        ValueError, TypeError: one has not.
    """
    for part in parts:
        for field in fields(part):
            check_value(field.name, getattr(part, field.name), field.type)


def check_images(images: Sequence[tuple[str, int, int]]) -> None:
    """Whether these are names, widths and heights of different images, and files of one folder.

    Raises:
        ValueError: they are not.
    """
    for name, width, height in images:
        if width < 1 or height < 1:
            raise ValueError("an image has no size")
        if Path(name).name != name or name in ("", ".."):
            raise ValueError(f"{name!r:.99} is no name of an image")
    if repeated := [name for name, times in Counter(name for name, *_ in images).items() if times > 1]:
        raise ValueError(f"it has several rows of {repeated[0]!r:.99}")
