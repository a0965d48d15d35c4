"""The file formats that Pillow writes for `lic.codecs.classical`, each with what is set of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import PIL.Image
from PIL import features

_RIFF_HEAD = 8  # bytes that the length of a WebP file does not count
_GRAY = b"GRAY" + bytes(4)  # an empty chunk at the end of a WebP file: the format itself knows colour alone


@dataclass(frozen=True)
class Scale:
    """What is set of a format, and moves along the curve.

    ``name`` is the option's among those of the codec, ``words`` a setting for people. Of the whole numbers
    from ``low`` to ``high``, ``values`` are the settings of an evaluation.
    """

    name: str
    words: str
    low: int
    high: int
    values: tuple[int, ...]

    def arguments(self, value: int) -> dict[str, Any]:
        """What Pillow calls this setting."""
        return {"quality": value}


class _Ratio(Scale):
    """The bytes of the raw image over those of the file: at 24, colour has 1 bit per pixel and gray 1/3.

    Papers plot JPEG 2000 so. At quality layers in dB, its other way, difficult images take most of the bits:
    the mean PSNR of Kodak at 0.4 bpp is 29.84 dB instead of 31.13.
    """

    def arguments(self, value: int) -> dict[str, Any]:
        return {"quality_mode": "rates", "quality_layers": [value]}


_QUALITY = Scale("quality", "quality {}", 1, 95, (5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90, 95))
_RATIO = _Ratio("ratio", "ratio {}", 2, 1000, (240, 160, 120, 80, 60, 48, 36, 24, 16, 12, 8, 6))


@dataclass(frozen=True)
class Format:
    """A file format as Pillow writes it, by default but for ``fixed``: keywords of ``PIL.Image.Image.save``.

    ``pillow`` is its name there. ``libraries`` do the work: the first one that Pillow was built with, by
    `PIL.features`' names. Neither side of an image has more than ``longest`` pixels. Without a ``scale``
    there is one setting, which is lossless.
    """

    label: str
    pillow: str
    suffix: str
    libraries: Mapping[str, str]
    longest: int = 2**31 - 1
    scale: Scale | None = None
    fixed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def library(self) -> str | None:
        """Name and version of the library, as "libwebp 1.6.0"; None where Pillow lacks it."""
        known = features.modules | features.codecs | features.features  # older ones warn of others
        found = (name for name in self.libraries if name in known and features.check(name))
        feature = next(found, None)
        return feature and f"{self.libraries[feature]} {features.version(feature)}"

    def options(self, channels: int) -> dict[str, Any]:
        """``fixed``, for an image of 1 or 3 channels."""
        return dict(self.fixed)

    def finished(self, data: bytes, channels: int) -> bytes:
        """The file of what Pillow wrote."""
        return data

    def is_gray(self, image: PIL.Image.Image, data: bytes) -> bool:
        """Whether the file holds one channel."""
        return image.mode == "L"


class _Jpeg2000(Format):
    def options(self, channels: int) -> dict[str, Any]:
        return {**self.fixed, "mct": int(channels == 3)}  # colours are not decorrelated by default


class _WebP(Format):
    def finished(self, data: bytes, channels: int) -> bytes:
        if channels == 3:
            return data
        length = len(data) + len(_GRAY) - _RIFF_HEAD
        return data[:4] + length.to_bytes(4, "little") + data[8:] + _GRAY

    def is_gray(self, image: PIL.Image.Image, data: bytes) -> bool:
        return data.endswith(_GRAY)


class _Avif(Format):
    """Gray is monochrome AV1, which older versions of Pillow read as colour."""

    def options(self, channels: int) -> dict[str, Any]:
        return {**self.fixed, "subsampling": "4:2:0" if channels == 3 else "4:0:0"}

    def is_gray(self, image: PIL.Image.Image, data: bytes) -> bool:
        configuration = data.find(b"av1C") + 4
        return bool(data[configuration + 2] & 0x10)


_JPEG = {"libjpeg_turbo": "libjpeg-turbo", "jpg": "libjpeg"}

FORMATS: dict[str, Format] = {
    "jpeg": Format("JPEG 4:2:0", "JPEG", ".jpg", _JPEG, 65500, _QUALITY),  # by default
    "jpeg_444": Format("JPEG 4:4:4", "JPEG", ".jpg", _JPEG, 65500, _QUALITY, {"subsampling": "4:4:4"}),
    "jpeg2000": _Jpeg2000(
        "JPEG 2000", "JPEG2000", ".jp2", {"jpg_2000": "OpenJPEG"}, scale=_RATIO, fixed={"irreversible": True}
    ),
    "webp": _WebP("WebP", "WEBP", ".webp", {"webp": "libwebp"}, 16383, _QUALITY),
    # Of one thread: by default the tiles of a large image depend on the number of the machine's cores.
    "avif": _Avif("AVIF", "AVIF", ".avif", {"avif": "libavif"}, 32768, _QUALITY, {"max_threads": 1}),
    "png": Format("PNG", "PNG", ".png", {"zlib_ng": "zlib-ng", "zlib": "zlib"}),
    "bmp": Format("BMP", "BMP", ".bmp", {"pil": "Pillow"}),
}  # fmt: skip
"""By the names of the codecs."""
