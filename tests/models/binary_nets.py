"""Small nets of binary latents, in evaluation mode."""

from typing import Any

import numpy as np
import torch
from torch import nn

from lic.codecs.base import CodecInfo
from lic.data import Pixels
from lic.models import ResidualGN, build_model

INFO = CodecInfo("residual", "", learned=True, model="residual_gn")
KINDS: dict[str, dict[str, Any]] = {
    "r=1": {},
    "r=0": {"residuals": 0},
    "r=3": {"residuals": 3},
    "previous": {"quantizer": "previous"},
    "independent": {"quantizer": "independent"},
    "no map": {"importance": False, "bottleneck": 5},
    "batch": {"normalization": "batch"},
    "gdn": {"normalization": "gdn"},
    "post": {"postprocess": True},
    "gray": {"channels": 1},
}


def make(seed: int = 0, **options: Any) -> ResidualGN:
    torch.manual_seed(seed)
    net = build_model("residual_gn", **{"width": 8, "bottleneck": 16, **options})
    assert isinstance(net, ResidualGN)
    with torch.no_grad():
        if net.importance:  # or all positions are alike
            *earlier, last, _ = net.importance
            assert isinstance(last, nn.Conv2d) and last.bias is not None
            x = torch.from_numpy(image(96, 96, net.image_channels)).permute(2, 0, 1).unsqueeze(0) / 255
            logits = last(nn.Sequential(*earlier)(net.main.g_a(x - 0.5)))
            last.weight.mul_(2 / logits.std())
            last.bias.copy_(2 * (last.bias - logits.mean()) / logits.std())
        for stage in (net.main, *net.residual):
            stage.get_parameter("g_s.6.weight").normal_(0, 0.05)
        if net.post:  # or it does nothing yet
            net.get_parameter("post.9.weight").normal_(0, 0.01)
    return net.eval()


def image(height: int, width: int, channels: int = 3) -> Pixels:
    rows, columns = np.mgrid[:height, :width]
    waves = [128 + 100 * np.sin(rows / (9 + c)) * np.cos(columns / (13 - c)) for c in range(channels)]
    noise = np.random.default_rng(0).normal(0, 12, (height, width, channels))
    return (np.stack(waves, -1) + noise).clip(0, 255).astype(np.uint8)
