"""HyperPrior-k of Cheng et al. 2019 (arXiv 1906.09731, Tables 2, 3 and 8)."""

from collections.abc import Sequence

from torch import Tensor, nn

from lic.entropy import EntropyBottleneck, GaussianConditional, total_bits
from lic.layers import GDN, conv, tconv
from lic.models.base import CompressionModel, Latents, Size, check_kernel_size, check_width


class MeanScaleHyperprior(CompressionModel):
    """Signal flow of a codec with a mean-and-scale hyperprior (Minnen et al. 2018, without context).

    ::

              ┌─────┐  y                    ┌───┐  y_hat  ┌─────┐
        x ──▶ │ g_a ├──┬────────────────▶───┤ Q ├────▶────┤ g_s ├──▶ x_hat
              └─────┘  ▼                    └─┬─┘         └─────┘
                    ┌──┴──┐                   ▲ means, scales
                    │ h_a │       ┌───────────┴────────┐
                    └──┬──┘       │ entropy_parameters │
                     z ▼          └───────────┬────────┘
                     ┌─┴─┐  z_hat  ┌─────┐    ▲
                     │ Q ├────▶────┤ h_s ├────┘
                     └───┘         └─────┘
               entropy_bottleneck

    The paper writes "Gaussian scale mixture" and leaves the conditional open; the 2·M outputs of its
    entropy parameter net, and its constants 640 and 512 from Minnen et al., are the mean and the scale of
    each y. y is rounded around its mean.
    """

    downsampling = 64
    payloads = 2

    h_a: nn.Module
    h_s: nn.Module
    entropy_parameters: nn.Module
    entropy_bottleneck: EntropyBottleneck
    gaussian_conditional: GaussianConditional

    def bottleneck(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """See `CompressionModel.bottleneck`."""
        z = self.h_a(y)
        z_hat, p_z = self.entropy_bottleneck(z)
        means, scales = self.entropy_parameters(self.h_s(z_hat)).chunk(2, dim=1)
        y_hat, p_y = self.gaussian_conditional(y, means, scales)
        return y_hat, {"y": total_bits(p_y), "z": total_bits(p_z)}

    def encode(self, y: Tensor) -> tuple[list[bytes], Latents]:
        """Two payloads: z, then y given z."""
        z = self.h_a(y)
        z_payload = self.entropy_bottleneck.compress(z)
        height, width = z.shape[-2:]
        means, scales = self._moments(z_payload, (height, width))
        y_payload = self.gaussian_conditional.compress(y, means, scales)
        symbols = self.gaussian_conditional.quantize(y, "symbols", means)
        return [z_payload, y_payload], Latents(symbols, symbols + means)

    def decode(self, payloads: Sequence[bytes], size: Size) -> Latents:
        """See `CompressionModel.decode`."""
        z_payload, y_payload = payloads
        z_size = (size[0] // self.downsampling, size[1] // self.downsampling)
        means, scales = self._moments(z_payload, z_size)
        symbols = self.gaussian_conditional.decompress(y_payload, scales)
        return Latents(symbols, symbols + means)

    def _moments(self, z_payload: bytes, z_size: Size) -> tuple[Tensor, Tensor]:
        """Means and scales of y. Encoder and decoder must call this one function on the same bytes."""
        z_hat = self.entropy_bottleneck.decompress(z_payload, z_size)
        means, scales = self.entropy_parameters(self.h_s(z_hat)).chunk(2, dim=1)
        return means, scales


class Hyperprior(MeanScaleHyperprior):
    """HyperPrior-3, -5 and -9: the transforms of Baseline-k around a hyperprior of 3,057,728 parameters.

    The hyper path does not depend on ``kernel_size``. ``aux_kernel_size`` 9 (HyperPrior-9-Aux-9, Table 3)
    turns its four 5x5 layers into 9x9 ones; the paper does not say whether the two 3x3 layers change too,
    here they stay. HyperPrior-9-Aux-5 is HyperPrior-9. ``width`` 128 is the paper's; the constants 640 and
    512 do not scale with it.

    Raises:
        UserError: an even kernel size or an odd width.
    """

    def __init__(self, kernel_size: int = 5, aux_kernel_size: int = 5, width: int = 128):
        super().__init__()
        check_kernel_size("model.kernel_size", kernel_size)
        check_kernel_size("model.aux_kernel_size", aux_kernel_size)
        check_width("model.width", width)
        k, a, n = kernel_size, aux_kernel_size, width
        self.g_a = nn.Sequential(
            conv(3, n, k, stride=2),
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
            tconv(n, 3, k),
        )
        self.h_a = nn.Sequential(
            conv(n, n, 3),
            nn.LeakyReLU(),
            conv(n, n, a, stride=2),
            nn.LeakyReLU(),
            conv(n, n, a, stride=2),
        )
        self.h_s = nn.Sequential(
            tconv(n, n, a),
            nn.LeakyReLU(),
            tconv(n, n * 3 // 2, a),
            nn.LeakyReLU(),
            conv(n * 3 // 2, n * 2, 3),
        )
        self.entropy_parameters = nn.Sequential(
            conv(n * 2, 640, 1),
            nn.LeakyReLU(),
            conv(640, 512, 1),
            nn.LeakyReLU(),
            conv(512, n * 2, 1, bias=False),
        )
        self.entropy_bottleneck = EntropyBottleneck(n)
        self.gaussian_conditional = GaussianConditional()
