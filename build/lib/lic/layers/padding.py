"""Padding of images to the multiple that a network needs, and back: the only place that does it."""

import torch.nn.functional as F
from torch import Tensor


def padded_size(size: tuple[int, int], multiple: int) -> tuple[int, int]:
    """(height, width) rounded up to the next multiples."""
    height, width = size
    return -(-height // multiple) * multiple, -(-width // multiple) * multiple


def pad(x: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column of [N, C, H, W] until both sides are multiples.

    Replication works for every size down to 1x1, where reflection does not.
    """
    height, width = padded_size((x.shape[-2], x.shape[-1]), multiple)
    return F.pad(x, (0, width - x.shape[-1], 0, height - x.shape[-2]), mode="replicate")


def crop(x: Tensor, size: tuple[int, int]) -> Tensor:
    """The upper left (height, width) of [N, C, H, W]: undoes `pad`."""
    return x[..., : size[0], : size[1]]
