from collections.abc import Callable
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lic.entropy import EntropyBottleneck, GaussianConditional, adaptive_bits, bits, raw_bits, slow_bits


class Net(nn.Module):
    """Both of CompressAI's models and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.z, self.y = EntropyBottleneck(4), GaussianConditional()


@pytest.fixture
def net() -> Net:
    """Fresh, without tables."""
    torch.manual_seed(0)
    return Net()


@pytest.fixture
def neighbours() -> Callable[[Tensor], Tensor]:
    """[1, C, H, W] -> [1, 12·C, H, W]: what a causal 5x5 mask sees of each position, zero outside."""

    def gather(y: Tensor) -> Tensor:
        taps = F.unfold(y, 5, padding=2).view(y.shape[1], 25, *y.shape[2:])
        return taps[:, :12].transpose(0, 1).flatten(0, 1)[None]

    return gather


@pytest.fixture
def compiled() -> ModuleType:
    """The coder of bits in C."""
    return pytest.importorskip("lic.entropy._bits", reason="lic was installed without a compiler")


@pytest.fixture(params=["compiled", "slow", "raw", "shorter"])
def coder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Each way of coding binary latents; families take the last."""
    if request.param in ("raw", "shorter"):
        return raw_bits if request.param == "raw" else bits
    inner = request.getfixturevalue("compiled") if request.param == "compiled" else slow_bits
    monkeypatch.setattr(adaptive_bits, "_coder", inner)
    return adaptive_bits
