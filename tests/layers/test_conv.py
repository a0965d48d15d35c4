import copy

import pytest
import torch
from torch import Tensor, nn

from lic.layers import UPSAMPLERS, StridedPointwise, TransposedPointwise, conv, tconv, upsampler


@pytest.mark.parametrize("size", [(8, 8), (7, 10), (1, 1)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["nchw", "nhwc"])
@pytest.mark.parametrize(
    ("pointwise", "reference"),
    [
        (StridedPointwise(3, 16), nn.Conv2d(3, 16, 1, stride=2)),
        (TransposedPointwise(3, 16), nn.ConvTranspose2d(3, 16, 1, stride=2, output_padding=1)),
    ],
    ids=["conv", "tconv"],
)
def test_pointwise_layers_are_strided_1x1_convolutions(
    pointwise: nn.Conv2d | nn.ConvTranspose2d,
    reference: nn.Conv2d | nn.ConvTranspose2d,
    size: tuple[int, int],
    layout: torch.memory_format,
) -> None:
    torch.manual_seed(0)
    ours = copy.deepcopy(pointwise).to(memory_format=layout)  # type: ignore[call-overload]
    reference = copy.deepcopy(reference)
    reference.load_state_dict(ours.state_dict())
    x = torch.randn(2, 3, *size)
    a = x.clone(memory_format=layout).requires_grad_()
    b = x.clone().requires_grad_()

    out, expected = ours(a), reference(b)
    torch.testing.assert_close(out, expected)
    weights = torch.randn_like(expected)
    (out * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(a.grad, b.grad)
    torch.testing.assert_close(ours.weight.grad, reference.weight.grad)
    torch.testing.assert_close(_gradient(ours.bias), _gradient(reference.bias))


def _gradient(parameter: Tensor | None) -> Tensor:
    assert parameter is not None and parameter.grad is not None
    return parameter.grad


@pytest.mark.parametrize(
    ("layer", "c_in"), [(StridedPointwise(3, 128), 3), (tconv(8, 8, 1), 8)], ids=["conv", "tconv"]
)
def test_pointwise_layers_survive_channels_last_training(layer: nn.Module, c_in: int) -> None:
    """torch 2.13 corrupts the heap here when the convolution itself is strided."""
    layer = layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for _ in range(3):
        x = torch.rand(2, c_in, 64, 64).contiguous(memory_format=torch.channels_last).requires_grad_()
        layer(x).square().mean().backward()
        assert x.grad is not None and x.grad.isfinite().all()


@pytest.mark.parametrize("kernel_size", [1, 3, 5, 9])
@pytest.mark.parametrize("name", UPSAMPLERS)
def test_upsamplers_double_both_sides(name: str, kernel_size: int) -> None:
    layer = upsampler(name)(6, 4, kernel_size)
    assert layer(torch.rand(2, 6, 3, 5)).shape == (2, 4, 6, 10)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("tconv", 128 * 128 * 9 + 128), ("subpixel", 128 * 512 * 9 + 512)],
)
def test_upsamplers_have_the_papers_parameters(name: str, parameters: int) -> None:
    assert sum(p.numel() for p in upsampler(name)(128, 128, 3).parameters()) == parameters


def test_subpixel_moves_channels_to_pixels() -> None:
    layer = upsampler("subpixel")(1, 1, 1)
    convolution = next(layer.children())
    assert isinstance(convolution, nn.Conv2d) and convolution.bias is not None
    with torch.no_grad():
        convolution.weight.zero_()
        convolution.bias.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    expected = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).repeat(2, 3)
    assert torch.equal(layer(torch.zeros(1, 1, 2, 3))[0, 0], expected)


def test_pointwise_tconv_writes_three_of_four_pixels_with_its_bias() -> None:
    layer = tconv(4, 2, 1)
    out = layer(torch.rand(1, 4, 3, 3))
    assert layer.bias is not None
    bias = layer.bias.view(1, 2, 1, 1)
    assert torch.equal(out[:, :, 1::2], bias.expand(1, 2, 3, 6))
    assert torch.equal(out[:, :, :, 1::2], bias.expand(1, 2, 6, 3))
    assert not torch.isclose(out[:, :, ::2, ::2], bias).any()


@pytest.mark.parametrize("kernel_size", [1, 3, 5, 9])
def test_conv_keeps_or_halves_the_size(kernel_size: int) -> None:
    x = torch.rand(1, 3, 8, 12)
    assert conv(3, 5, kernel_size)(x).shape == (1, 5, 8, 12)
    assert conv(3, 5, kernel_size, stride=2)(x).shape == (1, 5, 4, 6)
    assert conv(3, 5, kernel_size, bias=False).bias is None
