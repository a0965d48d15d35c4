"""Codes every image of a set to a file, decodes that file, and measures what came out."""

import math
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from glob import escape
from pathlib import Path

import numpy as np
import torch

from lic.atomic import write_bytes
from lic.codecs.base import Encoded, FileCodec, chosen
from lic.codecs.classical import classical_codec
from lic.console import track
from lic.data import ImageSet, to_batch, write_png
from lic.data.images import Pixels
from lic.drawing.inner import picture
from lic.errors import UserError
from lic.evaluation.result import INNER, ORIGINALS, PICTURES, RECONSTRUCTIONS, RESULT_FILE, Result, Row
from lic.locking import refuse_links
from lic.metrics.measures import measure_images

STREAMS, CLASSICAL = "streams", "classical"
_WRITTEN = (STREAMS, *PICTURES)


class DecodingError(RuntimeError):
    """A decoded file is not the image that its encoder promised: a fault of the codec, never of the user."""


def evaluate(
    codec: FileCodec,
    images: ImageSet,
    folder: Path,
    data: str,
    pictures: Sequence[int] = (),
    progress: bool = True,
) -> Result:
    """Measure ``codec`` on ``images`` and leave the evidence in ``folder``.

    Writes ``streams/``, one complete file per image; for the images of the indexes ``pictures``,
    ``originals/``, ``reconstructions/`` and, if the codec shows anything of its inside, ``inner/``; last,
    ``test.json``.

    Args:
        codec: any codec of files.
        images: the test set.
        folder: where the files go.
        data: what the set is called in reports.
        pictures: the images to keep as PNG.
        progress: show a bar.

    Raises:
        DecodingError: a decoded image differs from the encoder's own reconstruction.
        UserError: an image cannot be read or coded.
    """
    rows, sources = [], _sources(images)
    title = f"{codec.info.curve}, {codec.info.setting}"
    for index, name in enumerate(track(images.names, title, disable=not progress)):
        image = images[index]
        encoded, row, decoded = _measure(codec, image, name, folder / STREAMS / f"{name}{codec.suffix}")
        if sources:
            source = sources[index]
            row = replace(row, source_bytes=source.stat().st_size, source_format=_format(source))
        rows.append(row)
        if index in pictures:
            write_png(folder / ORIGINALS / f"{name}.png", image)
            write_png(folder / RECONSTRUCTIONS / f"{name}.png", decoded)
            if inner := encoded.inner():
                write_png(folder / INNER / f"{name}.png", picture(image, inner))
    info = replace(codec.info, macs=codec.macs())
    result = Result(info, data, tuple(rows), torch.get_num_threads())
    result.save(folder / RESULT_FILE)
    return result


def evaluate_settings(
    codec: FileCodec,
    images: ImageSet,
    folder: Path,
    data: str,
    pictures: Sequence[int] = (),
    settings: Sequence[str] = (),
) -> list[Result]:
    """Measure ``codec`` at ``settings`` (see `lic.codecs.base.chosen`).

    A codec of one setting is measured in ``folder``, one of several at each in a folder below it.

    Raises:
        UserError: as `evaluate`, `check_colours` and `chosen`, or such a folder leads out of ``folder``.
    """
    codecs = chosen(codec, codec.info.curve, settings)
    check_colours([codec], images)
    alone = len(codec.settings) == 1
    places = {one: folder if alone else folder / name for name, one in codecs.items()}
    refuse_links(folder, _WRITTEN if alone else [escape(name) for name in codecs])
    return [evaluate(one, images, place, data, pictures) for one, place in places.items()]


def evaluate_classical(
    name: str,
    images: ImageSet,
    folder: Path,
    data: str,
    settings: Sequence[str] = (),
    again: bool = True,
) -> list[Result]:
    """One result per setting of a classical codec, each in a folder of its own, also of a single one.

    All settings, or those that are named. Without ``again``, those that have a result already are left as
    they are.

    Raises:
        UserError: as `evaluate`, `check_colours` and `classical_codec`, the codec has no such setting, or its
            folder leads out of ``folder``.
    """
    codec = classical_codec(name)
    check_colours([codec], images)
    wanted = chosen(codec, name, settings or list(codec.settings))
    places = {one: folder / setting for setting, one in wanted.items()}
    refuse_links(folder, [escape(setting) for setting in wanted])
    todo = [one for one, place in places.items() if again or not (place / RESULT_FILE).exists()]
    pictures = some_pictures(len(images))
    return [
        evaluate(one, images, places[one], data, pictures, progress=False)
        for one in track(todo, name if settings else f"{name}, all settings", disable=not todo)
    ]


def check_colours(codecs: Iterable[FileCodec], images: ImageSet) -> None:
    """Before the work, look for images in colour where a codec is of gray ones alone.

    Raises:
        UserError: there is one; or one cannot be read.
    """
    for codec in codecs:
        if codec.image_channels == 1:
            for index, name in enumerate(images.names):
                if images[index].shape[2] != 1:
                    raise UserError(
                        f"{name} is stored in colour and {codec.info.curve} codes gray images; leave it out, "
                        "convert it to gray, or give data.channels=1, which does so in an evaluation."
                    )
            return


def some_pictures(count: int, wanted: int = 4) -> list[int]:
    """Evenly spread indexes of the images whose reconstructions are kept."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(wanted, count))})


def _sources(images: ImageSet) -> tuple[Path, ...]:
    """The file of each image; none where files hold several, or hold other images than these."""
    files: tuple[Path, ...] = getattr(images, "files", ())
    return files if len(files) == len(images) else ()


def _format(file: Path) -> str:
    """What a file's name says that it is: "jpg"."""
    return re.sub(r"\W", "", file.suffix.lower())[:9]


def _measure(codec: FileCodec, image: Pixels, name: str, file: Path) -> tuple[Encoded, Row, Pixels]:
    height, width = image.shape[:2]
    start = time.perf_counter()
    encoded = codec.encode(image)
    encode_s = time.perf_counter() - start
    write_bytes(file, encoded.data)
    data = file.read_bytes()
    start = time.perf_counter()
    decoded = codec.decode(data)
    decode_s = time.perf_counter() - start
    start = time.perf_counter()
    promised = encoded.reconstruct()
    synthesis_s = time.perf_counter() - start
    if not np.array_equal(decoded, promised):
        raise DecodingError(f"{file}: the decoded pixels differ from the encoder's own reconstruction.")
    measures = measure_images(to_batch(image), to_batch(decoded))
    symbols = encoded.symbols()
    row = Row(
        file=name,
        width=width,
        height=height,
        bytes=len(data),
        bpp=8 * len(data) / (width * height),
        estimated_bpp=encoded.estimate_bits() / (width * height),
        measures={name: value.item() for name, value in measures.items()},
        encode_s=encode_s,
        decode_s=decode_s,
        analysis_s=encoded.analysis_s,
        synthesis_s=math.nan if math.isnan(encoded.analysis_s) else synthesis_s,
        distinct_values=symbols.distinct if symbols else math.nan,
        entropy=symbols.entropy if symbols else math.nan,
        entropy_bpp=symbols.bits / (width * height) if symbols else math.nan,
    )
    return encoded, row, decoded
