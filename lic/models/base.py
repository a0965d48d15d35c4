"""The contract of a network: a forward pass for training, and coding of an image to bytes and back."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from lic.bitstream import Stream, StreamError
from lic.data.images import Pixels
from lic.entropy.symbols import Symbols
from lic.errors import UserError
from lic.models.inner import Inner

Size = tuple[int, int]


@dataclass(frozen=True)
class Forward:
    """A training pass: ``x_hat`` [N, C, H, W] and, per latent, the estimated ``bits`` of each image [N].

    ``bits`` are empty where a training knows no rate.
    """

    x_hat: Tensor
    bits: dict[str, Tensor]


@dataclass(frozen=True)
class Coded:
    """A coded image: the parts of a stream, and what is known of them.

    ``reconstruct`` gives the image that the decoder will have, ``estimate_bits`` the rate that likelihoods
    promise, ``inner`` what people may see of the network's inside, ``symbols`` the 8-bit values that it makes
    of the image, if there is such a thing; they compute when they are called, so that the time of
    `CompressionModel.encode` is the time of coding. ``latent_checksum``, two bytes as
    `lic.bitstream.checksum` makes them, is of what the decoder must find to the last bit; empty where nothing
    must. ``method`` (None is the network's) and ``options`` are the family's own. ``analysis_s`` are the
    seconds that the transform of the pixels took, their conversion included; NaN where there is none.
    """

    payloads: Sequence[bytes]
    reconstruct: Callable[[], Pixels]
    estimate_bits: Callable[[], float] = lambda: math.nan
    method: int | None = None
    latent_checksum: bytes = b""
    options: bytes = b""
    analysis_s: float = math.nan
    inner: Callable[[], Inner | None] = lambda: None
    symbols: Callable[[], Symbols | None] = lambda: None


class Network(nn.Module):
    """What `lic.models.build_model` makes, and checkpoints and model files describe and rebuild."""

    image_channels: int = 3  # 3 are red, green, blue, 1 is gray
    use: str = ""  # of what is no codec: what it does, and what to do with it
    architecture: str = ""  # the model's name and options in JSON, set by `lic.models.build_model`


class CompressionModel(Network, ABC):
    """A learned codec of images. What stands between image and bytes is the business of a subclass.

    Training sees float32 batches [N, C, H, W] in [0, 1] of any size from 1x1, with C = ``image_channels``.
    Coding sees one uint8 image [H, W, C], in evaluation and inference mode, on the CPU, after
    `lic.entropy.update_tables` or `load_tables`.
    """

    least_tile: int = 1  # pixels along a side
    method: int = 0  # of coding, among those of the family: it is written into streams
    has_checksum: bool = False  # whether streams have a checksum of latents

    @abstractmethod
    def forward(self, x: Tensor) -> Forward:
        """Reconstruct a batch and estimate its rate, for training and validation."""

    @abstractmethod
    def encode(self, image: Pixels, tile: int) -> Coded:
        """Code an image of any size from 1x1.

        Args:
            image: uint8 [H, W, C].
            tile: larger images are processed in parts of about tile² pixels, at least ``least_tile``
                along a side, where a network can be.

        Raises:
            UserError: it cannot be, and the image is too large to be processed whole.
        """

    @abstractmethod
    def decode(self, stream: Stream, tile: int) -> Pixels:
        """The image in a stream, uint8 [H, W, C]: what `Coded.reconstruct` gave.

        Raises:
            StreamError: the parts of the stream are not `encode`'s.
            UserError: see `encode`.
        """

    def check(self, stream: Stream) -> None:
        """Refuse streams with parts that the family does not write. Here: options, and another method.

        Raises:
            StreamError: the stream has such parts.
        """
        if stream.method != self.method:
            raise StreamError("The stream has another coding method than its model: the file is forged.")
        if stream.options:
            raise StreamError("The stream has options that its model does not know; use a newer lic.")
        if bool(stream.latent_checksum) != self.has_checksum:
            one = "no" if self.has_checksum else "a"
            raise StreamError(f"The stream has {one} checksum of latents, unlike its model's: it is forged.")


def check_width(name: str, width: int) -> None:
    """Refuse a channel count that the hyper nets cannot scale by 1.5."""
    if not isinstance(width, int) or width < 2 or width % 2:
        raise UserError(f"{name} must be a positive even number of channels, not {width!r}.")


def check_layer_width(name: str, width: object) -> None:
    """Refuse what is no number of channels."""
    if type(width) is not int or width < 1:
        raise UserError(f"{name} must be a positive number of channels, not {width!r}.")


def check_kernel_size(name: str, kernel_size: int) -> None:
    """Refuse a kernel size that padding k//2 does not centre."""
    if not isinstance(kernel_size, int) or kernel_size < 3 or kernel_size % 2 == 0:
        raise UserError(
            f"{name} must be an odd number from 3 on (the paper has 3, 5 and 9), not {kernel_size!r}."
        )


def check_block(name: str, block: int, blocks: tuple[int, ...] = (1, 2, 4)) -> None:
    """Refuse a side of blocks of pixels that is not among ``blocks``."""
    if type(block) is not int or block not in blocks:
        *others, last = blocks
        raise UserError(f"{name} must be {', '.join(map(str, others))} or {last}, not {block!r}.")


def check_channels(name: str, channels: int) -> int:
    """The channels of an image, 1 or 3; others are refused."""
    if type(channels) is not int or channels not in (1, 3):
        raise UserError(f"{name} must be 1 (gray) or 3 (colour), not {channels!r}.")
    return channels


def check_choice(name: str, value: str, choices: Iterable[str]) -> None:
    """Refuse what is not among ``choices``."""
    if value not in (known := tuple(choices)):
        raise UserError(f"{name} must be {' or '.join(known)}, not {value!r}.")


def check_flag(name: str, value: object) -> None:
    """Refuse what is neither true nor false."""
    if not isinstance(value, bool):
        raise UserError(f"{name} must be true or false, not {value!r}.")
