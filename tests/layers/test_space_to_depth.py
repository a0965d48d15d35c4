import pytest
import torch
from torch import Tensor, nn

from lic.layers import depth_to_space, space_to_depth


def _blocks_as_channels(x: Tensor, r: int) -> Tensor:
    """Channel (c, i, j) of a block is its pixel in row i and column j of colour c."""
    count, channels, height, width = x.shape
    blocks = x.reshape(count, channels, height // r, r, width // r, r)
    return blocks.permute(0, 1, 3, 5, 2, 4).reshape(count, channels * r * r, height // r, width // r)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["nchw", "nhwc"])
@pytest.mark.parametrize("r", [2, 4])
def test_blocks_become_channels_and_pixels_again(r: int, layout: torch.memory_format) -> None:
    x = torch.randn(2, 3, 2 * r, 5 * r).to(memory_format=layout)
    deep = nn.Sequential(*space_to_depth(r))(x)
    assert torch.equal(deep, _blocks_as_channels(x, r))
    assert torch.equal(nn.Sequential(*depth_to_space(r))(deep), x)


def test_blocks_of_one_pixel_are_no_layer() -> None:
    assert space_to_depth(1) == depth_to_space(1) == []
