"""The codec of "Deep Image Compression with Residual Learning", Appl. Sci. 2020, 10(11), 4023.

Binary codes of n bits a position, an importance map that says how many of them are kept, and r more
autoencoders that code what is left of the image. Much of it is a reconstruction, see docs/applsci2020.md.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
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
from lic.layers.normalized import NORMALIZATIONS
from lic.models.autoencoder import STRIDE, Autoencoder, PostProcessing
from lic.models.base import Coded, CompressionModel, Forward, Size, check_channels, check_choice, check_flag
from lic.models.inner import HeatMap, Inner, Stage

STEPS = 8
"""s, the groups of bits that a position may keep."""


@dataclass(frozen=True)
class Stages(Forward):
    """A pass and what the objective needs besides: x_hat after each of the stages, and the rate.

    ``rate`` [N] is the paper's L_R, differentiable. ``bits`` are those of its formula: of each position the
    bits that are kept, the map itself not counted.
    """

    stages: tuple[Tensor, ...]
    rate: Tensor


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

    least_tile = STRIDE

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
        self.post = PostProcessing(c) if postprocess else None

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
            stages.append(self.post.polish(x_hat, stages[0]))
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
        start = time.perf_counter()
        x = pad(to_float(to_batch(image)), STRIDE)
        y = self.main.analyze(x - 0.5, tile)
        kept = self.mask(y)[1]
        codes, previous, x_hat = [self.main.code(y, kept)], self.main, torch.tensor(0.5)
        for stage in self._residual:
            x_hat = x_hat + previous.synthesize(codes[-1], tile)
            codes.append(stage.code(stage.analyze(x - x_hat, tile), kept))
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
            reconstruct=lambda: self._pixels(codes, size, tile),
            estimate_bits=lambda: len(codes) * kept.sum().item(),
            analysis_s=analysis_s,
            inner=lambda: Inner(tuple(self._maps(levels)), tuple(self._stages(codes, payloads, size, tile))),
        )

    def decode(self, stream: Stream, tile: int) -> Pixels:
        """See `CompressionModel.decode`."""
        size = (stream.height, stream.width)
        h, w = (side // STRIDE for side in padded_size(size, STRIDE))
        maps = stream.payloads[:1] if self.importance else ()
        payloads = stream.payloads[len(maps) :]
        if len(payloads) != 1 + len(self.residual):
            raise StreamError("The stream has another number of payloads than its model: the file is forged.")
        levels = torch.ones(h, w)
        for payload in maps:
            levels = coder.decode_levels(payload, h, w, STEPS)
        kept = mask_of(levels.unsqueeze(0), self.bottleneck, self.steps)
        bits = (coder.decode_bits(payload, levels, self.bottleneck, self.steps) for payload in payloads)
        return self._pixels([(2 * ones.unsqueeze(0).float() - 1) * kept for ones in bits], size, tile)

    def _maps(self, levels: Tensor) -> Iterator[HeatMap]:
        if self.importance:
            unit = f"of {STEPS} groups of bits kept"
            yield HeatMap("importance map", unit, levels.double().numpy(), STRIDE, STEPS)

    def _stages(
        self, codes: Sequence[Tensor], payloads: Sequence[bytes], size: Size, tile: int
    ) -> Iterator[Stage]:
        """What the first payloads give, those of one autoencoder more each time; the last is decoded."""
        maps, images = len(payloads) - len(codes), list(self._images(codes, tile))
        for k, x_hat in enumerate(images):
            spent = 8 * sum(map(len, payloads[: maps + k + 1]))
            yield Stage(f"x_hat_{k}", _cropped(x_hat, size), spent)
        if self.post:
            polished = self.post.polish(images[-1], images[0], tile)
            yield Stage("post-processed", _cropped(polished, size), spent)

    def _images(self, codes: Sequence[Tensor], tile: int) -> Iterator[Tensor]:
        """x_hat after each of the stages, before the post-processing."""
        yield (x_hat := self.main.synthesize(codes[0], tile) + 0.5)
        for stage, q in zip(self._residual, codes[1:], strict=True):
            yield (x_hat := x_hat + stage.synthesize(q, tile))

    def _pixels(self, codes: Sequence[Tensor], size: Size, tile: int) -> Pixels:
        """What the decoder gives for bits."""
        images = self._images(codes, tile)
        first = next(images)
        last = reduce(lambda _, x_hat: x_hat, images, first)
        return _cropped(self.post.polish(last, first, tile) if self.post else last, size)


def _cropped(x_hat: Tensor, size: Size) -> Pixels:
    return np.ascontiguousarray(to_image(x_hat)[: size[0], : size[1]])


def _check_sizes(width: int, bottleneck: int, residuals: int, steps: int) -> None:
    if type(width) is not int or width < 4 or width % (4 if width <= 128 else 32):
        raise UserError(f"model.width must be a multiple of 4, above 128 of 32, not {width!r}.")
    if type(bottleneck) is not int or bottleneck < 1 or bottleneck % steps:
        raise UserError(f"model.bottleneck must be a positive multiple of {steps}, not {bottleneck!r}.")
    if type(residuals) is not int or not 0 <= residuals <= 8:
        raise UserError(f"model.residuals must be a whole number from 0 to 8, not {residuals!r}.")
