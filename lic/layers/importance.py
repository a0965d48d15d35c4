"""The importance map as a mask: how many bits each position of a code keeps (Appl. Sci. 2020, 10, 4023).

The n channels are in s groups. A position with importance p keeps its first groups, as many as there are
thresholds (t − 1/2) / s up to p: a prefix of the channels, by a number from 0 to s. In training each
threshold is a sigmoid of slope `SLOPE` and the mask a sample of it, with one uniform number for all
thresholds of a position, so that the groups stay nested; the gradient passes as if it were the sigmoid.
"""

import torch
from torch import Tensor

from lic.entropy.noise import uniform_like

SLOPE = 32.0
"""Of the sigmoids: their transition is about as wide as the distance of two thresholds, for s = 8."""


def importance_mask(p: Tensor, channels: int, steps: int, training: bool) -> Tensor:
    """The mask [N, channels, h, w] of ones and zeros that an importance map p [N, 1, h, w] in (0, 1) means.

    ``channels`` is a multiple of ``steps``.
    """
    thresholds = (torch.arange(steps, dtype=p.dtype, device=p.device) + 0.5) / steps
    distance = p - thresholds.view(-1, 1, 1)
    smooth = torch.sigmoid(SLOPE * distance)
    hard = (uniform_like(p) < smooth if training else distance >= 0).to(p.dtype)
    return (smooth + (hard - smooth).detach()).repeat_interleave(channels // steps, 1)


def levels_of(mask: Tensor, steps: int) -> Tensor:
    """The number of groups that each position keeps, int64 [N, h, w] from 0 to ``steps``."""
    return mask[:, :: mask.shape[1] // steps].sum(1).round().long()


def mask_of(levels: Tensor, channels: int, steps: int) -> Tensor:
    """The mask, float32 [N, channels, h, w], of levels [N, h, w]: what `levels_of` undoes."""
    groups = torch.arange(steps, device=levels.device).view(-1, 1, 1)
    return (groups < levels.unsqueeze(1)).float().repeat_interleave(channels // steps, 1)
