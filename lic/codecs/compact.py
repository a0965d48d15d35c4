"""A network around a compact image as a codec of files, which keep that image in a code or file."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

from lic.bitstream import Stream, StreamError
from lic.codecs.base import CodecInfo, FileCodec
from lic.codecs.classical import PillowCodec
from lic.codecs.formats import FORMATS
from lic.codecs.learned import LearnedCodec
from lic.data.images import Pixels
from lic.entropy.pixels import CODERS
from lic.errors import UserError
from lic.foreign import Plain
from lic.models import Coded, CompactImage
from lic.models.compact import HUFFMAN, Kept, Shape

METHODS = (
    *("huffman", "huffman-runs", "huffman-left", "huffman-left-runs", "huffman-up", "huffman-up-runs"),
    *("adaptive-huffman", "adaptive-huffman-runs", "adaptive-huffman-left", "adaptive-huffman-left-runs"),
    *("adaptive-huffman-up", "adaptive-huffman-up-runs"),
    *("range", "range-runs", "range-left", "range-left-runs", "range-up", "range-up-runs"),
    *("png", "bmp", "jpeg", "jpeg_444", "jpeg2000", "webp"),
)
"""The inner coders by the numbers that streams have as their method: of `lic.entropy.pixels`, then files.

Not AVIF: its decoder makes an image of a frame of any size before it tells that size.
"""
_JPEG_SCAN, _MOST_SCANS = b"\xff\xda", 16  # each is decoded over the whole image; ours have one
MEASURED = ("huffman", "jpeg-50", "jpeg-80", "jpeg-95")
"""The settings of an evaluation that is told no others. Each takes every image through the network again."""


class CompactCodec(LearnedCodec):
    """The compact image is coded by ``inner``, at the setting ``value`` if it is a lossy file format.

    Both are settings of the codec, not of the network: a file says which inner coder it has, and every
    `CompactCodec` of a network decodes it. Lossless coders give back the compact image to the last bit; each
    makes a curve of the networks' strides. A lossy one makes a curve of its own for each network.

    Args:
        net: the network.
        info: of the network.
        inner: one of `METHODS`.
        value: see `PillowCodec`.
        options: see `LearnedCodec`.

    Raises:
        UserError: an unknown coder or setting, or one that Pillow was built without.
    """

    net: CompactImage

    def __init__(
        self,
        net: CompactImage,
        info: CodecInfo,
        *,
        inner: str = HUFFMAN,
        value: int | None = None,
        **options: Any,
    ):
        if inner not in METHODS:
            raise UserError(f"Unknown inner coder {inner!r}; choose one of {', '.join(METHODS)}.")
        choices: dict[str, Plain] = {**info.choices, "inner": inner}
        curve, setting, moving = f"{info.curve}, {inner}", info.setting, info.moving
        self.file = None if inner in CODERS else PillowCodec(inner, value)
        if self.file:
            choices |= self.file.info.options
        if self.file and self.file.info.moving:
            curve = f"{info.curve}, {info.setting}, {self.file.info.curve}"
            setting, moving = self.file.info.setting, self.file.info.moving
        own = replace(info, curve=curve, setting=setting, choices=choices, moving=moving)
        super().__init__(net, own, **options)
        self.inner = inner
        self._at = partial(CompactCodec, net, info, **options)

    @cached_property
    def settings(self) -> Mapping[str, FileCodec]:
        """See `FileCodec.settings`: ``huffman-left``, ``png``, ``jpeg-50``, …, of files what Pillow has."""
        lossless = {name: self._at(inner=name) for name in CODERS}
        files = [name for name in METHODS if name in FORMATS and FORMATS[name].library]
        return lossless | {
            setting: self._at(inner=name, value=_value(codec))
            for name in files
            for setting, codec in PillowCodec(name).settings.items()
        }

    @property
    def measured(self) -> Mapping[str, FileCodec]:
        """See `FileCodec.measured`."""
        return {name: self.settings[name] for name in MEASURED}

    def code(self, image: Pixels) -> Coded:
        """See `LearnedCodec.code`."""
        return replace(self.net.encode_with(self._keep, image, self.tile), method=METHODS.index(self.inner))

    def restore(self, stream: Stream) -> Pixels:
        """See `LearnedCodec.restore`."""
        if stream.method >= len(METHODS):
            raise StreamError("The stream has an inner coder that its model does not know; use a newer lic.")
        return self.net.decode_with(partial(_kept_by, METHODS[stream.method]), stream, self.tile)

    def _keep(self, compact: Pixels) -> Kept:
        if self.file:
            encoded = self.file.encode(compact)
            return Kept(encoded.data, encoded.reconstruct)
        return Kept.by(self.inner, compact)


def _kept_by(inner: str, payload: bytes, shape: Shape) -> Pixels:
    """The compact image in a payload."""
    if inner in CODERS:
        return CODERS[inner].decode(payload, shape)
    codec = PillowCodec(inner)
    if inner in ("jpeg", "jpeg_444") and payload.count(_JPEG_SCAN) > _MOST_SCANS:
        raise StreamError("The stream's compact image has more scans than an encoder writes: it is forged.")
    try:
        return codec.decode(payload, shape)
    except UserError as error:
        raise StreamError(f"The stream's compact image cannot be read: {error}") from error


def _value(codec: FileCodec) -> Any:
    """Of a codec of files, what its scale is set to; None if it has none."""
    moving = codec.info.moving
    return codec.info.options[moving[0]] if moving else None
