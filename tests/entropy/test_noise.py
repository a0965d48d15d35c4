import pytest
import torch
from torch import Tensor

from lic.entropy import EntropyBottleneck, GaussianConditional, add_noise, own_noise

CPU = torch.device("cpu")


def noisy(model: str, y: Tensor, first: int = 0, batch: int = 7) -> Tensor:
    """The latents that a model in training passes on, for items from ``first`` on."""
    torch.manual_seed(3)
    with own_noise((1, batch), range(first, first + len(y)), CPU):
        if model == "bottleneck":
            return EntropyBottleneck(4).train()(y)[0].detach()
        return GaussianConditional().train()(y, means=y / 2, scales=torch.ones_like(y))[0]


@pytest.mark.parametrize("model", ["bottleneck", "conditional"])
def test_noise_belongs_to_the_item_and_not_to_the_process(model: str) -> None:
    y = torch.randn(4, 4, 3, 5)
    whole = noisy(model, y)
    assert torch.equal(torch.cat([noisy(model, y[:2]), noisy(model, y[2:], first=2)]), whole)
    assert not torch.equal(noisy(model, y, batch=8), whole)
    noise = whole - y
    assert noise.abs().max() <= 0.5 + 1e-6
    assert len({item.numpy().tobytes() for item in noise.round(decimals=4)}) == 4


def test_two_draws_of_a_pass_differ_and_are_uniform() -> None:
    x = torch.zeros(2, 3, 100, 100)
    with own_noise((0, 0), range(2), CPU):
        first, second = add_noise(x), add_noise(x)
    assert not torch.equal(first, second)
    counts = first.flatten().histc(10, -0.5, 0.5)
    assert ((counts - 6000).abs() < 400).all()  # five standard deviations


def test_channels_last_latents_stay_so() -> None:
    x = torch.zeros(2, 3, 4, 5).to(memory_format=torch.channels_last)
    with own_noise((0, 0), range(2), CPU):
        assert add_noise(x).is_contiguous(memory_format=torch.channels_last)


def test_without_a_source_the_global_generator_decides() -> None:
    x = torch.zeros(2, 3, 4, 5)
    torch.manual_seed(0)
    first = add_noise(x)
    torch.manual_seed(0)
    assert torch.equal(add_noise(x), first)
    assert not torch.equal(add_noise(x), first)


def test_items_and_sources_must_match() -> None:
    with own_noise((0, 0), range(3), CPU), pytest.raises(ValueError, match="zip"):
        add_noise(torch.zeros(2, 3, 4, 5))
