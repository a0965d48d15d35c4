"""Image files in, image files out. The only place that scales pixels, but for depths that are not 8 bits.

Everywhere else an image is gray (C = 1) or RGB (C = 3), and either uint8 (``[H, W, C]`` arrays,
``[N, C, H, W]`` tensors, 0…255) or float32 (tensors, 0…1); no other range or channel order exists.
"""

import logging
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageOps, PngImagePlugin, UnidentifiedImageError
from torch import Tensor

from lic.atomic import replacing
from lic.data.image_depths import check_range, sample_bits, to_8_bits
from lic.data.profiles import to_srgb
from lic.errors import UserError

Pixels = NDArray[np.uint8]
Channels = Literal[1, 3]
ImageFile = str | os.PathLike[str] | IO[bytes]
AnyImage = Image.Image | NDArray[Any] | Tensor

_log = logging.getLogger(__name__)
BROKEN = (
    OSError, SyntaxError, ValueError, EOFError, RuntimeError, struct.error, Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow raises of a file that it cannot read; RuntimeError of AVIF alone."""
_UNNAMED = "The image"
_KINDS = {**dict.fromkeys(("1", "L", "LA", "I", "I;16", "I;16L", "I;16B", "I;16N"), "L"), "CMYK": "CMYK"}
_STRIP = 2**20  # pixels to convert at a time


def read_image(file: ImageFile, *, managed: bool = False) -> Pixels:
    """Read an image file, or one open for reading bytes, as uint8: gray ``[H, W, 1]`` or RGB ``[H, W, 3]``.

    What is not 8-bit gray or RGB is converted, and a warning says what that loses:

    - bits become 0 and 255, palettes are looked up (in colour, whatever they hold): nothing is lost;
    - the EXIF orientation is applied, so that pixels stand upright: nothing is lost;
    - 12- and 16-bit gray is scaled and rounded; 16-bit colour keeps its high bytes (Pillow reads no more, and
      says so of PNG, TIFF and PPM files);
    - transparency is composited on white, the paper that browsers and printers show it on;
    - of an animation or a multi-page file, the first frame is read.

    Training and evaluation take the numbers in the file as they are, as the benchmarks of this field do.
    ``managed`` asks for the picture that people see: colours are converted to sRGB from the ICC profile
    that the file carries, if that is another. Without a profile, or unmanaged, CMYK goes through Pillow's
    plain formula.

    At the peak, this holds Pillow's image (4 bytes a pixel in colour, 1 in gray; twice, while it is turned
    upright) and the result (3 or 1).

    Raises:
        UserError: The file is missing, not an image, truncated, larger than Pillow's limit, or of a
            kind without a defined range (floating point, signed or 32-bit integers).
    """
    name = str(file) if isinstance(file, (str, os.PathLike)) else _UNNAMED
    with _reading(name), Image.open(file) as image:
        if (frames := getattr(image, "n_frames", 1)) > 1:
            _log.warning("%s: only the first of %d frames is read.", name, frames)
        bits, kind = sample_bits(image, name), _kind(image)
        ImageOps.exif_transpose(image, in_place=True)
        return _pixels(image, bits, kind, name, managed)


def image_size(file: ImageFile) -> tuple[int, int]:
    """(width, height) that the header of an image file claims, before it is turned upright.

    Raises:
        UserError: The file is missing or not an image.
    """
    with _reading(str(file)), Image.open(file) as image:
        return image.size


def to_pixels(image: AnyImage) -> Pixels:
    """An image in memory as uint8, gray ``[H, W, 1]`` or RGB ``[H, W, 3]``.

    A PIL image is taken as `read_image` with ``managed`` takes its file. An array is uint8, ``[H, W, 3]``,
    or gray ``[H, W]`` or ``[H, W, 1]``. A tensor is ``[C, H, W]`` or ``[1, C, H, W]`` of 1 or 3 channels,
    uint8 or floating point in 0…1.

    Raises:
        UserError: anything else, or an image without pixels.
    """
    if isinstance(image, Image.Image) and image.width and image.height:
        with _reading(_UNNAMED):
            bits, kind = sample_bits(image, _UNNAMED), _kind(image)
            image.load()
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
            upright = ImageOps.exif_transpose(image) if turned else image  # which copies in any case
            return _pixels(upright, bits, kind, _UNNAMED, managed=True)
    match image:
        case np.ndarray(dtype=np.uint8, ndim=2, size=size) if size:
            return image[..., None]
        case np.ndarray(dtype=np.uint8, shape=(_, _, 1 | 3), size=size) if size:
            return image
        case Tensor(shape=(1 | 3, _, _) | (1, 1 | 3, _, _), layout=torch.strided, is_meta=False) if (
            image.numel()
        ):
            image = image.detach().cpu()
            if image.is_floating_point() and image.min() >= 0 and image.max() <= 1:
                image = to_uint8(image)
            if image.dtype == torch.uint8:
                return image.reshape(image.shape[-3:]).permute(1, 2, 0).contiguous().numpy()
    raise UserError(
        f"lic cannot code this {in_words(image)}: give a PIL image, a uint8 array [H, W, 3], [H, W, 1] or "
        "[H, W], or a tensor [3, H, W] or [1, H, W] or a batch of one, uint8 or floating point from 0 to 1."
    )


def in_words(given: Any) -> str:
    """The type of ``given``, and what kind of pixels it has, for messages."""
    shape = getattr(given, "shape", getattr(given, "size", None))
    of = f" of {getattr(given, 'dtype', 'size')} {list(shape)}" if isinstance(shape, tuple) else ""
    return type(given).__name__ + of


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Turn Pillow's exceptions into a sentence that names the file."""
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{name} does not exist; check the path.") from error
    except UnidentifiedImageError as error:
        raise UserError(f"{name} is not an image that Pillow can read; give a PNG, JPEG or WebP.") from error
    except BROKEN as error:
        raise UserError(f"{name} cannot be read as an image ({error}); replace or remove it.") from error


def _pixels(image: Image.Image, bits: int, kind: str, name: str, managed: bool) -> Pixels:
    """Strip by strip: whatever the conversion, a large image needs its own memory and the result's."""
    check_range(image, bits, kind, name)
    profile = image.info.get("icc_profile") if managed else None
    transform = to_srgb(profile, kind, name) if profile else None
    if kind == "CMYK" and not transform:
        _log.warning("%s: CMYK is converted to RGB without its colour profile.", name)
    if image.has_transparency_data:
        _log.warning("%s: transparency is composited on white.", name)
    pixels = np.empty((image.height, image.width, 1 if kind == "L" else 3), np.uint8)
    rows = max(1, _STRIP // image.width)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        strip = _plain(to_8_bits(strip, bits), kind, transform)
        pixels[top : top + rows] = np.asarray(strip).reshape(strip.height, strip.width, -1)
    return pixels


def _kind(image: Image.Image) -> str:
    """L, CMYK or RGB: what the colours of ``image`` are, which Pillow knows until it is loaded."""
    match getattr(image, "tile", None):
        case [(_, _, _, "LA;16B"), *_]:  # of PNG, read as RGBA
            return "L"
    return _KINDS.get(image.mode, "RGB")


def _plain(image: Image.Image, kind: str, transform: ImageCms.ImageCmsTransform | None) -> Image.Image:
    """``image`` of 8 bits as opaque gray, where that is its ``kind``, or RGB."""
    alpha, target = None, "L" if kind == "L" else "RGB"
    if image.has_transparency_data:
        alpha = image.convert("RGBA").getchannel("A")
        image.info.pop("transparency", None)
    colours = _in_mode(kind, image)
    colours = _in_mode(target, transform.apply(colours) if transform else colours)
    return Image.composite(colours, Image.new(target, colours.size, "white"), alpha) if alpha else colours


def _in_mode(mode: str, image: Image.Image) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)  # which copies in any case


def write_png(file: ImageFile, image: Pixels) -> None:
    """Write uint8 ``[H, W, C]`` as a PNG file, gray or RGB, without loss: atomically to a path, or to an open
    file.

    It is tagged as sRGB (13 bytes): all images in lic are, or are taken to be, and viewers on wide-gamut
    screens are free to show untagged ones otherwise.
    """
    if isinstance(file, (str, os.PathLike)):
        with replacing(file) as temporary, temporary.open("wb") as out:
            write_png(out, image)
    else:
        tags = PngImagePlugin.PngInfo()
        tags.add(b"sRGB", b"\0")  # perceptual
        to_pil(image).save(file, format="PNG", pnginfo=tags)


def to_pil(image: Pixels) -> Image.Image:
    """A uint8 image ``[H, W, C]`` as Pillow's, of mode L or RGB."""
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] in (1, 3), image.shape
    return Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)


def with_channels(image: Pixels, channels: Channels) -> Pixels:
    """An image ``[H, W, C]`` in gray or in colour: gray is repeated, colour becomes luma (ITU-R BT.601)."""
    if image.shape[2] == channels:
        return image
    return np.repeat(image, 3, axis=2) if channels == 3 else np.asarray(to_pil(image).convert("L"))[..., None]


def resized(image: Pixels, size: tuple[int, int]) -> Pixels:
    """An image ``[H, W, C]`` at (width, height) pixels, by bicubic interpolation (Keys' kernel, a = -1/2)."""
    return to_pixels(to_pil(image).resize(size, Image.Resampling.BICUBIC))


def to_float(x: Tensor) -> Tensor:
    """Scale uint8 pixels 0…255 to float32 in 0…1, on the device and in the memory layout of ``x``."""
    assert x.dtype == torch.uint8, x.dtype
    return x.to(torch.float32) / 255


def to_uint8(x: Tensor) -> Tensor:
    """Clamp to 0…1, scale to 0…255 and round half to even: float pixels to uint8."""
    return x.detach().float().clamp(0, 1).mul_(255).round_().to(torch.uint8)


def to_batch(image: Pixels) -> Tensor:
    """A uint8 image ``[H, W, C]`` as a uint8 batch of one, ``[1, C, H, W]``."""
    return torch.tensor(np.ascontiguousarray(image)).permute(2, 0, 1).unsqueeze(0).contiguous()


def to_image(x: Tensor) -> Pixels:
    """A float batch of one, ``[1, C, H, W]`` nominally in 0…1, as a uint8 image ``[H, W, C]``."""
    assert x.ndim == 4 and x.shape[0] == 1 and x.shape[1] in (1, 3), tuple(x.shape)
    return to_uint8(x[0]).permute(1, 2, 0).contiguous().cpu().numpy()
