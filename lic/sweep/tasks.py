"""What a job asks of Slurm, so that its training has a task for each device."""

from typing import Any

from omegaconf import DictConfig, OmegaConf

from lic.errors import UserError


def allotment(cfg: DictConfig, given: DictConfig) -> dict[str, int]:
    """Nodes, tasks per node and, on GPUs, GPUs per node of a job, as submitit calls them.

    They follow ``trainer.num_nodes`` and ``trainer.devices`` of its configuration. What is ``given`` in
    ``hydra.launcher`` must be the same; 0 is nothing given.

    Raises:
        UserError: it is not, or nobody can say how many devices are meant.
    """
    trainer = OmegaConf.select(cfg, "trainer") or OmegaConf.create({"devices": 1})  # an evaluation has none
    on_gpu = trainer.get("accelerator") in ("gpu", "cuda")
    devices: Any = trainer.devices
    if devices in (-1, "-1", "auto"):
        devices = given.gpus_per_node
        if not on_gpu or devices is None:
            raise UserError(
                f"trainer.devices={trainer.devices} means all GPUs of a node, and nobody here knows how many "
                "those of Slurm have; give a number, as in trainer.devices=2."
            )
    if type(devices) is not int or devices < 1:
        raise UserError(
            f"trainer.devices={devices} cannot be asked of Slurm, which chooses devices itself; give their "
            "number, as in trainer.devices=2."
        )
    nodes = trainer.get("num_nodes", 1)
    if type(nodes) is not int or nodes < 1:
        raise UserError(f"trainer.num_nodes must be a number of machines, not {nodes}.")
    wanted = {"nodes": nodes, "tasks_per_node": devices}
    if on_gpu and not given.get("gres"):  # some clusters know no other way to ask for GPUs
        wanted["gpus_per_node"] = devices
    for key, number in wanted.items():
        if given.get(key) and given[key] != number:
            option = "trainer.num_nodes" if key == "nodes" else "trainer.devices"
            raise UserError(
                f"hydra.launcher.{key}={given[key]} contradicts {option}={number}; leave the first out, as "
                "hydra/launcher=slurm asks for what the training needs."
            )
    return wanted
