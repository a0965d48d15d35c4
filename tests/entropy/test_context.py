from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from compressai.layers import MaskedConv2d
from torch import Tensor

from lic.entropy import CausalConv, Order, Scan, raster, wavefronts

Neighbours = Callable[[Tensor], Tensor]
SIZES = [(32, 48), (48, 32), (1, 1), (1, 9), (9, 1), (4, 4), (2, 7)]


@pytest.fixture
def y() -> Tensor:
    return torch.randn(1, 3, 7, 9, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def context() -> CausalConv:
    torch.manual_seed(0)
    return CausalConv(3, 5)


@torch.no_grad()
def test_it_is_compressais_masked_convolution(context: CausalConv, y: Tensor) -> None:
    theirs = MaskedConv2d(3, 5, kernel_size=5, padding=2)
    theirs.load_state_dict(context.state_dict())
    before = context.weight.clone()
    assert torch.equal(context(y), theirs(y))
    assert torch.equal(context.weight, before), "CompressAI writes to its weights"


@torch.no_grad()
def test_as_a_pointwise_convolution_of_neighbours(
    context: CausalConv, y: Tensor, neighbours: Neighbours
) -> None:
    pointwise = F.conv2d(neighbours(y), context.pointwise_weight(), context.bias)
    torch.testing.assert_close(pointwise, context(y))


def test_masked_weights_do_not_learn(context: CausalConv, y: Tensor) -> None:
    context(y).square().sum().backward()
    assert context.weight.grad is not None
    assert torch.equal(context.weight.grad != 0, context.mask.bool())


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("order", [raster, wavefronts])
def test_all_that_a_position_sees_is_known_before_its_step(order: Order, height: int, width: int) -> None:
    indexes, counts = order(height, width)
    assert sorted(indexes.tolist()) == list(range(height * width)) and sum(counts) == height * width
    step = torch.empty(height * width, dtype=torch.int64)
    step[indexes] = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    step = step.view(height, width)
    for row in range(height):
        for column in range(width):
            above = step[max(row - 2, 0) : row, max(column - 2, 0) : column + 3]
            left = step[row, max(column - 2, 0) : column]
            assert (above < step[row, column]).all() and (left < step[row, column]).all()


def test_a_kodak_latent_takes_141_steps() -> None:
    assert len(wavefronts(32, 48)[1]) == 141
    assert max(wavefronts(32, 48)[1]) == 16
    assert len(raster(32, 48)[1]) == 1536


@pytest.mark.parametrize("order", [raster, wavefronts])
@pytest.mark.parametrize("rows", [slice(0, 7), slice(0, 1), slice(1, 7), slice(4, 7), slice(6, 7)])
def test_a_scan_shows_the_neighbours_that_the_whole_latent_has(
    y: Tensor, order: Order, rows: slice, neighbours: Neighbours
) -> None:
    expected = neighbours(y)[:, :, rows]
    y_hat = y.clone()
    y_hat[:, :, rows] = torch.nan  # what is not coded yet
    scan = Scan(y_hat, rows, order)
    wanted, seen = scan.in_order(y[:, :, rows]), scan.in_order(expected)
    for step in scan:
        assert torch.equal(scan.neighbours(step), seen[..., step])
        scan.put(step, wanted[..., step])
    assert torch.equal(y_hat, y)
