"""The contract of a codec, learned or classical: image -> file -> image."""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, overload

from PIL.Image import Image
from torch import Tensor

from lic.data.images import AnyImage, Pixels, to_batch, to_pil, to_pixels
from lic.errors import UserError
from lic.foreign import Plain

if TYPE_CHECKING:  # all networks with them, which classical codecs and reports do without
    from lic.entropy.symbols import Symbols
    from lic.models.inner import Inner

AnyBytes = bytes | bytearray | memoryview


@dataclass(frozen=True)
class CodecInfo:
    """Who a codec is, in reports and tables.

    ``curve`` and ``setting`` are texts for people: the name of the R-D curve that its point lies on, and the
    place on it ("λ = 5", "quality 50"). ``model`` is the name of the network's family or of the classical
    codec, ``options`` are its keywords (a network's: those of `lic.models.build_model`), ``objective`` is
    what a training minimised (``{"lambda": 5, "distortion": "ms_ssim"}``), ``choices`` what was chosen
    besides, by a sweep or as the setting of a codec that has several. ``moving`` are the keys of these three
    that move along the curve. ``macs`` are what `FileCodec.macs` counts; evaluation fills them in.
    """

    curve: str
    setting: str
    learned: bool
    model: str
    options: dict[str, Plain] = field(default_factory=dict, hash=False)
    objective: dict[str, Plain] = field(default_factory=dict, hash=False)
    choices: dict[str, Plain] = field(default_factory=dict, hash=False)
    moving: list[str] = field(default_factory=list, hash=False)
    parameters: int | None = None
    macs: int | None = None

    @property
    def key(self) -> str:
        """What all points of one curve have in common, and no other curve."""
        tables = (self.options, self.objective, self.choices)
        fixed = [{k: v for k, v in table.items() if k not in self.moving} for table in tables]
        return json.dumps([self.learned, self.model, *fixed], sort_keys=True)


@dataclass(frozen=True)
class Encoded:
    """A coded image: ``data`` is the whole file.

    ``reconstruct`` gives the image that the encoder expects its decoder to find, ``estimate_bits`` the
    rate that the model promises (NaN where a codec has none), ``inner`` what the codec shows of its
    inside, and ``symbols`` the 8-bit values that it codes in place of the image's, if anything. They are
    computed when called, so that the time of `FileCodec.encode` is the time of coding. ``analysis_s`` is the
    part of that time, in seconds, that g_a took, the image's conversion included; NaN where there is none.
    """

    data: bytes
    reconstruct: Callable[[], Pixels]
    estimate_bits: Callable[[], float]
    analysis_s: float = math.nan
    inner: "Callable[[], Inner | None]" = lambda: None
    symbols: "Callable[[], Symbols | None]" = lambda: None


class FileCodec(ABC):
    """A codec of files: what evaluation, the command line and users of the library all call.

    Several threads may use one codec at a time.
    """

    info: CodecInfo
    suffix: str
    image_channels: int = 3
    """Of the images that it codes: 3 are gray and colour ones, 1 gray ones alone."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.info.curve}, {self.info.setting}>"

    @property
    def fingerprint(self) -> bytes:
        """Names, in the codec's files, what can read them; empty where nothing does."""
        return b""

    @property
    def settings(self) -> Mapping[str, "FileCodec"]:
        """This codec at each of its settings, by a name that a folder can have ("jpeg-50").

        All write files that this one decodes; it encodes at one of them. Most codecs have one setting.
        """
        return {self.info.model: self}

    @property
    def measured(self) -> Mapping[str, "FileCodec"]:
        """Those of `settings` that evaluations measure and rate control has when nobody says which: all."""
        return self.settings

    def macs(self) -> int | None:
        """Multiply-accumulates per image pixel, see `lic.metrics.complexity.macs_per_pixel`.

        Counting takes a pass through the network. None where there is none.
        """
        return None

    @abstractmethod
    def encode(self, image: Pixels) -> Encoded:
        """Code an image ``[H, W, C]`` of any size from 1x1, gray (C = 1) or RGB (3)."""

    @abstractmethod
    def decode(self, data: bytes) -> Pixels:
        """The image in `encode`'s file, with as many channels.

        Raises:
            UserError: the bytes are no such file, damaged, or another model's.
        """

    def compress(self, image: AnyImage) -> bytes:
        """The file that holds ``image``.

        Args:
            image: a PIL image of any mode (an embedded colour profile, the EXIF orientation and
                transparency are dealt with as by ``lic compress``), a uint8 array ``[H, W, 3]``, or gray
                ``[H, W]`` or ``[H, W, 1]``, or a tensor ``[C, H, W]`` or ``[1, C, H, W]`` of 1 or 3 channels,
                uint8 or floating point in 0…1.

        Raises:
            UserError: anything else.
        """
        return self.encode(to_pixels(image)).data

    @overload
    def decompress(self, data: AnyBytes, into: Literal["pil"] = "pil") -> Image: ...
    @overload
    def decompress(self, data: AnyBytes, into: Literal["numpy"]) -> Pixels: ...
    @overload
    def decompress(self, data: AnyBytes, into: Literal["tensor"]) -> Tensor: ...

    def decompress(
        self, data: AnyBytes, into: Literal["pil", "numpy", "tensor"] = "pil"
    ) -> Image | Pixels | Tensor:
        """The image in a file that `compress` made.

        Args:
            data: the whole file.
            into: a PIL image (L or RGB), an array (uint8 ``[H, W, C]``) or a tensor (uint8 ``[C, H, W]``).

        Raises:
            UserError: the bytes are no such file, damaged, or another model's; ``data`` is something else
                than bytes; or an unknown ``into``.
        """
        if not isinstance(data, AnyBytes):
            raise UserError(
                f"lic cannot decode this {type(data).__name__}: give the whole file as bytes, bytearray or "
                "memoryview."
            )
        if into not in ("pil", "numpy", "tensor"):
            raise UserError(f"There is no into={into!r}; choose 'pil', 'numpy' or 'tensor'.")
        pixels = self.decode(bytes(data))
        if into == "numpy":
            return pixels
        return to_pil(pixels) if into == "pil" else to_batch(pixels)[0]


def chosen(codec: FileCodec, name: str, settings: Sequence[str]) -> Mapping[str, FileCodec]:
    """The codec at ``settings``; without any, at those that are measured.

    Raises:
        UserError: it, which people call ``name``, has none of such a name.
    """
    known = codec.settings
    for setting in settings:
        if setting not in known:
            advice = f"give one of {', '.join(known)}" if len(known) > 1 else "leave the setting out"
            raise UserError(f"{name} has no setting {setting!r}; {advice}.")
    return {setting: known[setting] for setting in settings} if settings else codec.measured


def each_setting(
    names: Sequence[str], codecs: Sequence[FileCodec], settings: Sequence[str] = ()
) -> list[tuple[str, FileCodec]]:
    """Codecs at some settings, see `chosen`, with their names and, of those with several, the setting's."""
    return [
        (name if len(codec.settings) == 1 else f"{name} {setting}", one)
        for name, codec in zip(names, codecs, strict=True)
        for setting, one in chosen(codec, name, settings).items()
    ]
