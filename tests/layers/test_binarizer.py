"""Binary codes: their mean, their gradient, and the readings of Algorithm 1 against loops over numbers."""

import pytest
import torch
from torch import Tensor, nn

from lic.layers.binarizer import QUANTIZERS, Accumulated, Quantizer, binarize


def test_the_mean_is_the_value() -> None:
    v = torch.linspace(-1, 1, 9).repeat(40_000, 1)
    q = binarize(v, torch.rand(v.shape, generator=torch.Generator().manual_seed(0)))
    assert set(q.unique().tolist()) == {-1, 1}
    assert torch.allclose(q.mean(0), v[0], atol=5 * 40_000**-0.5)  # five times the largest deviation
    assert (q[:, 0] == -1).all() and (q[:, -1] == 1).all()


def test_in_use_it_is_the_sign_and_one_for_zero() -> None:
    v = torch.tensor([-3.0, -1e-9, -0.0, 0.0, 1e-9, 0.5, 7.0])
    assert binarize(v).tolist() == [-1, -1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("uniform", [None, 0.3])
def test_the_gradient_is_one_within_and_zero_outside(uniform: float | None) -> None:
    v = torch.tensor([-2.0, -1.5, -0.99, 0.0, 0.4, 0.99, 1.5, 2.0], requires_grad=True)
    binarize(v, None if uniform is None else torch.full_like(v, uniform)).sum().backward()
    assert v.grad is not None and v.grad.tolist() == [0, 0, 1, 1, 1, 1, 0, 0]


def reference(
    name: str, u: list[float], kept: list[int], steps: list[float]
) -> tuple[list[int], list[float]]:
    """Bits and what is decoded of them, for one position, as architecture and paper write it."""
    bits, decoded = [], []
    z, previous = 0.0, 0
    for value, mask, step in zip(u, kept, steps, strict=True):
        r = {"accumulated": value - z, "previous": value - previous, "independent": value}[name]
        q = (1 if r >= 0 else -1) * mask
        z += step * q
        decoded.append({"accumulated": z, "previous": q + previous, "independent": q}[name])
        previous = q
        bits.append(q)
    return bits, decoded


@pytest.mark.parametrize("name", QUANTIZERS)
def test_the_readings_of_algorithm_1(name: str) -> None:
    generator = torch.Generator().manual_seed(1)
    n = 16
    net = QUANTIZERS[name](n).eval()
    if isinstance(net, Accumulated):
        with torch.no_grad():
            net.step.uniform_(0.1, 0.7, generator=generator)
    steps = net.step.tolist() if isinstance(net, Accumulated) else [1.0] * n
    u = torch.rand(2, n, 3, 4, generator=generator) * 2 - 1
    kept = (torch.rand(u.shape, generator=generator) < 0.7).float()
    q = net(u, kept)
    z = net.dequantize(q)
    for item in range(2):
        for row in range(3):
            for column in range(4):
                place = (item, slice(None), row, column)
                bits, decoded = reference(name, u[place].tolist(), kept[place].int().tolist(), steps)
                assert q[place].tolist() == bits
                assert z[place].tolist() == pytest.approx(decoded, abs=1e-6)


@pytest.mark.parametrize("name", QUANTIZERS)
def test_training_is_stochastic_and_reaches_all_channels(name: str) -> None:
    net = QUANTIZERS[name](8).train()
    u = (torch.rand(1, 8, 4, 4, generator=torch.Generator().manual_seed(2)) - 0.5).requires_grad_()
    kept = torch.ones_like(u)

    def code(net: Quantizer) -> Tensor:
        return net(u, kept)

    assert not torch.equal(code(net), code(net))
    assert torch.equal(code(net.eval()), code(net))
    (net.train().dequantize(code(net)) * torch.rand(u.shape)).sum().backward()
    assert u.grad is not None and (u.grad.abs().amax((0, 2, 3)) > 0).all()
    if isinstance(net, Accumulated):
        assert net.step.grad is not None and (net.step.grad != 0).all()


@pytest.mark.parametrize("name", QUANTIZERS)
def test_a_decoder_can_begin_with_the_bits_themselves(name: str) -> None:
    torch.manual_seed(0)
    net, layer = QUANTIZERS[name](6), nn.Conv2d(6, 4, 3, padding=1)
    bits = torch.randn(1, 6, 5, 5).sign()
    expected = layer(bits)
    net.start(layer)
    if name != "previous":  # of whose sums nothing is to be undone
        assert torch.allclose(layer(net.dequantize(bits)), expected, atol=1e-5)
    else:
        assert torch.equal(layer(bits), expected)
