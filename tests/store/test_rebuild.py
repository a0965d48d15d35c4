from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import lic.models
from lic.entropy import tables
from lic.errors import UserError
from lic.models import Baseline
from lic.store.description import Description
from lic.store.rebuild import rebuild_net

from ..objectives import rd

SIZE = 1 << 30


def _rebuild(net: nn.Module, **options: Any) -> nn.Module:
    description = Description({"name": "baseline", "width": 8, "kernel_size": 3} | options, rd(0.01))
    return rebuild_net(description, net.state_dict(), tables(net), SIZE)


@pytest.fixture
def net(make_net: Any) -> nn.Module:
    return make_net(name="baseline", kernel_size=3)


def test_a_constructor_may_draw_and_join_tensors(net: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    class Joining(Baseline):
        def __init__(self, **options: Any):
            super().__init__(**options)
            drawn.append(torch.cat([torch.rand(3), torch.stack([torch.zeros(()), torch.ones(())])]))

    monkeypatch.setitem(lic.models.MODELS, "baseline", Joining)
    state = torch.get_rng_state()
    _rebuild(net)
    assert torch.equal(torch.get_rng_state(), state)
    assert drawn[0].shape == (5,) and drawn[0][3:].tolist() == [0, 1]


@pytest.mark.parametrize("make", [torch.empty, torch.zeros, torch.rand], ids=["empty", "zeros", "rand"])
def test_what_the_file_cannot_hold_is_not_allocated(
    net: nn.Module, monkeypatch: pytest.MonkeyPatch, make: Callable[..., Tensor]
) -> None:
    class Huge(Baseline):
        def __init__(self, **options: Any):
            super().__init__(**options)
            make(1 << 50)

    monkeypatch.setitem(lic.models.MODELS, "baseline", Huge)
    with pytest.raises(UserError, match="does not fit the model") as caught:
        _rebuild(net)
    assert "fewer weights" in str(caught.value.__cause__)


@pytest.mark.parametrize("width", [10, 10_000])
def test_another_width_is_refused(net: nn.Module, width: int) -> None:
    with pytest.raises(UserError, match=rf"does not fit the model it names \(.*width {width}"):
        _rebuild(net, width=width)
