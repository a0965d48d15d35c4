from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lic.entropy import (
    EntropyBottleneck,
    GaussianConditional,
    is_quantile,
    load_tables,
    quantile_loss,
    tables,
    total_bits,
    update_tables,
)
from lic.errors import UserError


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.z, self.y = EntropyBottleneck(4), GaussianConditional()


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    return Net()


@pytest.fixture
def latents() -> Tensor:
    return 5 * torch.randn(2, 4, 6, 5, generator=torch.Generator().manual_seed(0))


def test_total_bits_is_per_image() -> None:
    likelihoods = torch.stack([torch.full((3, 2, 2), 0.5), torch.full((3, 2, 2), 0.25)])
    assert torch.equal(total_bits(likelihoods), torch.tensor([12.0, 24.0]))


def test_a_bottleneck_has_43_parameters_and_3_quantiles_per_channel() -> None:
    named = dict(EntropyBottleneck(128).named_parameters())
    assert sum(p.numel() for p in named.values()) == 128 * 46 == 5_888
    assert sum(p.numel() for name, p in named.items() if is_quantile(name)) == 128 * 3


def test_probabilities_of_all_symbols_sum_to_one() -> None:
    symbols = torch.arange(-300.0, 301.0).view(1, 1, 1, -1)
    gaussian = GaussianConditional().eval()
    for scale in (0.11, 1.0, 30.0):
        _, p = gaussian(symbols + 0.3, torch.full_like(symbols, 0.3), torch.full_like(symbols, scale))
        assert p.sum().item() == pytest.approx(1, abs=1e-4)
    _, p = EntropyBottleneck(1).eval()(symbols)
    assert p.sum().item() == pytest.approx(1, abs=1e-3)


def test_gaussian_is_the_integral_over_a_unit_interval() -> None:
    normal = torch.distributions.Normal(torch.tensor(0.7), torch.tensor(1.5))
    y = torch.tensor([0.7, 2.7, -3.3]).view(1, 3, 1, 1)
    _, p = GaussianConditional().eval()(y, torch.full_like(y, 0.7), torch.full_like(y, 1.5))
    torch.testing.assert_close(p, normal.cdf(y + 0.5) - normal.cdf(y - 0.5), atol=1e-6, rtol=1e-5)


def test_scales_and_likelihoods_are_bounded_below() -> None:
    gaussian, y = GaussianConditional().eval(), torch.zeros(1, 1, 1, 1)
    _, at_bound = gaussian(y, y, torch.full_like(y, 0.11))
    _, below = gaussian(y, y, torch.full_like(y, -1.0))
    assert torch.equal(at_bound, below)
    _, impossible = gaussian(y + 1000, y, torch.ones_like(y))
    assert impossible.item() == pytest.approx(1e-9)


@pytest.mark.parametrize("training", [True, False])
def test_likelihoods_stay_float32_under_autocast(net: Net, latents: Tensor, training: bool) -> None:
    net.train(training)
    means, scales = torch.zeros_like(latents), torch.full_like(latents, 2.0)

    def run(*inputs: Tensor) -> list[Tensor]:
        torch.manual_seed(0)
        return [*net.z(inputs[0]), *net.y(*inputs)]

    rounded = [x.bfloat16() for x in (latents, means, scales)]
    expected = run(*(x.float() for x in rounded))
    with torch.autocast("cpu", torch.bfloat16):
        found = run(*rounded)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == torch.float32
        assert torch.equal(a, b)


def test_symbols_are_integers_around_the_medians(latents: Tensor) -> None:
    model = EntropyBottleneck(4).eval()
    with torch.no_grad():
        model.quantiles[:, 0, 1] = torch.tensor([0.4, -0.3, 0.0, 2.0])
    rounded, _ = model(latents)
    medians = torch.tensor([0.4, -0.3, 0.0, 2.0]).view(1, 4, 1, 1)
    assert torch.equal(model.symbols(latents), (latents - medians).round().int())
    torch.testing.assert_close(rounded, (latents - medians).round() + medians)


def test_coding_gives_back_the_symbols(net: Net, latents: Tensor) -> None:
    update_tables(net.eval())
    y = latents[:1]
    z_hat = net.z.decompress(net.z.compress(y), (6, 5))
    torch.testing.assert_close(z_hat, net.z(y)[0])
    means = torch.rand_like(y)
    scales = 3 * torch.rand_like(y)  # some symbols lie far outside their tables and escape
    symbols = net.y.decompress(net.y.compress(y, means, scales), scales)
    assert torch.equal(symbols, (y - means).round().int())


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf, 2.0**24, -5e8, 1e12])
def test_latents_that_cannot_be_coded_are_refused(net: Net, value: float) -> None:
    """CompressAI's coder would never return."""
    update_tables(net.eval())
    y = torch.zeros(1, 4, 2, 2)
    wild = y.clone()
    wild[0, 3, 1, 1] = value
    with pytest.raises(UserError, match="not finite or beyond all bounds"):
        net.z.compress(wild)
    for moments in ((wild, y), (y, wild)):
        with pytest.raises(UserError, match="not finite or beyond all bounds"):
            net.y.compress(*moments, y + 1)


def test_large_latents_escape_from_the_tables(net: Net) -> None:
    update_tables(net.eval())
    y = torch.tensor([2.0**24 - 1, -(2.0**24) + 1, 1000, -7]).view(1, 4, 1, 1)
    assert torch.equal(net.z.decompress(net.z.compress(y), (1, 1)), y)
    assert torch.equal(net.y.decompress(net.y.compress(y, 0 * y, 0 * y + 1), 0 * y + 1), y.int())


def test_tables_are_no_part_of_the_weights(net: Net) -> None:
    before = set(net.state_dict())
    update_tables(net)
    assert set(net.state_dict()) == before
    assert not [name for name in before if "cdf" in name or "offset" in name]


def test_tables_of_another_net_are_taken_as_they_are(net: Net) -> None:
    other = Net()
    with torch.no_grad():
        other.z.quantiles.mul_(2)
    update_tables(other)
    load_tables(net, tables(other))
    assert tables(net).keys() == tables(other).keys()
    for name, table in tables(net).items():
        assert table.dtype == torch.int32 and torch.equal(table, tables(other)[name]), name
    update_tables(net)
    assert not torch.equal(tables(net)["z._cdf_length"], tables(other)["z._cdf_length"])


def test_updating_twice_changes_nothing(net: Net) -> None:
    update_tables(net)
    first = tables(net)
    update_tables(net)
    assert all(torch.equal(first[name], table) for name, table in tables(net).items())


@pytest.mark.parametrize("change", ["missing", "left over"])
def test_tables_that_do_not_fit_are_refused(net: Net, change: str) -> None:
    update_tables(net)
    saved = tables(net)
    if change == "missing":
        saved.pop("y._offset")
    else:
        saved["x._offset"] = torch.zeros(1, dtype=torch.int32)
    with pytest.raises(UserError, match="entropy tables do not fit"):
        load_tables(net, saved)


def test_quantile_loss_trains_quantiles_and_nothing_else(net: Net) -> None:
    quantile_loss(net).backward()
    for name, parameter in net.named_parameters():
        assert is_quantile(name) == (parameter.grad is not None and bool(parameter.grad.any())), name


def test_rate_trains_everything_but_quantiles(net: Net, latents: Tensor) -> None:
    total_bits(net.z(latents)[1]).sum().backward()
    for name, parameter in net.named_parameters():
        assert is_quantile(name) != (parameter.grad is not None and bool(parameter.grad.any())), name


def test_quantiles_find_the_median_and_the_tails() -> None:
    """Half of the density lies below the middle quantile, all but 1e-9 between the outer two."""
    torch.manual_seed(0)
    model = EntropyBottleneck(3)
    optimizer = torch.optim.Adam([model.quantiles])
    for rate in torch.linspace(2, 0.01, 400).tolist():
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        quantile_loss(model).backward()
        optimizer.step()
    with torch.no_grad():
        logits: Any = model._logits_cumulative(model.quantiles, stop_gradient=True)
    cumulative = torch.sigmoid(logits.double())[:, 0]
    torch.testing.assert_close(cumulative[:, 1], torch.full((3,), 0.5).double(), atol=0.01, rtol=0)
    assert (cumulative[:, 0] < 1e-8).all() and (cumulative[:, 2] > 1 - 1e-8).all()


def test_a_net_without_bottlenecks_has_no_quantile_loss() -> None:
    assert quantile_loss(nn.Linear(2, 2)).item() == 0
