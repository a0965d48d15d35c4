import pytest
import torch
from torch import nn

from lic.entropy import EntropyBottleneck, GaussianConditional


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
