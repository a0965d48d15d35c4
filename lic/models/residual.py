"""The codec of "Deep Image Compression with Residual Learning", Appl. Sci. 2020, 10(11), 4023.

Binary codes of n bits a position, an importance map that says how many of them are kept, and r more
autoencoders that code what is left of the image. Much of it is a reconstruction, see docs/applsci2020.md.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from lic.bitstream import Stream, StreamError
from lic.data.images import Pixels, to_batch, to_float, to_image
from lic.entropy import bits as coder
from lic.errors import UserError
from lic.layers import conv, crop, pad, padded_size
from lic.layers.binarizer import QUANTIZERS
from lic.layers.importance import importance_mask, levels_of, mask_of
from lic.layers.mirrored import start_mirrored
from lic.layers.normalized import NORMALIZATIONS, Normalization, ResDwBlock, ResUpBlock
from lic.models.base import Coded, CompressionModel, Forward, Size, check_channels, check_choice, check_flag
from lic.models.inner import HeatMap, Inner, Stage
from lic.models.tiling import tiles

STEPS = 8
"""s, the groups of bits that a position may keep."""
STRIDE = 16
"""Pixels along a side of a position: M = 4 halvings."""


@dataclass(frozen=True)
class Stages(Forward):
    """A pass and what the objective needs besides: x_hat after each of the stages, and the rate.

    ``rate`` [N] is the paper's L_R, differentiable. ``bits`` are those of its formula: of each position the
    bits that are kept, the map itself not counted.
    """

    stages: tuple[Tensor, ...]
    rate: Tensor


class Autoencoder(nn.Module):
    """One stage: an image or what is left of one [N, C, H, W], n bits for each 16x16 pixels, and back.

    ::

              ┌─────┐  y   ┌─────────┐  u   ┌───┐  q    ┌─────┐
        x ──▶ │ g_a ├───▶──┤ to_code ├──▶───┤ Q ├──▶────┤ g_s ├──▶ x_hat
              └─────┘      └─────────┘      └───┘       └─────┘

    m = ``width``, n = ``bottleneck``. All but g_s's last layer begins near a linear map
    (`lic.layers.mirrored`), with codes so large that most bits are certain: what is drawn in training is then
    near what is coded in use. The last layer begins at zero, with a gray image and no correction of it.
    """

    def __init__(self, channels: int, width: int, bottleneck: int, quantizer: str, norm: Normalization):
        super().__init__()
        c, m, n = channels, width, bottleneck
        self.g_a = nn.Sequential(
            ResDwBlock(c, m, norm, from_pairs=False),
            ResDwBlock(m, m, norm),
            ResDwBlock(m, m, norm),
            ResDwBlock(m, m, norm),
        )
        self.to_code = nn.Sequential(
            conv(m, n, 3),
            nn.Tanh(),
        )
        self.quantizer = QUANTIZERS[quantizer](n)
        self.g_s = nn.Sequential(
            conv(n, m, 3),
            nn.LeakyReLU(),
            ResUpBlock(m, norm),
            ResUpBlock(m, norm),
            ResUpBlock(m, norm),
            ResUpBlock(m, norm),
            _from_zero(conv(m, c, 3)),
        )
        start_mirrored(cast(nn.Conv2d, self.to_code[0]), to_pairs=False, gain=4.0)
        start_mirrored(cast(nn.Conv2d, self.g_s[0]), from_pairs=False)

    def code(self, y: Tensor, kept: Tensor) -> Tensor:
        """The bits of y = g_a(x), -1 and 1, and 0 where none is kept: [N, n, h, w]."""
        return self.quantizer(self.to_code(y).float(), kept)

    def decode(self, q: Tensor) -> Tensor:
        """x_hat of bits."""
        return self.g_s(self.quantizer.dequantize(q)).float()


class _Unit(nn.Module):
    """x + conv3(lrelu(conv3(x))), of the post-processing."""

    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(conv(channels, channels, 3), nn.LeakyReLU(), conv(channels, channels, 3))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class ResidualGN(CompressionModel):
    """An autoencoder of the image, and r of what each leaves of it, all with the mask of one importance map.

    ::

        x ──▶ main ──▶ x_hat_0 ─┬─▶ + ──▶ x_hat_1 ─┬─▶ + ──▶ …  [ ──▶ post ──▶ x_hat ]
                                │   ▲              │   ▲
           x ──────────────▶  ( − )─┴ residual 1 ( − )─┴ residual 2

    Args:
        width: m, the channels of all blocks: 32, 64 or 128.
        bottleneck: n, the bits of a position and a stage: 32, 64 or 128; with an importance map a multiple
            of 8.
        residuals: r, the autoencoders after the first.
        quantizer: the reading of the channel residual quantiser, see `lic.layers.binarizer`.
        importance: whether a map says which bits are kept; all are without.
        normalization: ``group``, ``batch`` or ``gdn``.
        postprocess: whether eight residual units at full resolution follow (Zhou et al., CLIC 2018).
        target_ratio: the mean of the map up to which the objective charges nothing (Li et al. 2018).
        channels: of the image, 3 or 1.

    Raises:
        UserError: an option that is none of these.
    """

    def __init__(
        self,
        width: int = 64,
        bottleneck: int = 64,
        residuals: int = 1,
        quantizer: str = "accumulated",
        importance: bool = True,
        normalization: str = "group",
        postprocess: bool = False,
        target_ratio: float = 0.0,
        channels: int = 3,
    ):
        super().__init__()
        _check_sizes(width, bottleneck, residuals, STEPS if importance else 1)
        check_choice("model.quantizer", quantizer, QUANTIZERS)
        check_choice("model.normalization", normalization, NORMALIZATIONS)
        check_flag("model.importance", importance)
        check_flag("model.postprocess", postprocess)
        self.image_channels = check_channels("model.channels", channels)
        if (
            isinstance(target_ratio, bool)
            or not isinstance(target_ratio, int | float)
            or not 0 <= target_ratio < 1
        ):
            raise UserError(f"model.target_ratio must be from 0 to below 1, not {target_ratio!r}.")
        if target_ratio and not importance:
            raise UserError(
                "model.target_ratio is of the importance map, which model.importance=false leaves out."
            )
        c, m, n, norm = channels, width, bottleneck, NORMALIZATIONS[normalization]
        self.bottleneck, self.target_ratio = n, float(target_ratio)
        self.steps = STEPS if importance else 1
        self.main = Autoencoder(c, m, n, quantizer, norm)
        self.residual = nn.ModuleList(Autoencoder(c, m, n, quantizer, norm) for _ in range(residuals))
        self.importance = (
            nn.Sequential(
                conv(m, m, 3),
                nn.LeakyReLU(),
                conv(m, m // 2, 3),
                nn.LeakyReLU(),
                conv(m // 2, 1, 1),
                nn.Sigmoid(),
            )
            if importance
            else None
        )
        self.post = (
            nn.Sequential(
                conv(2 * c, 64, 3),
                *(_Unit(64) for _ in range(8)),
                _from_zero(conv(64, c, 3)),
            )
            if postprocess
            else None
        )

    def forward(self, x: Tensor) -> Stages:
        """See `CompressionModel.forward`."""
        size = (x.shape[-2], x.shape[-1])
        x = pad(x, STRIDE)
        y = self.main.g_a(x - 0.5)
        p, kept = self.mask(y)
        x_hat = self.main.decode(self.main.code(y, kept)) + 0.5
        stages = [x_hat]
        for stage in self._residual:
            x_hat = x_hat + stage.decode(stage.code(stage.g_a(x - x_hat), kept))
            stages.append(x_hat)
        if self.post:
            stages.append(self._polished(x_hat, stages[0]))
        cropped = tuple(crop(stage, size) for stage in stages)
        counted = kept.detach().flatten(1).sum(1)
        bits = {"main": counted, **{f"residual_{k + 1}": counted for k in range(len(self.residual))}}
        rate = (p.flatten(1).mean(1) - self.target_ratio).clamp(min=0)
        return Stages(cropped[-1], bits, cropped, rate)

    @property
    def _residual(self) -> list[Autoencoder]:
        return cast(list[Autoencoder], list(self.residual))

    def mask(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """The importance map p [N, 1, h, w] of y, and the mask [N, n, h, w] that it means; ones without."""
        if not self.importance:
            count, _, h, w = y.shape
            ones = torch.ones(count, self.bottleneck, h, w, device=y.device)
            return ones[:, :1], ones
        p = self.importance(y).float()
        return p, importance_mask(p, self.bottleneck, STEPS, self.training)

    def encode(self, image: Pixels, tile: int) -> Coded:
        """See `CompressionModel.encode`."""
        size = (image.shape[0], image.shape[1])
        self._positions(size, tile)  # what the decoder would refuse is not coded
        start = time.perf_counter()
        x = pad(to_float(to_batch(image)), STRIDE)
        y = self.main.g_a(x - 0.5)
        kept = self.mask(y)[1]
        codes, previous, x_hat = [self.main.code(y, kept)], self.main, torch.tensor(0.5)
        for stage in self._residual:
            x_hat = x_hat + previous.decode(codes[-1])
            codes.append(stage.code(stage.g_a(x - x_hat), kept))
            previous = stage
        if not all(q.isfinite().all() for q in codes):
            raise UserError(
                "The network's codes are not finite: its training diverged. Use an earlier checkpoint, or "
                "train again with a smaller optimizer.lr."
            )
        analysis_s = time.perf_counter() - start
        levels = levels_of(kept, self.steps)[0]
        maps = [coder.encode_levels(levels, STEPS)] if self.importance else []
        payloads = maps + [coder.encode_bits(q[0] > 0, levels, self.steps) for q in codes]
        return Coded(
            payloads,
            reconstruct=lambda: self._pixels(codes, size),
            estimate_bits=lambda: len(codes) * kept.sum().item(),
            analysis_s=analysis_s,
            inner=lambda: Inner(tuple(self._maps(levels)), tuple(self._stages(codes, payloads, size))),
        )

    def decode(self, stream: Stream, tile: int) -> Pixels:
        """See `CompressionModel.decode`."""
        size = (stream.height, stream.width)
        h, w = self._positions(size, tile)
        maps = stream.payloads[:1] if self.importance else ()
        payloads = stream.payloads[len(maps) :]
        if len(payloads) != 1 + len(self.residual):
            raise StreamError("The stream has another number of payloads than its model: the file is forged.")
        levels = torch.ones(h, w)
        for payload in maps:
            levels = coder.decode_levels(payload, h, w, STEPS)
        kept = mask_of(levels.unsqueeze(0), self.bottleneck, self.steps)
        bits = (coder.decode_bits(payload, levels, self.bottleneck, self.steps) for payload in payloads)
        return self._pixels([(2 * ones.unsqueeze(0).float() - 1) * kept for ones in bits], size)

    def _positions(self, size: Size, tile: int) -> Size:
        """The (height, width) of the codes of an image.

        Raises:
            UserError: it is too large to be processed whole; normalizations see all of it.
        """
        height, width = padded_size(size, STRIDE)
        positions = height // STRIDE, width // STRIDE
        next(tiles(positions, tile, STRIDE, lambda: None))
        return positions

    def _maps(self, levels: Tensor) -> Iterator[HeatMap]:
        if self.importance:
            unit = f"of {STEPS} groups of bits kept"
            yield HeatMap("importance map", unit, levels.double().numpy(), STRIDE, STEPS)

    def _stages(self, codes: Sequence[Tensor], payloads: Sequence[bytes], size: Size) -> Iterator[Stage]:
        """What the first payloads give, those of one autoencoder more each time; the last is decoded."""
        maps, images = len(payloads) - len(codes), list(self._images(codes))
        for k, x_hat in enumerate(images):
            spent = 8 * sum(map(len, payloads[: maps + k + 1]))
            yield Stage(f"x_hat_{k}", self._cropped(x_hat, size), spent)
        if self.post:
            yield Stage("post-processed", self._cropped(self._polished(images[-1], images[0]), size), spent)

    def _images(self, codes: Sequence[Tensor]) -> Iterator[Tensor]:
        """x_hat after each of the stages, before the post-processing."""
        yield (x_hat := self.main.decode(codes[0]) + 0.5)
        for stage, q in zip(self._residual, codes[1:], strict=True):
            yield (x_hat := x_hat + stage.decode(q))

    def _pixels(self, codes: Sequence[Tensor], size: Size) -> Pixels:
        """What the decoder gives for bits."""
        images = list(self._images(codes))
        x_hat = self._polished(images[-1], images[0]) if self.post else images[-1]
        return self._cropped(x_hat, size)

    @staticmethod
    def _cropped(x_hat: Tensor, size: Size) -> Pixels:
        return np.ascontiguousarray(to_image(x_hat)[: size[0], : size[1]])

    def _polished(self, x_hat: Tensor, first: Tensor) -> Tensor:
        """The last stage: x' + P(x', x_hat of the first stage)."""
        assert self.post is not None
        return x_hat + self.post(torch.cat([x_hat, first], 1)).float()


def _check_sizes(width: int, bottleneck: int, residuals: int, steps: int) -> None:
    if type(width) is not int or width < 4 or width % (4 if width <= 128 else 32):
        raise UserError(f"model.width must be a multiple of 4, above 128 of 32, not {width!r}.")
    if type(bottleneck) is not int or bottleneck < 1 or bottleneck % steps:
        raise UserError(f"model.bottleneck must be a positive multiple of {steps}, not {bottleneck!r}.")
    if type(residuals) is not int or not 0 <= residuals <= 8:
        raise UserError(f"model.residuals must be a whole number from 0 to 8, not {residuals!r}.")


def _from_zero(layer: nn.Conv2d) -> nn.Conv2d:
    """A layer that begins as if it were not there."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(cast(Tensor, layer.bias))
    return layer
