from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lic.entropy import (
    CausalConv,
    EntropyBottleneck,
    IntegerNetwork,
    TableError,
    integer,
    load_tables,
    tables,
    update_tables,
)
from lic.entropy.models import UNIT
from lic.errors import UserError
from lic.layers import conv, tconv


class Net(nn.Module):
    """A hyper-synthesis with every kind of layer that the families have."""

    def __init__(self, last: nn.Module | None = None) -> None:
        super().__init__()
        self.prior = EntropyBottleneck(6)
        self.h_s = nn.Sequential(
            tconv(6, 8, 5),
            nn.LeakyReLU(),
            conv(8, 8, 3),
            nn.ReLU(),
            tconv(8, 10, 3),
            nn.LeakyReLU(),
            conv(10, 12, 3),
            last or conv(12, 4, 1, bias=False),
        )
        self.exact = IntegerNetwork(self.prior.samples, *self.h_s)


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    net = Net()
    with torch.no_grad():
        net.prior.quantiles[:, 0] = torch.tensor([-9.0, 0.3, 9.0])
        for layer in net.h_s:
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                layer.weight.mul_(3)
    update_tables(net.eval())
    return net


@pytest.fixture
def z_hat(net: Net) -> Tensor:
    return net.prior.sample((1, 9, 7), torch.Generator().manual_seed(1))


ALL = slice(0, 36)


def _in_float64(net: IntegerNetwork, z_hat: Tensor) -> Tensor:
    """The same integers, in arithmetic that holds sums up to 2**53: what no rounding of sums must give."""
    x = z_hat
    for i, (layer, slope) in enumerate(net._layers):
        x = (x * getattr(net, f"multiplier_{i}").view(-1, 1, 1)).round()
        x = x.clamp(getattr(net, f"low_{i}").view(-1, 1, 1), getattr(net, f"high_{i}").view(-1, 1, 1))
        weight, bias = getattr(net, f"weight_{i}").double(), getattr(net, f"bias_{i}").double()
        if isinstance(layer, nn.ConvTranspose2d):
            sums = F.conv_transpose2d(x.double(), weight, bias, 2, layer.padding, layer.output_padding)  # type: ignore[arg-type]
        else:
            padding = 0 if isinstance(layer, CausalConv) else layer.padding
            sums = F.conv2d(x.double(), weight, bias, 1, padding)
        assert torch.equal(sums, sums.round()) and sums.abs().max() <= 2**24
        x = sums.float()
        x = torch.where(x > 0, x, x * slope)
    return (x * net.multiplier_out.view(-1, 1, 1)).round() * UNIT  # type: ignore[operator]


def test_it_approximates_the_float_network(net: Net, z_hat: Tensor) -> None:
    expected = net.h_s(z_hat)
    found = net.exact(z_hat, ALL)
    error = (found - expected).square().mean().sqrt() / expected.std()
    assert error < 0.01
    assert torch.equal(found / UNIT, (found / UNIT).round())


@pytest.mark.parametrize("scale", [1.0, 100.0, 1e7])
def test_sums_are_exact(net: Net, z_hat: Tensor, scale: float) -> None:
    """Far beyond the range that was foreseen, too: there the inputs are clamped."""
    z_hat = (z_hat * scale).round()
    assert torch.equal(net.exact(z_hat, ALL), _in_float64(net.exact, z_hat))


def test_no_input_can_make_a_partial_sum_reach_the_limit(net: Net) -> None:
    """Every layer, at the inputs that are worst for each output: all terms of one sign."""
    for i, (layer, _) in enumerate(net.exact._layers):
        weight = getattr(net.exact, f"weight_{i}").double()
        if isinstance(layer, nn.ConvTranspose2d):  # an output meets every second tap along each side
            weight = weight.transpose(0, 1)
            phases = [weight[:, :, a::2, b::2] for a in (0, 1) for b in (0, 1)]
        else:
            phases = [weight]
        low, high = (getattr(net.exact, f"{n}_{i}").double().view(1, -1, 1, 1) for n in ("low", "high"))
        bias = getattr(net.exact, f"bias_{i}").double()
        largest = torch.zeros(())
        for phase in phases:
            terms = torch.stack([phase * low, phase * high])
            up = terms.amax(0).clamp_min(0).sum((1, 2, 3)) + bias.clamp_min(0)
            down = terms.amin(0).clamp_max(0).sum((1, 2, 3)) + bias.clamp_max(0)
            largest = torch.maximum(largest, torch.maximum(up, -down).max())
        assert 2**23 < largest < 2**24, "exact, and without waste"
        assert weight.abs().max() < 2**15


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    "setting",
    [
        _threads(2),
        torch.backends.mkldnn.flags(enabled=False),
        torch.autocast("cpu", torch.bfloat16),
    ],
    ids=["2 threads", "without oneDNN", "autocast"],
)
def test_settings_change_nothing(net: Net, z_hat: Tensor, setting: Any) -> None:
    expected = net.exact(z_hat, ALL)
    integer._check_arithmetic.cache_clear()  # a process may begin in any setting
    with setting:
        assert torch.equal(net.exact(z_hat, ALL), expected)


def test_memory_layouts_change_nothing(net: Net, z_hat: Tensor) -> None:
    expected = net.exact(z_hat, ALL)
    for layout in (torch.contiguous_format, torch.channels_last):
        net.to(memory_format=layout)  # type: ignore[call-overload]
        assert torch.equal(net.exact(z_hat.contiguous(memory_format=layout), ALL), expected)
    with pytest.raises(AssertionError):  # algorithms for batches may not just add products
        net.exact(torch.cat([z_hat, z_hat]), ALL)


@pytest.mark.parametrize("rows", [1, 3, 4, 8, 20])
def test_rows_may_be_cut_anywhere(net: Net, z_hat: Tensor, rows: int) -> None:
    parts = [net.exact(z_hat, slice(first, min(first + rows, 36))) for first in range(0, 36, rows)]
    assert torch.equal(torch.cat(parts, 2), net.exact(z_hat, ALL))


def test_tables_are_integers_that_another_net_can_take(net: Net, z_hat: Tensor) -> None:
    other = Net()
    other.load_state_dict(net.state_dict())
    load_tables(other, tables(net))
    assert torch.equal(other.exact(z_hat, ALL), net.exact(z_hat, ALL))
    weights = {name: table for name, table in tables(net).items() if ".weight_" in name}
    assert len(weights) == 5 and all(table.dtype == torch.int16 for table in weights.values())
    assert not [name for name in net.state_dict() if name.startswith("exact")]


@pytest.mark.parametrize(
    ("name", "damage", "sentence"),
    [
        ("weight_0", lambda t: t[:-1], "weight_0 has the shape"),
        ("bias_3", lambda t: t[:-1], "bias_3 has the shape"),
        ("low_1", lambda t: t[:-1], "low_1 has the shape"),
        ("multiplier_2", lambda t: t[:-1], "multiplier_2 has the shape"),
        ("multiplier_out", lambda t: t[:-1], "multiplier_out has the shape"),
        ("weight_1", lambda t: t * 0 + 32767, "layer 1 do not keep its sums exact"),
        ("high_2", lambda t: t * 0 + 2**31 - 1, "layer 2 do not"),
        ("low_2", lambda t: t * 0 + 5, "layer 2 do not"),
        ("bias_0", lambda t: t * 0 + 2**24, "layer 0 do not"),
        ("multiplier_1", lambda t: t * 0, "multipliers of layer 1 are not positive"),
        ("multiplier_1", lambda t: -t, "multipliers of layer 1 are not positive"),
        ("multiplier_3", lambda t: t * torch.inf, "multipliers of layer 3 are not positive"),
        ("multiplier_out", lambda t: t * torch.nan, "multipliers of the outputs"),
        ("weight_0", lambda t: t.float(), "holds torch.float32"),
    ],
)
def test_impossible_tables_are_refused_and_leave_the_net_as_it_was(
    net: Net, z_hat: Tensor, name: str, damage: Callable[[Tensor], Tensor], sentence: str
) -> None:
    saved, expected = tables(net), net.exact(z_hat, ALL)
    with pytest.raises(TableError, match=sentence):
        load_tables(net, saved | {f"exact.{name}": damage(saved[f"exact.{name}"])})
    assert torch.equal(net.exact(z_hat, ALL), expected)


def test_reduced_precision_is_noticed(net: Net, z_hat: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """As bfloat16 inside of float32 convolutions, which some processors can be told to use."""
    convolve = F.conv2d

    def reduced(x: Tensor, weight: Tensor, *arguments: Any) -> Tensor:
        if x.dtype == torch.float32:
            x, weight = x.bfloat16().float(), weight.bfloat16().float()
        return convolve(x, weight, *arguments)

    integer._check_arithmetic.cache_clear()
    monkeypatch.setattr(F, "conv2d", reduced)
    with pytest.raises(UserError, match="reduced precision"):
        net.exact(z_hat, ALL)


def test_dead_channels_are_no_obstacle(net: Net, z_hat: Tensor) -> None:
    with torch.no_grad():
        net.h_s[0].weight[:, 3] = 0  # type: ignore[operator]
        net.h_s[0].bias[3] = -1  # type: ignore[operator]
        net.h_s[2].weight[:, 5] = 0  # type: ignore[operator]
        net.h_s[2].weight[1] = 0  # type: ignore[operator]
    update_tables(net)
    torch.testing.assert_close(net.exact(z_hat, ALL), net.h_s(z_hat), atol=0.3, rtol=0.01)
    assert torch.equal(net.exact(z_hat, ALL), _in_float64(net.exact, z_hat))
    for parameter in net.h_s.parameters():
        parameter.detach().zero_()
    update_tables(net)
    assert not net.exact(z_hat, ALL).any()


def test_weights_that_are_not_numbers_are_refused(net: Net) -> None:
    with torch.no_grad():
        net.h_s[2].bias[0] = torch.nan  # type: ignore[operator]
    with pytest.raises(UserError, match="diverged"):
        update_tables(net)


def test_a_causal_convolution_takes_neighbours(neighbours: Callable[[Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    prior, context = EntropyBottleneck(6), CausalConv(6, 4)
    net = nn.Module()
    net.prior, net.context = prior, context
    net.exact = IntegerNetwork(prior.samples, context)
    update_tables(net.eval())
    z_hat = prior.sample((1, 9, 7), torch.Generator().manual_seed(1))
    expected = context(z_hat)
    found = net.exact(neighbours(z_hat))
    assert (found - expected).square().mean().sqrt() < 0.01 * expected.std()
    assert torch.equal(found, _in_float64(net.exact, neighbours(z_hat)))
    assert tables(net)["exact.weight_0"].shape == (4, 72, 1, 1)


def test_layers_without_integer_form_are_our_fault() -> None:
    with pytest.raises(AssertionError, match="no integer form"):
        Net(nn.Sigmoid())
