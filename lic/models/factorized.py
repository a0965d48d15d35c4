"""Baseline-k of Cheng et al. 2019 (arXiv 1906.09731, Table 1): no hyperprior."""

from collections.abc import Iterator

from torch import Tensor, nn

from lic.entropy import EntropyBottleneck
from lic.layers import GDN, conv, depth_to_space, space_to_depth, tconv
from lic.models.base import Size, check_kernel_size, check_width
from lic.models.transform import TransformCoding


class FactorizedPrior(TransformCoding):
    """Signal flow of a codec whose latents have one learned density per channel (Ballé et al. 2018).

    ::

              ┌─────┐  y   ┌───┐  y_hat  ┌─────┐
        x ──▶ │ g_a ├───▶──┤ Q ├────▶────┤ g_s ├──▶ x_hat
              └─────┘      └───┘         └─────┘
                      entropy_bottleneck
    """

    entropy_bottleneck: EntropyBottleneck

    def bottleneck(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """See `TransformCoding.bottleneck`."""
        y_hat, p_y = self.entropy_bottleneck(y)
        return y_hat, {"y": p_y}

    def encode_latents(self, y: Tensor) -> tuple[list[bytes], Tensor]:
        """The payloads of y."""
        return self.entropy_bottleneck.compress(y)

    def decode_latents(self, payloads: Iterator[bytes], size: Size) -> Tensor:
        """See `TransformCoding.decode_latents`."""
        return self.entropy_bottleneck.decompress(payloads, (size[0] // self.stride, size[1] // self.stride))


class Baseline(FactorizedPrior):
    """Baseline-3, -5 and -9: four strided convolutions each way, 1/16 of the resolution.

    Section A of the paper's Table 9 with ``width`` 128: 4.25e9 FLOPs (k = 3), 1.18e10 (5), 3.82e10 (9).
    The encoder's last convolution has no bias.

    Raises:
        UserError: an even kernel size, an odd width, blocks other than 1, 2 or 4, or channels
            other than 1 or 3.
    """

    downsampling = 16

    def __init__(self, kernel_size: int = 5, width: int = 128, pixel_unshuffle: int = 1, channels: int = 3):
        super().__init__(pixel_unshuffle, channels)
        check_kernel_size("model.kernel_size", kernel_size)
        check_width("model.width", width)
        k, n, r, c = kernel_size, width, pixel_unshuffle, channels
        self.latent_channels = n
        self.g_a = nn.Sequential(
            *space_to_depth(r),
            conv(c * r * r, n, k, stride=2),
            GDN(n),
            conv(n, n, k, stride=2),
            GDN(n),
            conv(n, n, k, stride=2),
            GDN(n),
            conv(n, n, k, stride=2, bias=False),
        )
        self.g_s = nn.Sequential(
            tconv(n, n, k),
            GDN(n, inverse=True),
            tconv(n, n, k),
            GDN(n, inverse=True),
            tconv(n, n, k),
            GDN(n, inverse=True),
            tconv(n, c * r * r, k),
            *depth_to_space(r),
        )
        self.entropy_bottleneck = EntropyBottleneck(n)
