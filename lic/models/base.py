"""What every network offers: a forward pass for training, and coding of its latents to bytes."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from lic.errors import UserError

Size = tuple[int, int]


@dataclass(frozen=True)
class Forward:
    """A training pass: ``x_hat`` [N, 3, H, W] and, per latent, the estimated ``bits`` of each image [N]."""

    x_hat: Tensor
    bits: dict[str, Tensor]


class CompressionModel(nn.Module, ABC):
    """A learned codec: analysis ``g_a``, synthesis ``g_s``, and an entropy model of the latents between.

    Images are float32 [N, 3, H, W] in [0, 1] with H and W multiples of ``downsampling``. `encode` and
    `decode` work on one image, in evaluation and inference mode, on the CPU, after
    `lic.entropy.update_tables` or `load_tables`; both find the same ``y_hat`` on every machine.

    Args:
        pixel_unshuffle: the side of the blocks of pixels that take the place of pixels, in front of all
            stages that the family has: y and z have as many times fewer rows and columns.

    Raises:
        UserError: a block other than 1, 2 or 4.
    """

    downsampling: int  # of all of the net: padded sides are multiples of it
    stride: int = 16  # of g_a: x's sides are those of y times this
    channels: int  # of y
    mode: int = 0  # of the streams: in which order latents are coded, see `lic.bitstream.FIELDS`
    architecture: str = ""  # the model's name and options in JSON, set by `lic.models.build_model`
    g_a: nn.Module
    g_s: nn.Module

    def __init__(self, pixel_unshuffle: int = 1):
        super().__init__()
        check_block("model.pixel_unshuffle", pixel_unshuffle)
        self.downsampling = type(self).downsampling * pixel_unshuffle
        self.stride = type(self).stride * pixel_unshuffle

    @abstractmethod
    def bottleneck(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """What passes: noisy (training) or rounded (evaluation) ``y_hat``, and each latent's bits [N]."""

    def coded_bits(self, y: Tensor, y_hat: Tensor) -> dict[str, Tensor]:
        """Each latent's bits [N] that the likelihoods promise for y, when it is coded as ``y_hat``."""
        return self.bottleneck(y)[1]

    @abstractmethod
    def encode(self, y: Tensor) -> tuple[list[bytes], Tensor]:
        """Code y = g_a(x) of one image: the payloads of a stream, and y_hat, float32."""

    @abstractmethod
    def decode(self, payloads: Iterator[bytes], size: Size) -> Tensor:
        """y_hat from the next of ``payloads``; ``size`` is the padded image's (height, width).

        Raises:
            StopIteration: there are too few payloads.
            StreamError: they are not `encode`'s.
        """

    def forward(self, x: Tensor) -> Forward:
        """Reconstruct a batch and estimate its rate, for training and validation."""
        y = self.g_a(x)
        y_hat, bits = self.bottleneck(y)
        x_hat = self.g_s(y_hat)
        return Forward(x_hat, bits)


def check_width(name: str, width: int) -> None:
    """Refuse a channel count that the hyper nets cannot scale by 1.5."""
    if not isinstance(width, int) or width < 2 or width % 2:
        raise UserError(f"{name} must be a positive even number of channels, not {width}.")


def check_kernel_size(name: str, kernel_size: int) -> None:
    """Refuse a kernel size that padding k//2 does not centre."""
    if not isinstance(kernel_size, int) or kernel_size < 3 or kernel_size % 2 == 0:
        raise UserError(
            f"{name} must be an odd number from 3 on (the paper has 3, 5 and 9), not {kernel_size}."
        )


def check_block(name: str, block: int, blocks: tuple[int, ...] = (1, 2, 4)) -> None:
    """Refuse a side of blocks of pixels that is not among ``blocks``."""
    if type(block) is not int or block not in blocks:
        *others, last = blocks
        raise UserError(f"{name} must be {', '.join(map(str, others))} or {last}, not {block}.")


def check_flag(name: str, value: object) -> None:
    """Refuse what is neither true nor false."""
    if not isinstance(value, bool):
        raise UserError(f"{name} must be true or false, not {value!r}.")
