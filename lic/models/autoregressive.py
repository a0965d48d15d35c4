"""slowdic of Cai et al. 2019: the joint autoregressive and hierarchical prior of Minnen et al. 2018.

Its decoder was slow by nature, hence the name: each latent depends on those that a raster scan has passed.
`lic.entropy.wavefronts` finds the ones that do not depend on each other.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from lic.entropy import (
    ORDERS,
    CausalConv,
    EntropyBottleneck,
    GaussianConditional,
    IntegerNetwork,
    Scan,
)
from lic.layers import GDN, conv, depth_to_space, space_to_depth, tconv
from lic.models.base import check_width
from lic.models.hyperprior import HyperpriorCodec

_ITERATIONS = 3  # that make the samples of y_hat depend on each other


class JointAutoregressive(HyperpriorCodec):
    """CompressAI's `JointAutoregressiveHierarchicalPriors` layer by layer.

    ::

              ┌─────┐  y                              ┌───┐  y_hat     ┌─────┐
        x ──▶ │ g_a ├──┬──────────────────────────▶───┤ Q ├────┬───▶───┤ g_s ├──▶ x_hat
              └─────┘  ▼                              └─┬─┘    ▼       └─────┘
                    ┌──┴──┐                             ▲ means, scales
                    │ h_a │                  ┌──────────┴─────────┐
                    └──┬──┘                  │ entropy_parameters │
                     z ▼                     └──┬──────────────┬──┘
                     ┌─┴─┐  z_hat   ┌─────┐ psi ▲          phi ▲
                     │ Q ├────▶─────┤ h_s ├─────┘  ┌───────────┴────────┐
                     └───┘          └─────┘        │ context_prediction │◀── y_hat, what is known of it
               entropy_bottleneck                  └────────────────────┘

    ``width``, ``bottleneck`` = N, M are 192, 192 for low rates (14,130,467 parameters) and 192, 320 for high
    ones. Coding evaluates all three nets between z_hat and the scales in integers, see `IntegerNetwork`:
    ``psi`` is h_s, ``phi`` context_prediction, ``moments`` entropy_parameters.

    Raises:
        UserError: an odd width or bottleneck, a block other than 1, 2 or 4, or channels other than
            1 or 3.
    """

    method = 1  # wavefronts; 0, a raster scan, finds the same y_hat in many more steps
    least_rows = 32  # a wavefront has as many positions at most

    def __init__(self, width: int = 192, bottleneck: int = 192, pixel_unshuffle: int = 1, channels: int = 3):
        super().__init__(pixel_unshuffle, channels)
        check_width("model.width", width)
        check_width("model.bottleneck", bottleneck)
        r, n, m = pixel_unshuffle, width, bottleneck
        image = channels * r * r
        self.latent_channels = m
        self.g_a = nn.Sequential(
            *space_to_depth(r),
            conv(image, n, 5, stride=2),
            GDN(n),
            conv(n, n, 5, stride=2),
            GDN(n),
            conv(n, n, 5, stride=2),
            GDN(n),
            conv(n, m, 5, stride=2),
        )
        self.g_s = nn.Sequential(
            tconv(m, n, 5),
            GDN(n, inverse=True),
            tconv(n, n, 5),
            GDN(n, inverse=True),
            tconv(n, n, 5),
            GDN(n, inverse=True),
            tconv(n, image, 5),
            *depth_to_space(r),
        )
        self.h_a = nn.Sequential(
            conv(m, n, 3),
            nn.LeakyReLU(),
            conv(n, n, 5, stride=2),
            nn.LeakyReLU(),
            conv(n, n, 5, stride=2),
        )
        self.h_s = nn.Sequential(
            tconv(n, m, 5),
            nn.LeakyReLU(),
            tconv(m, m * 3 // 2, 5),
            nn.LeakyReLU(),
            conv(m * 3 // 2, m * 2, 3),
        )
        self.context_prediction = CausalConv(m, m * 2)
        self.entropy_parameters = nn.Sequential(
            conv(m * 4, m * 10 // 3, 1),
            nn.LeakyReLU(),
            conv(m * 10 // 3, m * 8 // 3, 1),
            nn.LeakyReLU(),
            conv(m * 8 // 3, m * 2, 1),
        )
        self.entropy_bottleneck = EntropyBottleneck(n, filters=(3, 3, 3, 3))
        self.gaussian_conditional = GaussianConditional()
        self.psi = IntegerNetwork(self.entropy_bottleneck.samples, *self.h_s)
        self.phi = IntegerNetwork(self._context_samples, self.context_prediction)
        self.moments = IntegerNetwork(self._parameter_samples, *self.entropy_parameters)

    def predict(self, z_hat: Tensor, y_hat: Tensor) -> tuple[Tensor, Tensor]:
        """See `HyperpriorCodec.predict`; all positions at once, which decoding cannot do."""
        psi, phi = self.h_s(z_hat), self.context_prediction(y_hat)
        return _split(self.entropy_parameters(torch.cat([psi, phi], 1)))

    def bottleneck(self, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """See `TransformCoding.bottleneck`.

        In evaluation the context is that of round(y), all at once, as in CompressAI. The coded y_hat,
        round(y - means) + means, would need the steps of coding.
        """
        y_hat = self.gaussian_conditional.quantize(y.float(), "noise" if self.training else "dequantize")
        return y_hat, self.likelihoods(y, y_hat)

    def encode_rows(self, rows: slice, y: Tensor, z_hat: Tensor, y_hat: Tensor) -> bytes:
        """See `HyperpriorCodec.encode_rows`."""
        scan = Scan(y_hat, rows, ORDERS[self.method])
        wanted = scan.in_order(y[:, :, rows])
        symbols, indexes = [], []
        for step, means, scales in self._steps(scan, z_hat, rows):
            symbols.append(self.gaussian_conditional.symbols(wanted[..., step], means))
            indexes.append(self.gaussian_conditional.indexes(scales))
            scan.put(step, symbols[-1] + means)
        return self.gaussian_conditional.encode(
            *(torch.cat([s.flatten() for s in x]) for x in (symbols, indexes))
        )

    def decode_rows(self, rows: slice, payload: bytes, z_hat: Tensor, y_hat: Tensor) -> None:
        """See `HyperpriorCodec.decode_rows`."""
        scan = Scan(y_hat, rows, ORDERS[self.method])
        decoder = self.gaussian_conditional.decoder(payload, y_hat[:, :, rows].numel())
        for step, means, scales in self._steps(scan, z_hat, rows):
            scan.put(step, decoder.decode(self.gaussian_conditional.indexes(scales)) + means)
        decoder.finish()

    def _steps(self, scan: Scan, z_hat: Tensor, rows: slice) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Each step with its means and scales; its y_hat is put into ``scan`` before the next."""
        psi = scan.in_order(self.psi(z_hat, rows))
        for step in scan:
            phi = self.phi(scan.neighbours(step))
            yield step, *_split(self.moments(torch.cat([psi[..., step], phi], 1)))

    def _samples(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Random z_hat and y_hat that the model itself makes up, of the distributions that it predicts."""
        generator = torch.Generator().manual_seed(0)
        for z_hat in self.entropy_bottleneck.samples():
            size = (4 * z_hat.shape[2], 4 * z_hat.shape[3])
            noise = torch.randn(z_hat.shape[0], self.latent_channels, *size, generator=generator)
            y_hat = torch.zeros_like(noise)
            for _ in range(_ITERATIONS):
                means, scales = self.predict(z_hat, y_hat)
                y_hat = means + (noise * scales.clamp_min(0)).round()
            yield z_hat, y_hat

    def _context_samples(self) -> list[Tensor]:
        return [y_hat for _, y_hat in self._samples()]

    def _parameter_samples(self) -> list[Tensor]:
        return [torch.cat([self.h_s(z), self.context_prediction(y)], 1) for z, y in self._samples()]


def _split(parameters: Tensor) -> tuple[Tensor, Tensor]:
    """Means and scales; CompressAI's network has them the other way round."""
    scales, means = parameters.chunk(2, dim=1)
    return means, scales
