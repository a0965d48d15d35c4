"""Classical codecs behind the same interface as the learned ones."""

import io
import math
from collections.abc import Callable, Mapping
from functools import cached_property, partial

import numpy as np
import PIL.Image

from lic import plugins
from lic.codecs.base import CodecInfo, Encoded, FileCodec
from lic.codecs.formats import FORMATS
from lic.data.images import BROKEN, Pixels, to_pil
from lic.errors import UserError

_GROUP = "lic.codecs"  # of entry points


class PillowCodec(FileCodec):
    """A file format of `FORMATS` at one of its settings, by default the middle one; lossless ones have one.

    Files are as Pillow writes them by default, whatever the number of threads. Gray images come back gray;
    WebP files of them have a mark of 8 bytes of ours, which other readers pass over. Another codec can keep
    an image of its own in such a file: ``encode(image).data``, and ``decode(data, shape)``.

    Raises:
        UserError: an unknown format or setting, or one that Pillow was built without.
    """

    def __init__(self, name: str, value: int | None = None):
        if name not in FORMATS:
            raise UserError(f"Pillow codes no {name!r} for lic; choose one of {', '.join(FORMATS)}.")
        self.name, self.format = name, FORMATS[name]
        label, scale, library = self.format.label, self.format.scale, self.format.library
        if library is None:
            raise UserError(
                f"Pillow {PIL.__version__} was built without {label}; install a version of it that has "
                f"{label}, as pip install -U pillow does, or leave out {name}."
            )
        options, moving, setting = {}, [], "lossless"
        if scale:
            value = scale.values[len(scale.values) // 2] if value is None else value
            if type(value) is not int or not scale.low <= value <= scale.high:
                raise UserError(
                    f"The {scale.name} of {name} must be a whole number from {scale.low} to {scale.high}, "
                    f"not {value!r}."
                )
            options, moving, setting = {scale.name: value}, [scale.name], scale.words.format(value)
            self._arguments = scale.arguments(value)
        elif value is not None:
            raise UserError(f"{label} is lossless: it has no setting {value!r}; leave that out.")
        else:
            self._arguments = {}
        self.suffix = self.format.suffix
        self.info = CodecInfo(
            label, setting, learned=False, model=name, options={**options, "library": library}, moving=moving
        )

    @cached_property
    def settings(self) -> Mapping[str, FileCodec]:
        """See `FileCodec.settings`: the points of the R-D curve, by names such as "jpeg-50"."""
        if not (scale := self.format.scale):
            return {self.name: self}
        return {f"{self.name}-{value}": PillowCodec(self.name, value) for value in scale.values}

    def encode(self, image: Pixels) -> Encoded:
        """See `FileCodec.encode`.

        Raises:
            UserError: the image is too large for the format.
        """
        height, width, channels = image.shape
        label, longest = self.format.label, self.format.longest
        if max(height, width) > longest:
            raise UserError(
                f"An image of {width}x{height} pixels is too large for {label}, whose sides have at most "
                f"{longest}; choose another codec, or make it smaller."
            )
        buffer = io.BytesIO()
        to_pil(image).save(buffer, self.format.pillow, **self._arguments, **self.format.options(channels))
        data = self.format.finished(buffer.getvalue(), channels)
        return Encoded(data, reconstruct=lambda: self.decode(data), estimate_bits=lambda: math.nan)

    def decode(self, data: bytes, shape: tuple[int, ...] | None = None) -> Pixels:
        """See `FileCodec.decode`; with ``shape``, an image ``[H, W, C]`` of another, or of a
        kind that `encode` does not write, is refused unread.
        """
        try:
            with PIL.Image.open(io.BytesIO(data), formats=[self.format.pillow]) as image:
                gray = self.format.is_gray(image, data)
                found = image.height, image.width, 1 if gray else 3
                if shape and found != tuple(shape):
                    raise ValueError(f"its image has the shape {found} where {tuple(shape)} was to be")
                if shape and (image.mode not in ("L", "RGB") or getattr(image, "n_frames", 1) > 1):
                    raise ValueError("it is another kind of image than lic writes")
                return np.asarray(image.convert("L" if gray else "RGB")).reshape(found)
        except BROKEN as error:
            reason = "it does not begin as one" if isinstance(error, PIL.UnidentifiedImageError) else error
            raise UserError(f"This is not a readable {self.format.label} file: {reason}.") from error


CODECS: dict[str, Callable[[], FileCodec]] = {name: partial(PillowCodec, name) for name in FORMATS}
"""What makes the codecs that need no training, by name. Installed packages add theirs as entry points."""


def classical_codec(name: str) -> FileCodec:
    """The codec called ``name``, in `CODECS` or by an installed package; its `settings` are its R-D curve.

    Raises:
        UserError: an unknown name, or a codec that does not work here.
    """
    if name in CODECS:
        return CODECS[name]()
    if name not in (others := plugins.names(_GROUP)):
        raise UserError(f"Unknown codec {name!r}; choose one of {', '.join([*CODECS, *others])}.")
    codec = plugins.load(_GROUP, name)()
    if not isinstance(codec, FileCodec):
        raise UserError(f"{name}, which an installed package offers in {_GROUP}, makes no FileCodec.")
    if strange := [setting for setting in codec.settings if not setting.startswith(name)]:
        raise UserError(
            f"The names of the settings of {name}, which an installed package offers in {_GROUP}, must begin "
            f"with {name}, since they are folders beside those of other codecs; {strange[0]!r} does not."
        )
    return codec
