"""Classical codecs behind the same interface as the learned ones."""

import io
import math
from collections.abc import Iterable

import numpy as np
import PIL.Image

from lic.codecs.base import CodecInfo, Encoded, FileCodec
from lic.data.images import Pixels, to_pil
from lic.errors import UserError

_QUALITIES = (5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90, 95)
_FORMATS = {"jpeg": ("JPEG", ".jpg"), "webp": ("WebP", ".webp")}
_GRAY = b"GRAY" + bytes(4)  # an empty chunk at the end of a WebP file: the format itself knows colour alone
_RIFF_HEAD = 8  # bytes that the file's length does not count


class PillowCodec(FileCodec):
    """JPEG or WebP as Pillow writes it by default (chroma at half resolution), at one ``quality`` 1…95.

    Gray images come back gray: as gray JPEG files, and as WebP files with a mark of 8 bytes of ours, which
    other readers pass over.

    Raises:
        UserError: an unknown format or quality.
    """

    def __init__(self, name: str, quality: int):
        if name not in _FORMATS:
            raise UserError(f"Unknown codec {name!r}; choose codec={' or codec='.join(_FORMATS)}.")
        if not 1 <= quality <= 95:
            raise UserError(f"The quality of {name} must be from 1 to 95, not {quality}.")
        label, self.suffix = _FORMATS[name]
        self.format, self.quality = label.upper(), quality
        self.info = CodecInfo(
            label, f"quality {quality}", learned=False, model=name, options={"quality": quality},
            moving=["quality"],
        )  # fmt: skip

    def encode(self, image: Pixels) -> Encoded:
        """See `FileCodec.encode`."""
        buffer = io.BytesIO()
        to_pil(image).save(buffer, self.format, quality=self.quality)
        data = buffer.getvalue()
        if self.format == "WEBP" and image.shape[2] == 1:
            length = len(data) + len(_GRAY) - _RIFF_HEAD
            data = data[:4] + length.to_bytes(4, "little") + data[8:] + _GRAY
        return Encoded(data, reconstruct=lambda: self.decode(data), estimate_bits=lambda: math.nan)

    def decode(self, data: bytes) -> Pixels:
        """See `FileCodec.decode`."""
        try:
            with PIL.Image.open(io.BytesIO(data), formats=[self.format]) as image:
                gray = image.mode == "L" or (self.format == "WEBP" and data.endswith(_GRAY))
                pixels = np.asarray(image.convert("L" if gray else "RGB"))
                return pixels.reshape(image.height, image.width, -1)
        except (OSError, SyntaxError, PIL.Image.DecompressionBombError) as error:
            raise UserError(f"This is not a readable {self.info.curve} file: {error}.") from error


def classical_codecs(name: str, qualities: Iterable[int] = _QUALITIES) -> dict[str, PillowCodec]:
    """One codec per quality, by names such as "jpeg-50": the points of ``name``'s R-D curve."""
    return {f"{name}-{quality}": PillowCodec(name, quality) for quality in qualities}
