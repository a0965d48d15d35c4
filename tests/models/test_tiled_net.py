"""Transforms in tiles, against the same transform of the whole image in double precision."""

import copy
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from lic.errors import UserError
from lic.layers import conv
from lic.layers.normalized import NORMALIZATIONS, ResDwBlock, ResUpBlock
from lic.models import tiling
from lic.models.tiled_net import TiledNet


def make(norm: str, *, up: bool, seed: int = 0) -> TiledNet:
    """Two blocks, and for synthesis a convolution behind them; affine maps and running statistics vary."""
    torch.manual_seed(seed)
    kind = NORMALIZATIONS[norm]
    net = (
        nn.Sequential(ResUpBlock(8, kind), ResUpBlock(8, kind), conv(8, 3, 3))
        if up
        else nn.Sequential(ResDwBlock(3, 8, kind, from_pairs=False), ResDwBlock(8, 8, kind))
    )
    for layer in net.modules():
        if isinstance(layer, nn.GroupNorm | nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1, 0.3)
            nn.init.normal_(layer.bias, 0, 0.3)
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None and layer.running_var is not None
            layer.running_mean.normal_(0, 0.3)
            layer.running_var.uniform_(0.5, 2)
    return TiledNet(net.eval(), 8, 4, 1, 4) if up else TiledNet(net.eval(), 3, 4, 4, 1)


def scene(channels: int, height: int, width: int) -> Tensor:
    """No two tiles of it have the same mean or deviation."""
    torch.manual_seed(1)
    slope = torch.linspace(-1, 2, width) + torch.linspace(-2, 1, height)[:, None]
    return (slope + slope.abs() * torch.randn(2, channels, height, width)).float()


@pytest.mark.parametrize("norm", NORMALIZATIONS)
@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize(("size", "tile"), [((37, 53), 64), ((37, 53), 36), ((5, 70), 40), ((9, 9), 35)])
@torch.inference_mode()
def test_tiles_give_what_the_whole_gives(norm: str, up: bool, size: tuple[int, int], tile: int) -> None:
    tiled_net = make(norm, up=up)
    x = scene(tiled_net.channels, size[0] * tiled_net.inputs, size[1] * tiled_net.inputs)
    whole = copy.deepcopy(tiled_net.net).double()(x.double())
    tiled = tiled_net(x, tile)
    assert tiled.shape == whole.shape and tiled.dtype == torch.float32
    torch.testing.assert_close(tiled, whole.float(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(tiled, tiled_net(x, 10_000), atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_the_mean_may_be_large_beside_the_deviation() -> None:
    """Sums of squares lose it in single precision."""
    first = conv(4, 8, 1)
    nn.init.constant_(first.get_parameter("bias"), 50)
    net = nn.Sequential(first, nn.GroupNorm(2, 8))
    x = scene(4, 60, 60) / 100
    whole = copy.deepcopy(net).double()(x.double())
    assert whole.std() > 0.5
    # the convolution itself rounds to 2^-18 of a deviation around 0.01
    torch.testing.assert_close(TiledNet(net, 4, 1, 1, 1)(x, 16), whole.float(), atol=2e-3, rtol=0)


@pytest.mark.parametrize("up", [False, True])
@torch.inference_mode()
def test_one_tile_is_the_net_itself(up: bool) -> None:
    tiled_net = make("group", up=up)
    x = scene(tiled_net.channels, 10 * tiled_net.inputs, 40 * tiled_net.inputs)
    assert torch.equal(tiled_net(x, 80), tiled_net.net(x))


@torch.inference_mode()
def test_the_net_is_left_as_it_was_and_its_weights_are_not_remembered() -> None:
    tiled_net, x = make("group", up=True), scene(8, 20, 20)
    before, layers = tiled_net(x, 32), list(tiled_net.net.modules())
    assert list(tiled_net.net.modules()) == layers
    tiled_net.net.load_state_dict(make("group", up=True, seed=1).net.state_dict())
    after = tiled_net(x, 32)
    assert (before - after).abs().max() > 0.1
    assert torch.equal(after, make("group", up=True, seed=1)(x, 32))


class _Everything(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - x.mean())


def test_what_sees_all_in_another_way_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    net = nn.Sequential(_Everything(2, 2, 1), nn.GroupNorm(1, 2))
    tiled_net, x = TiledNet(net, 2, 1, 1, 1), scene(2, 40, 50)
    assert torch.equal(tiled_net(x, 20), net(x))
    monkeypatch.setattr(tiling, "WHOLE", 1999)
    with pytest.raises(UserError, match="takes 1,999 pixels at most"):
        tiled_net(x, 20)


def test_nothing_is_kept_for_gradients() -> None:
    call = partial(make("group", up=False), scene(3, 40, 40))
    assert not call(16).requires_grad and not call(100).requires_grad
