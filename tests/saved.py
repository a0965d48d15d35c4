"""What a training leaves in its run's folder, without a training."""

from pathlib import Path
from typing import Any

import torch

from lic.entropy import tables
from lic.models import Network
from lic.store.objective import Objective

from .objectives import rd


def save_run(
    folder: Path, net: Network, model: dict[str, Any], lmbda: float = 5, objective: Objective | None = None
) -> None:
    """The best checkpoint of ``net``, with its tables and the options ``model`` that it was built of."""
    checkpoint = {
        "state_dict": {f"net.{name}": value for name, value in net.state_dict().items()},
        "hyper_parameters": {"config": {"model": model}},
        "objective": (objective or rd(lmbda, "ms_ssim")).plain(),
        "entropy_tables": tables(net),
    }
    (folder / "checkpoints").mkdir(parents=True)
    torch.save(checkpoint, folder / "checkpoints" / "best.ckpt")
