"""Figure 3's blocks, with each normalization."""

import pytest
import torch
from torch import nn

from lic.layers.normalized import NORMALIZATIONS, ResDwBlock, ResUpBlock


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_shapes(name: str) -> None:
    norm = NORMALIZATIONS[name]
    x = torch.rand(2, 8, 12, 20)
    assert ResDwBlock(8, 16, norm)(x).shape == (2, 16, 6, 10)
    assert ResUpBlock(8, norm)(x).shape == (2, 8, 24, 40)


@pytest.mark.parametrize(("channels", "groups"), [(8, 2), (32, 8), (64, 16), (128, 32), (256, 32)])
def test_groups_have_four_channels_or_there_are_32(channels: int, groups: int) -> None:
    norm = NORMALIZATIONS["group"](channels, False)
    assert isinstance(norm, nn.GroupNorm) and norm.num_groups == groups


def test_groups_of_a_large_image_are_exact() -> None:
    """In channels-last, torch's own sums are off by 5e-4 here."""
    torch.manual_seed(0)
    x = (torch.randn(1, 32, 600, 800) + 3).contiguous(memory_format=torch.channels_last)
    norm = NORMALIZATIONS["group"](32, False)
    expected = nn.functional.group_norm(x.double(), 8)
    assert (norm(x) - expected).abs().max() < 5e-6


def test_parameters() -> None:
    """3x3 convolutions, two normalizations of two vectors, a 1x1 shortcut, all with biases."""
    i, o = 3, 32
    down = 9 * i * o + o + 9 * o * o + o + 2 * 2 * o + i * o + o
    up = 9 * o * 4 * o + 4 * o + 9 * o * o + o + 2 * 2 * o + o * 4 * o + 4 * o
    norm = NORMALIZATIONS["group"]
    assert sum(p.numel() for p in ResDwBlock(i, o, norm, from_pairs=False).parameters()) == down
    assert sum(p.numel() for p in ResUpBlock(o, norm).parameters()) == up
