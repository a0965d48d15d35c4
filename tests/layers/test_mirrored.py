"""Initial values that keep the input."""

import torch
from torch import nn

from lic.layers import conv
from lic.layers.mirrored import center, start_mirrored
from lic.layers.normalized import NORMALIZATIONS, ResDwBlock, ResUpBlock


def pairs(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """v of lrelu(v), lrelu(-v)."""
    first, second = nn.functional.leaky_relu(layer(x)).chunk(2, 1)
    return first - second


def test_a_chain_with_rectifiers_is_an_orthogonal_map() -> None:
    torch.manual_seed(0)
    layers = [conv(3, 16, 1), conv(16, 16, 1), conv(16, 5, 1)]
    start_mirrored(layers[0], from_pairs=False)
    start_mirrored(layers[1])
    start_mirrored(layers[2], to_pairs=False)
    net = nn.Sequential(layers[0], nn.LeakyReLU(), layers[1], nn.LeakyReLU(), layers[2])
    with torch.no_grad():
        basis = torch.eye(3).view(3, 3, 1, 1)
        images = net(basis)
        assert torch.allclose(net(-2 * basis), -2 * images, atol=1e-6)  # linear
        assert torch.allclose(net(basis.sum(0, keepdim=True)), images.sum(0, keepdim=True), atol=1e-6)
        assert torch.linalg.matrix_rank(images.flatten(1)) == 3  # nothing is lost


def test_deviation_is_kept_and_multiplied_with_the_gain() -> None:
    torch.manual_seed(0)
    x = torch.randn(4096, 8, 1, 1)
    for outputs in (4, 8, 64):
        layer = conv(8, 2 * outputs, 1)
        start_mirrored(layer, from_pairs=False, gain=3.0)
        assert abs(layer(x)[:, :outputs].std().item() - 3) < 0.3


def test_a_3x3_convolution_keeps_a_tenth_of_what_is_around_its_center() -> None:
    torch.manual_seed(0)
    layer = conv(4, 6, 3)
    before = layer.weight.detach().clone()
    start_mirrored(layer, from_pairs=False)
    assert torch.equal(layer.weight[:, :, 0, 2], 0.1 * before[:, :, 0, 2])
    assert torch.allclose(center(layer)[:3], -center(layer)[3:])


def test_blocks_begin_near_sampling_and_repetition() -> None:
    torch.manual_seed(0)
    norm = NORMALIZATIONS["group"]
    down, up = ResDwBlock(3, 8, norm, from_pairs=False), ResUpBlock(8, norm)
    x = torch.randn(1, 3, 8, 8)
    with torch.no_grad():
        for block in (down, up):
            block.get_parameter("body.4.weight").zero_()
        assert torch.allclose(pairs(down.shortcut, x), 1.01 * down.shortcut(x)[:, :4], atol=1e-6)
        y = up(down(x))
        assert torch.allclose(y, y[:, :, ::2, ::2].repeat_interleave(2, 2).repeat_interleave(2, 3), atol=1e-6)
