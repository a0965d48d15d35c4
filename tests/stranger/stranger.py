"""A package of somebody else's: a network, a codec around JPEG, one without a network, a training, a measure.

It shares nothing with lic's families but the contracts. `tests/test_stranger.py` installs and uses it.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, partial
from io import BytesIO
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lic.bitstream import Stream
from lic.codecs.base import CodecInfo, Encoded, FileCodec
from lic.codecs.classical import PillowCodec
from lic.codecs.learned import LearnedCodec
from lic.codecs.networks import codec_of
from lic.data import Pixels, to_float
from lic.data.images import read_image, to_batch, to_image, to_pil
from lic.data.loading import Batch
from lic.errors import UserError
from lic.metrics.measures import Measure
from lic.models import Coded, CompressionModel, Forward
from lic.models.inner import Inner, Stage
from lic.store.objective import Objective
from lic.training.base import SeveralOptimizers, check_number


class Half(CompressionModel):
    """An image of half the size, and a network that enlarges it again."""

    method = 1

    def __init__(self, width: int = 4, channels: int = 3):
        super().__init__()
        self.image_channels = channels
        self.enlarge = nn.Sequential(nn.Conv2d(channels, 4 * channels, 3, padding=1), nn.PixelShuffle(2))

    def forward(self, x: Tensor) -> Forward:
        return Forward(self.enlarge(x[..., ::2, ::2])[..., : x.shape[-2], : x.shape[-1]], {})

    def encode(self, image: Pixels, tile: int) -> Coded:
        small = np.ascontiguousarray(image[::2, ::2])
        height, width, _ = image.shape
        return Coded([small.tobytes()], lambda: self.restored(small, height, width))

    def decode(self, stream: Stream, tile: int) -> Pixels:
        size = -(-stream.height // 2), -(-stream.width // 2), self.image_channels
        small = np.frombuffer(stream.payloads[0], np.uint8).reshape(size)
        return self.restored(small, stream.height, stream.width)

    def restored(self, small: Pixels, height: int, width: int) -> Pixels:
        return to_image(self.enlarge(to_float(to_batch(small))))[:height, :width]


class HalfInJpeg(LearnedCodec):
    """The small image is a JPEG file, of one of three qualities."""

    net: Half

    def __init__(self, net: Half, info: CodecInfo, *, quality: int = 60, **options: Any):
        choices, moving = info.choices | {"quality": quality}, [*info.moving, "quality"]
        own = replace(info, setting=f"quality {quality}", choices=choices, moving=moving)
        super().__init__(net, own, **options)
        self.inner = PillowCodec("jpeg", quality)
        self.at = partial(HalfInJpeg, net, info, **options)

    @cached_property
    def settings(self) -> Mapping[str, FileCodec]:
        return {f"jpeg-{q}": self.at(quality=q) for q in (30, 60, 90)}

    def code(self, image: Pixels) -> Coded:
        inner = self.inner.encode(np.ascontiguousarray(image[::2, ::2]))
        height, width, _ = image.shape

        def restored() -> Pixels:
            return self.net.restored(inner.reconstruct(), height, width)

        def shown() -> Inner:
            return Inner(stages=(Stage("enlarged", restored(), 8 * len(inner.data)),))

        return Coded([inner.data], restored, inner=shown)

    def restore(self, stream: Stream) -> Pixels:
        shape = -(-stream.height // 2), -(-stream.width // 2), self.net.image_channels
        return self.net.restored(self.inner.decode(stream.payloads[0], shape), stream.height, stream.width)


codec_of.register(Half)(HalfInJpeg)


class Tiff(FileCodec):
    """Deflated or not at all: two settings without any loss, which need no training."""

    suffix = ".tiff"

    def __init__(self, compression: str = "tiff_adobe_deflate"):
        self.compression = compression
        options: dict[str, Any] = {"compression": compression}
        self.info = CodecInfo("TIFF", compression, False, "tiff", options, moving=["compression"])

    @property
    def settings(self) -> Mapping[str, FileCodec]:
        return {f"tiff-{compression}": Tiff(compression) for compression in ("raw", "tiff_adobe_deflate")}

    def encode(self, image: Pixels) -> Encoded:
        to_pil(image).save(buffer := BytesIO(), "TIFF", compression=self.compression)
        return Encoded(buffer.getvalue(), lambda: image, lambda: math.nan)

    def decode(self, data: bytes) -> Pixels:
        return read_image(BytesIO(data))


class Duel(SeveralOptimizers):
    """Phase 1 makes the error small; phase 2 also pleases a critic, which learns meanwhile. No rate, no λ."""

    monitor = "val/error"

    def __init__(self, net: Half, config: dict[str, Any], *, phase: int = 1, rate: float = 0.01):
        super().__init__(net, config)
        if phase not in (1, 2):
            raise UserError(f"phase must be 1 or 2, not {phase!r}.")
        self.phase, self.rate = phase, check_number("rate", rate)
        self.critic = nn.Conv2d(net.image_channels, 1, 3)

    @property
    def objective(self) -> Objective:
        return Objective({"phase": self.phase, "rate": self.rate}, f"phase {self.phase}", "duel", ["phase"])

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return [torch.optim.Adam(module.parameters(), self.rate) for module in (self.net, self.critic)]

    def losses(self, batch: Batch) -> tuple[Tensor, Tensor]:
        x = to_float(batch.patches)
        x_hat = self.net(x).x_hat
        praise = self.critic(x_hat).mean() if self.phase == 2 else 0
        critic = self.critic(x_hat.detach()).mean() - self.critic(x).mean()
        return (x_hat - x).square().mean() - 0.001 * praise, critic

    def rehearse(self, batch: Batch) -> None:
        torch.stack(self.losses(batch)).sum().backward()
        self.zero_grad()

    def training_step(self, batch: Batch, batch_index: int) -> None:
        net, critic = self.losses(batch)
        self.log_dict({"train/net": net.detach(), "train/critic": critic.detach()})
        self.descend(0, net, batch_index)
        self.descend(1, critic, batch_index, clip_norm=1)

    def validation_step(self, batch: Tensor, batch_index: int) -> None:
        x = to_float(batch)
        self.log("val/error", (self.net(x).x_hat - x).square().mean())


def _worst(x: Tensor, y: Tensor) -> Tensor:
    return (x.float() - y.float()).abs().flatten(1).amax(1)


WORST = Measure("worst", "Worst pixel", _worst, unit="levels", digits=0, higher_is_better=False, lowest=0)
