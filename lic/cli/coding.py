"""`lic compress` and `lic decompress`."""

import gc
import io
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

import lic
from lic.bitstream import MAX_PIXELS, Stream
from lic.cli import batch
from lic.cli.files import IMAGE, STANDARD, STREAM, Job, plan, read, writing
from lic.cli.options import Force, Jobs, Json, MaxPixels, Models, Setting, Tile, at_setting
from lic.codecs import TILE
from lic.errors import UserError

if TYPE_CHECKING:  # torch only where a network runs
    from lic.codecs.base import Encoded, FileCodec
    from lic.data import Pixels

_ONE_OR_A_TARGET = (
    "Give one --model; or several, and a number for --target-bpp or for --target-psnr to choose by."
)
Target = Annotated[
    str, typer.Argument(metavar="TARGET", help="File or folder to write; - is standard output.")
]


def compress(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE", help="Images, folders or quoted patterns; - is standard input."),
    ],
    target: Target,
    model: Models,
    setting: Setting = None,
    target_bpp: Annotated[
        float | None,
        typer.Option(min=0, help="Of several models, take the best that stays within these bits per pixel."),
    ] = None,
    target_psnr: Annotated[
        float | None,
        typer.Option(min=0, help="Of several models, take the smallest file that reaches these dB."),
    ] = None,
    tile: Tile = TILE,
    max_pixels: MaxPixels = MAX_PIXELS,
    jobs: Jobs = 1,
    force: Force = False,
    json: Json = False,
) -> None:
    """Code images to .lic files."""
    todo = plan(sources, target, IMAGE, ".lic", force)
    _check_options(target, json)
    options = {"target_bpp": target_bpp, "target_psnr": target_psnr}
    aims = {name: aim for name, aim in options.items() if aim is not None}
    if (len(model) > 1 and not aims) or len(aims) > 1 or not all(map(math.isfinite, aims.values())):
        raise UserError(_ONE_OR_A_TARGET)
    with _starting():
        from lic.data import read_image

        loaded = [lic.load(path, tile=tile, max_pixels=max_pixels) for path in model]
        names = _candidates(model, loaded, setting, choose=bool(aims))
    encode = _encoder(list(names), **aims)

    def work(index: int) -> tuple[str, batch.Result]:
        job, start = todo[index], time.perf_counter()
        image = read_image(_open(job.source), managed=True)
        codec, encoded = encode(image)
        with writing(job.output) as file:
            file.write(encoded.data)
        result = _result(job, len(encoded.data), image, names[codec], start)
        by = f", by {names[codec]}" if len(names) > 1 else ""
        return "{output}: {bytes:,} bytes, {bpp:.4f} bpp, {width}x{height}".format_map(result) + by, result

    sources = [job.source for job in todo]
    batch.run(sources, work, threads=jobs, as_json=json, aside=target == STANDARD)


def decompress(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE", help=".lic files, folders or quoted patterns; - is standard input."),
    ],
    target: Target,
    model: Models,
    tile: Tile = TILE,
    max_pixels: MaxPixels = MAX_PIXELS,
    jobs: Jobs = 1,
    force: Force = False,
    json: Json = False,
) -> None:
    """Decode .lic files to PNG files."""
    todo = plan(sources, target, STREAM, ".png", force)
    _check_options(target, json)
    with _starting():
        from lic.data import write_png

        codecs = [lic.load(path, tile=tile, max_pixels=max_pixels) for path in model]
        names = dict(zip(codecs, model, strict=True))

    def work(index: int) -> tuple[str, batch.Result]:
        job, start = todo[index], time.perf_counter()
        data = read(job.source)
        codec = codecs[0] if len(codecs) == 1 else _reader(names, Stream.unpack(data, max_pixels))
        image = codec.decode(data)
        with writing(job.output) as file:
            write_png(file, image)
        result = _result(job, len(data), image, names[codec], start)
        return "{output}: {width}x{height}".format_map(result), result

    sources = [job.source for job in todo]
    batch.run(sources, work, threads=jobs, as_json=json, aside=target == STANDARD)


@contextmanager
def _starting() -> Iterator[None]:
    """Spares the garbage collector the million objects of torch, which stay to the end: a second in four."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _check_options(target: str, json: bool) -> None:
    if json and target == STANDARD:
        raise UserError("--json and the file cannot both go to standard output; give a file as target.")


def _open(source: str) -> str | io.BytesIO:
    return io.BytesIO(read(source)) if source == STANDARD else source


def _encoder(codecs: "list[FileCodec]", **aims: float) -> "Callable[[Pixels], tuple[FileCodec, Encoded]]":
    if len(codecs) == 1:
        return lambda image: (codecs[0], codecs[0].encode(image))
    from lic.rate_control.choice import encode_to_target

    return lambda image: encode_to_target(codecs, image, **aims)


def _candidates(
    models: list[str], codecs: "list[FileCodec]", setting: str | None, choose: bool
) -> "dict[FileCodec, str]":
    """The codecs to code with: the given models, at the one setting or, to choose among, at all of theirs."""
    codecs = [at_setting(setting, model, codec) for model, codec in zip(models, codecs, strict=True)]
    if choose and setting is None:
        from lic.codecs.base import each_setting

        if len(several := each_setting(models, codecs)) > 1:
            return {codec: name for name, codec in several}
    if choose and len(codecs) == 1:
        raise UserError(_ONE_OR_A_TARGET)
    return dict(zip(codecs, models, strict=True))


def _reader(names: "dict[FileCodec, str]", stream: Stream) -> "FileCodec":
    """The model that a stream names."""
    for codec in names:
        if codec.fingerprint == stream.fingerprint:
            return codec
    given = ", ".join(f"{codec.fingerprint.hex()} ({name})" for codec, name in names.items())
    raise UserError(
        f"The stream was written by model {stream.fingerprint.hex()}, which is none of {given}; "
        "decode it with the model that wrote it."
    )


def _result(job: Job, size: int, image: "Pixels", model: str, start: float) -> batch.Result:
    height, width = image.shape[:2]
    return {
        "output": job.output,
        "bytes": size,
        "bpp": 8 * size / (width * height),
        "width": width,
        "height": height,
        "model": model,
        "seconds": round(time.perf_counter() - start, 3),
    }
