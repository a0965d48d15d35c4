"""The mask of an importance map."""

import pytest
import torch

from lic.layers.importance import SLOPE, importance_mask, levels_of, mask_of

STEPS, CHANNELS = 8, 32


def every_p() -> torch.Tensor:
    return torch.linspace(0, 1, 1601).view(1, 1, 1, -1)


@pytest.mark.parametrize("training", [True, False])
def test_groups_are_nested_for_every_p(training: bool) -> None:
    mask = importance_mask(every_p(), CHANNELS, STEPS, training)
    assert mask.shape == (1, CHANNELS, 1, 1601) and set(mask.unique().tolist()) <= {0, 1}
    assert (mask[:, 1:] <= mask[:, :-1]).all(), "a later channel is kept where an earlier one is not"
    groups = mask.view(1, STEPS, CHANNELS // STEPS, -1)
    assert torch.equal(groups, groups[:, :, :1].expand_as(groups))


def test_in_use_a_position_keeps_the_groups_whose_threshold_it_reaches() -> None:
    p = torch.tensor([0.0, 0.0624, 0.0625, 0.1874, 0.1875, 0.5, 0.9374, 0.9375, 1.0]).view(1, 1, 1, -1)
    levels = levels_of(importance_mask(p, CHANNELS, STEPS, False), STEPS)
    assert levels.flatten().tolist() == [0, 0, 1, 1, 2, 4, 7, 8, 8]


def test_the_levels_are_the_mask() -> None:
    mask = importance_mask(every_p(), CHANNELS, STEPS, False)
    assert torch.equal(mask_of(levels_of(mask, STEPS), CHANNELS, STEPS), mask)


def test_on_average_the_mask_is_the_sigmoid() -> None:
    p = torch.full((20_000, 1, 1, 1), 0.45)
    mask = importance_mask(p, STEPS, STEPS, True).mean((0, 2, 3))
    thresholds = (torch.arange(8) + 0.5) / 8
    assert torch.allclose(mask, torch.sigmoid(SLOPE * (0.45 - thresholds)), atol=0.02)


@pytest.mark.parametrize("training", [True, False])
def test_the_gradient_is_that_of_the_sigmoids(training: bool) -> None:
    p = torch.tensor([0.1, 0.4, 0.8]).view(1, 1, 1, -1).requires_grad_()
    importance_mask(p, CHANNELS, STEPS, training).sum().backward()
    assert p.grad is not None
    other = p.detach().clone().requires_grad_()
    thresholds = ((torch.arange(STEPS) + 0.5) / STEPS).view(-1, 1, 1)
    (torch.sigmoid(SLOPE * (other - thresholds)).sum() * (CHANNELS // STEPS)).backward()
    assert other.grad is not None and torch.allclose(p.grad, other.grad)
