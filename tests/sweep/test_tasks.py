"""What a job asks of Slurm for the devices of its training."""

from typing import Any

import pytest
from omegaconf import OmegaConf

from lic.errors import UserError
from lic.sweep.tasks import allotment

NOTHING: dict[str, Any] = {"nodes": 0, "tasks_per_node": 0, "gpus_per_node": None}


def _asked(trainer: dict[str, Any] | None, **launcher: Any) -> dict[str, int]:
    cfg = OmegaConf.create({"trainer": trainer} if trainer else {})
    return allotment(cfg, OmegaConf.create(NOTHING | launcher))


@pytest.mark.parametrize(
    ("trainer", "launcher", "nodes_tasks_gpus"),
    [
        ({"accelerator": "auto", "devices": 1}, {}, (1, 1, None)),
        ({"accelerator": "gpu", "devices": 1}, {}, (1, 1, 1)),
        ({"accelerator": "gpu", "devices": 4, "num_nodes": 2}, {}, (2, 4, 4)),
        ({"accelerator": "cpu", "devices": 2, "num_nodes": 1}, {}, (1, 2, None)),
        ({"accelerator": "gpu", "devices": -1}, {"gpus_per_node": 8}, (1, 8, 8)),
        ({"accelerator": "gpu", "devices": 2}, {"tasks_per_node": 2, "nodes": 1}, (1, 2, 2)),
        ({"accelerator": "gpu", "devices": 2}, {"gres": "gpu:a100:2"}, (1, 2, None)),
        (None, {}, (1, 1, None)),
    ],
)
def test_tasks_follow_devices(
    trainer: dict[str, Any] | None,
    launcher: dict[str, Any],
    nodes_tasks_gpus: tuple[int, int, int | None],
) -> None:
    names = ("nodes", "tasks_per_node", "gpus_per_node")
    wanted = {name: n for name, n in zip(names, nodes_tasks_gpus, strict=True) if n is not None}
    assert _asked(trainer, **launcher) == wanted


@pytest.mark.parametrize(
    ("trainer", "launcher", "sentence"),
    [
        ({"devices": 2}, {"tasks_per_node": 1}, r"tasks_per_node=1 contradicts trainer.devices=2;"),
        ({"devices": 1, "num_nodes": 2}, {"nodes": 1}, r"nodes=1 contradicts trainer.num_nodes=2;"),
        ({"devices": 2}, {"gpus_per_node": 1}, r"gpus_per_node=1 contradicts trainer.devices=2;"),
        ({"devices": -1}, {}, r"trainer.devices=-1 means all GPUs .* give a number"),
        ({"devices": "auto"}, {}, r"trainer.devices=auto means all GPUs .* give a number"),
        ({"devices": [0, 1]}, {}, r"trainer.devices=\[0, 1\] cannot be asked of Slurm"),
        ({"devices": 0}, {}, r"trainer.devices=0 cannot be asked of Slurm"),
        ({"devices": 1, "num_nodes": -1}, {}, r"trainer.num_nodes must be a number of machines, not -1"),
    ],
)
def test_what_contradicts_is_refused(
    trainer: dict[str, Any], launcher: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        _asked({"accelerator": "gpu"} | trainer, **launcher)
