"""Each unit against its formula, written out with functions and the unit's own weights."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lic.layers import UPSAMPLERS, Res, ResDown, ResUp, upsampler

X = torch.randn(2, 6, 8, 10, generator=torch.Generator().manual_seed(0))


def _conv3(x: Tensor, layer: nn.Module, stride: int = 1) -> Tensor:
    assert isinstance(layer, nn.Conv2d)
    return F.conv2d(x, layer.weight, layer.bias, stride=stride, padding=1)


def _lrelu(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.01 * x)


def _gdn(x: Tensor, inverse: bool) -> Tensor:
    """GDN of Ballé et al. 2016 with CompressAI's initial values: beta 1, gamma 0.1 on the diagonal."""
    norm = torch.sqrt(1 + 0.1 * x.square())
    return x * norm if inverse else x / norm


def test_res() -> None:
    unit = Res(6)
    first, _, second, _ = unit.body
    expected = X + _lrelu(_conv3(_lrelu(_conv3(X, first)), second))
    torch.testing.assert_close(unit(X), expected)


def test_res_down() -> None:
    unit = ResDown(6, 4)
    first, _, second, _ = unit.body
    body = _gdn(_conv3(_lrelu(_conv3(X, first, stride=2)), second), inverse=False)
    assert unit.shortcut is not None
    shortcut = F.conv2d(X, unit.shortcut.weight, unit.shortcut.bias, stride=2)
    assert unit.shortcut.bias is not None
    torch.testing.assert_close(unit(X), body + shortcut, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", UPSAMPLERS)
def test_res_up(name: str) -> None:
    unit = ResUp(6, 4, upsampler(name))
    up, _, second, _ = unit.body
    body = _gdn(_conv3(_lrelu(_up(X, up, 1)), second), inverse=True)
    assert unit.shortcut is not None
    torch.testing.assert_close(unit(X), body + _up(X, unit.shortcut, 0), atol=1e-5, rtol=1e-5)


def _up(x: Tensor, layer: nn.Module, padding: int) -> Tensor:
    if isinstance(layer, nn.ConvTranspose2d):
        return F.conv_transpose2d(x, layer.weight, layer.bias, stride=2, padding=padding, output_padding=1)
    inner = next(layer.children())
    assert isinstance(inner, nn.Conv2d)
    return F.pixel_shuffle(F.conv2d(x, inner.weight, inner.bias, padding=padding), 2)


@pytest.mark.parametrize(
    ("make", "shortcut_parameters"),
    [
        (lambda shortcut: Res(8, shortcut), 0),
        (lambda shortcut: ResDown(8, 6, shortcut), 8 * 6 + 6),
        (lambda shortcut: ResUp(8, 6, upsampler("tconv"), shortcut), 8 * 6 + 6),
        (lambda shortcut: ResUp(8, 6, upsampler("subpixel"), shortcut), 8 * 24 + 24),
    ],
    ids=["Res", "ResDown", "ResUp-tconv", "ResUp-subpixel"],
)
def test_without_shortcut_only_the_body_remains(make, shortcut_parameters: int) -> None:  # type: ignore[no-untyped-def]
    with_shortcut, without = make(True), make(False)
    difference = sum(p.numel() for p in with_shortcut.parameters()) - sum(
        p.numel() for p in without.parameters()
    )
    assert difference == shortcut_parameters
    x = torch.randn(1, 8, 4, 4)
    assert torch.equal(without(x), without.body(x))
    assert not torch.equal(with_shortcut(x), with_shortcut.body(x))
