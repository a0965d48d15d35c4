from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lic.entropy import (
    EntropyBottleneck,
    GaussianConditional,
    bands,
    is_quantile,
    models,
    quantile_loss,
    total_bits,
    update_tables,
)
from lic.entropy.models import UNIT, _Coder
from lic.errors import UserError


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
        means, scales = torch.full_like(symbols, 0.3), torch.full_like(symbols, scale)
        _, p = gaussian(symbols + 0.3, means=means, scales=scales)
        assert p.sum().item() == pytest.approx(1, abs=1e-4)
    _, p = EntropyBottleneck(1).eval()(symbols)
    assert p.sum().item() == pytest.approx(1, abs=1e-3)


def test_gaussian_is_the_integral_over_a_unit_interval() -> None:
    normal = torch.distributions.Normal(torch.tensor(0.7), torch.tensor(1.5))
    y = torch.tensor([0.7, 2.7, -3.3]).view(1, 3, 1, 1)
    _, p = GaussianConditional().eval()(y, means=torch.full_like(y, 0.7), scales=torch.full_like(y, 1.5))
    torch.testing.assert_close(p, normal.cdf(y + 0.5) - normal.cdf(y - 0.5), atol=1e-6, rtol=1e-5)


def test_scales_and_likelihoods_are_bounded_below() -> None:
    gaussian, y = GaussianConditional().eval(), torch.zeros(1, 1, 1, 1)
    _, at_bound = gaussian(y, means=y, scales=torch.full_like(y, 0.11))
    _, below = gaussian(y, means=y, scales=torch.full_like(y, -1.0))
    assert torch.equal(at_bound, below)
    _, impossible = gaussian(y + 1000, means=y, scales=torch.ones_like(y))
    assert impossible.item() == pytest.approx(1e-9)


@pytest.mark.parametrize("training", [True, False])
def test_likelihoods_stay_float32_under_autocast(net: Any, latents: Tensor, training: bool) -> None:
    net.train(training)
    means, scales = torch.zeros_like(latents), torch.full_like(latents, 2.0)

    def run(y: Tensor, means: Tensor, scales: Tensor) -> list[Tensor]:
        torch.manual_seed(0)
        return [*net.z(y), *net.y(y, means=means, scales=scales)]

    rounded = [x.bfloat16() for x in (latents, means, scales)]
    expected = run(*(x.float() for x in rounded))
    with torch.autocast("cpu", torch.bfloat16):
        found = run(*rounded)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == torch.float32
        assert torch.equal(a, b)


def test_coding_gives_back_the_rounded_latents(net: Any, latents: Tensor) -> None:
    with torch.no_grad():
        net.z.quantiles[:, 0, 1] = torch.tensor([0.4, -0.3, 0.0, 2.0])
    update_tables(net.eval())
    y = latents[:1]
    payloads, z_hat = net.z.compress(y)
    medians = torch.tensor([0.4, -0.3, 0.0, 2.0]).view(1, 4, 1, 1)
    assert torch.equal(z_hat, (y - medians).round() + medians)
    torch.testing.assert_close(z_hat, net.z(y)[0])
    assert torch.equal(net.z.decompress(iter(payloads), (6, 5)), z_hat)
    means = torch.rand_like(y)
    scales = 3 * torch.rand_like(y)  # some symbols lie far outside their tables and escape
    payload, y_hat = net.y.compress(y, means=means, scales=scales)
    assert torch.equal(y_hat, (y - means).round() + means)
    assert torch.equal(net.y.decompress(payload, means=means, scales=scales), y_hat)


def test_streams_are_those_of_compressai(net: Any, latents: Tensor) -> None:
    """Its own methods, of the class that ours extends, write the same bytes from the same tables."""
    update_tables(net.eval())
    y, means = latents[:1], torch.rand_like(latents[:1])
    scales = (40 * torch.rand_like(y).pow(4) / UNIT).round() * UNIT  # from below the least to large ones
    assert net.z.compress(y)[0] == super(_Coder, net.z).compress(y)
    indexes = net.y.build_indexes(scales)
    assert indexes.unique().numel() > 30
    assert torch.equal(net.y.indexes(scales), indexes)
    assert [net.y.compress(y, means=means, scales=scales)[0]] == super(_Coder, net.y).compress(
        y, indexes, means
    )


def test_every_multiple_of_the_unit_has_the_table_that_compressai_gives_it(net: Any) -> None:
    update_tables(net.eval())
    scales = torch.arange(-(2**12), 2**20 + 2**12) * UNIT
    assert scales[-1] > net.y.scale_table[-1]
    assert torch.equal(net.y.indexes(scales), net.y.build_indexes(scales))


@pytest.mark.parametrize("size", [(192, 32, 48), (192, 188, 250), (320, 625, 625), (1, 1, 1), (128, 8, 9000)])
def test_bands_cover_every_row_once(size: tuple[int, int, int]) -> None:
    channels, height, width = size
    rows = list(bands(*size))
    assert [row for band in rows for row in range(height)[band]] == list(range(height))
    assert all(band.start % 4 == 0 for band in rows)
    assert all((b.stop - b.start) * channels * width <= 1 << 21 or b.stop - b.start <= 4 for b in rows)
    assert (len(rows) == 1) == (channels * height * width <= 1 << 21)


def test_bands_are_coded_one_by_one(net: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_BAND", 4 * 5 * 8)
    update_tables(net.eval())
    z = 5 * torch.randn(1, 4, 19, 5)
    payloads, z_hat = net.z.compress(z)
    assert len(payloads) == 3
    assert payloads[1] == net.z.compress(z[:, :, 8:16])[0][0]
    remaining = iter([*payloads, b"next"])
    assert torch.equal(net.z.decompress(remaining, (19, 5)), z_hat)
    assert list(remaining) == [b"next"]


def test_random_latents_follow_the_tables(net: Any) -> None:
    with torch.no_grad():
        net.z.quantiles[:, 0] = torch.tensor([-30.0, 0.25, 30.0])
    update_tables(net.eval())
    sample = net.z.sample((3, 100, 100), torch.Generator().manual_seed(0))
    assert sample.shape == (3, 4, 100, 100)
    assert torch.equal((sample - 0.25).round(), sample - 0.25)
    values, counts = (sample[:, 2] - 0.25).unique(return_counts=True)
    _, p = net.z(torch.full((1, 4, 1, 1), 0.25) + values[counts.argmax()])
    assert counts.max().item() / 30000 == pytest.approx(p[0, 2].item(), abs=0.02)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf, 2.0**24, -5e8, 1e12])
def test_latents_that_cannot_be_coded_are_refused(net: Any, value: float) -> None:
    """CompressAI's coder would never return."""
    update_tables(net.eval())
    y = torch.zeros(1, 4, 2, 2)
    wild = y.clone()
    wild[0, 3, 1, 1] = value
    with pytest.raises(UserError, match="not finite or beyond all bounds"):
        net.z.compress(wild)
    for given, means in ((wild, y), (y, wild)):
        with pytest.raises(UserError, match="not finite or beyond all bounds"):
            net.y.compress(given, means=means, scales=y + 1)


def test_large_latents_escape_from_the_tables(net: Any) -> None:
    update_tables(net.eval())
    y = torch.tensor([2.0**24 - 1, -(2.0**24) + 1, 1000, -7]).view(1, 4, 1, 1)
    assert torch.equal(net.z.decompress(iter(net.z.compress(y)[0]), (1, 1)), y)
    means, scales = torch.zeros_like(y), torch.ones_like(y)
    payload, _ = net.y.compress(y, means=means, scales=scales)
    assert torch.equal(net.y.decompress(payload, means=means, scales=scales), y)


def test_quantile_loss_trains_quantiles_and_nothing_else(net: Any) -> None:
    quantile_loss(net).backward()
    for name, parameter in net.named_parameters():
        assert is_quantile(name) == (parameter.grad is not None and bool(parameter.grad.any())), name


def test_rate_trains_everything_but_quantiles(net: Any, latents: Tensor) -> None:
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
