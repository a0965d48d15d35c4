"""HyperPrior-k of Cheng et al. 2019 (arXiv 1906.09731, Tables 2, 3 and 8)."""

from abc import abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from lic.entropy import EntropyBottleneck, GaussianConditional, IntegerNetwork, bands
from lic.layers import GDN, conv, depth_to_space, space_to_depth, tconv
from lic.models.base import Size, check_kernel_size, check_width
from lic.models.transform import TransformCoding


class HyperpriorCodec(TransformCoding):
    """Coding of y with a hyperprior: what all such codecs share.

    ``z = hyper_analysis(y)`` is coded with a factorized prior, then y band by band, with the normal
    distributions that a subclass derives from z_hat and, if it has a context, from the y_hat known so far.
    Training and estimates `predict` them in floating point. Coding derives them in integer arithmetic,
    because the decoder must find the encoder's means and scales exactly.
    """

    downsampling = 64
    least_rows = 4  # of a band of y, where it is not the last; a multiple of 4

    h_a: nn.Module
    h_s: nn.Module
    entropy_bottleneck: EntropyBottleneck
    gaussian_conditional: GaussianConditional

    @abstractmethod
    def predict(self, z_hat: Tensor, y_hat: Tensor) -> tuple[Tensor, Tensor]:
        """Means and scales of y in floating point; a context, where there is one, sees ``y_hat``."""

    @abstractmethod
    def encode_rows(self, rows: slice, y: Tensor, z_hat: Tensor, y_hat: Tensor) -> bytes:
        """The payload of some rows of y, whose y_hat is written to ``y_hat``; those above are known."""

    @abstractmethod
    def decode_rows(self, rows: slice, payload: bytes, z_hat: Tensor, y_hat: Tensor) -> None:
        """Write to ``y_hat`` the rows of a payload that `encode_rows` made."""

    def hyper_analysis(self, y: Tensor) -> Tensor:
        """The z of y."""
        return self.h_a(y)

    def bottleneck(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """See `TransformCoding.bottleneck`."""
        return self._pass(y, y)

    def likelihoods(self, y: Tensor, y_hat: Tensor) -> dict[str, Tensor]:
        """See `TransformCoding.likelihoods`."""
        return self._pass(y, y_hat)[1]

    def encode_latents(self, y: Tensor) -> tuple[list[bytes], Tensor]:
        """The payloads of z, then those of y given z."""
        payloads, z_hat = self.entropy_bottleneck.compress(self.hyper_analysis(y))
        y_hat = torch.empty_like(y, dtype=torch.float32)
        for rows in bands(*y.shape[1:], least=self.least_rows):
            payloads.append(self.encode_rows(rows, y, z_hat, y_hat))
        return payloads, y_hat

    def decode_latents(self, payloads: Iterator[bytes], size: Size) -> Tensor:
        """See `TransformCoding.decode_latents`."""
        height, width = (side // self.downsampling for side in size)
        z_hat = self.entropy_bottleneck.decompress(payloads, (height, width))
        y_size = (size[0] // self.stride, size[1] // self.stride)
        y_hat = torch.empty(1, self.latent_channels, *y_size, dtype=torch.float32)
        for rows in bands(*y_hat.shape[1:], least=self.least_rows):
            self.decode_rows(rows, next(payloads), z_hat, y_hat)
        return y_hat

    def _pass(self, y: Tensor, context: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        z_hat, p_z = self.entropy_bottleneck(self.hyper_analysis(y))
        means, scales = self.predict(z_hat, context)
        y_hat, p_y = self.gaussian_conditional(y, means=means, scales=scales)
        return y_hat, {"y": p_y, "z": p_z}


class ContextFreeHyperprior(HyperpriorCodec):
    """Given z, all of y is known at once.

    ::

              ┌─────┐  y                    ┌───┐  y_hat  ┌─────┐
        x ──▶ │ g_a ├──┬────────────────▶───┤ Q ├────▶────┤ g_s ├──▶ x_hat
              └─────┘  ▼                    └─┬─┘         └─────┘
                    ┌──┴──┐                   ▲ means, scales
                    │ h_a │           ┌───────┴─────────┐
                    └──┬──┘           │ hyper_synthesis │
                     z ▼              └───────┬─────────┘
                     ┌─┴─┐  z_hat             ▲
                     │ Q ├────▶───────────────┘
                     └───┘
               entropy_bottleneck

    ``moments`` are the layers of the hyper-synthesis in integer arithmetic.
    """

    moments: IntegerNetwork

    @abstractmethod
    def hyper_synthesis(self, z_hat: Tensor) -> Tensor:
        """The parameters of y that `split` parts, in floating point."""

    @abstractmethod
    def split(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Means and scales of y among the outputs of `hyper_synthesis` or ``moments``."""

    def predict(self, z_hat: Tensor, y_hat: Tensor) -> tuple[Tensor, Tensor]:
        """See `HyperpriorCodec.predict`."""
        return self.split(self.hyper_synthesis(z_hat))

    def encode_rows(self, rows: slice, y: Tensor, z_hat: Tensor, y_hat: Tensor) -> bytes:
        """See `HyperpriorCodec.encode_rows`."""
        means, scales = self.split(self.moments(z_hat, rows))
        payload, y_hat[:, :, rows] = self.gaussian_conditional.compress(
            y[:, :, rows], means=means, scales=scales
        )
        return payload

    def decode_rows(self, rows: slice, payload: bytes, z_hat: Tensor, y_hat: Tensor) -> None:
        """See `HyperpriorCodec.decode_rows`."""
        means, scales = self.split(self.moments(z_hat, rows))
        y_hat[:, :, rows] = self.gaussian_conditional.decompress(payload, means=means, scales=scales)


class MeanScaleHyperprior(ContextFreeHyperprior):
    """A mean-and-scale hyperprior (Minnen et al. 2018, without context): y is rounded around its mean.

    The hyper-synthesis is h_s followed by a net of 1x1 convolutions, ``entropy_parameters``. Cheng et al.
    write "Gaussian scale mixture" and leave the conditional open; the 2·M outputs of that net, and its
    constants 640 and 512 from Minnen et al., are the mean and the scale of each y.
    """

    entropy_parameters: nn.Module

    def add_prior(self, m: int) -> None:
        """Add the layers after ``h_s``, which do not depend on the family, for M channels of y and of z."""
        self.latent_channels = m
        self.entropy_parameters = nn.Sequential(
            conv(m * 2, 640, 1),
            nn.LeakyReLU(),
            conv(640, 512, 1),
            nn.LeakyReLU(),
            conv(512, m * 2, 1, bias=False),
        )
        self.entropy_bottleneck = EntropyBottleneck(m)
        self.gaussian_conditional = GaussianConditional()
        self.moments = IntegerNetwork(
            self.entropy_bottleneck.samples, *self.h_s.children(), *self.entropy_parameters
        )

    def hyper_synthesis(self, z_hat: Tensor) -> Tensor:
        """See `ContextFreeHyperprior.hyper_synthesis`."""
        return self.entropy_parameters(self.h_s(z_hat))

    def split(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """See `ContextFreeHyperprior.split`."""
        means, scales = parameters.chunk(2, dim=1)
        return means, scales


class Hyperprior(MeanScaleHyperprior):
    """HyperPrior-3, -5 and -9: the transforms of Baseline-k around a hyperprior of 3,057,728 parameters.

    The hyper path does not depend on ``kernel_size``. ``aux_kernel_size`` 9 (HyperPrior-9-Aux-9, Table 3)
    turns its four 5x5 layers into 9x9 ones; the paper does not say whether the two 3x3 layers change too,
    here they stay. HyperPrior-9-Aux-5 is HyperPrior-9. ``width`` 128 is the paper's; the constants 640 and
    512 do not scale with it.

    Raises:
        UserError: an even kernel size, an odd width, blocks other than 1, 2 or 4, or channels
            other than 1 or 3.
    """

    def __init__(
        self,
        kernel_size: int = 5,
        aux_kernel_size: int = 5,
        width: int = 128,
        pixel_unshuffle: int = 1,
        channels: int = 3,
    ):
        super().__init__(pixel_unshuffle, channels)
        check_kernel_size("model.kernel_size", kernel_size)
        check_kernel_size("model.aux_kernel_size", aux_kernel_size)
        check_width("model.width", width)
        k, a, n, r, c = kernel_size, aux_kernel_size, width, pixel_unshuffle, channels
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
        self.add_prior(n)
