"""Loggers, progress bar, filtered warnings."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from hydra.utils import instantiate
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig

from lic.entry import is_main_process
from lic.models import describe_model
from lic.runs import in_sweep, run_folder
from lic.store.description import model_options
from lic.store.objective import Objective
from lic.tracking import finish_run, run_id
from lic.training.base import Training

METRICS_FILE = "metrics.csv"
_NOT_FOR_USERS = (
    "Experiment logs directory .* exists",  # Hydra made the folder; an earlier metrics.csv is set aside
    "You're resuming from a checkpoint that ended before the epoch",  # our batches are numbered by step
    ".*isinstance\\(treespec, LeafSpec\\)",  # between Lightning and torch
    ".*does not have many workers",
    "Found .* module\\(s\\) in eval mode at the start",  # batch normalisation that start_from froze
    "Checkpoint directory .* exists and is not empty",  # the run that is being continued
    "The `srun` command is available",  # one process needs none
)


def quieten() -> None:
    """Leave what people need of Lightning's messages: warnings, once, in Hydra's format."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).handlers.clear()  # Hydra's root logger prints them already
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric.strategies").setLevel(logging.INFO)  # that it kills, and why
    for message in _NOT_FOR_USERS:
        warnings.filterwarnings("ignore", message)


class ProgressBar(RichProgressBar):
    """Lightning's bar without the epoch, and with the batches that a resumed one has had."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar, which Lightning does after the first batch where it resumes in an epoch."""
        super().on_train_start(trainer, pl_module)
        if self.progress is not None and self.train_progress_bar_id is None:
            self._initialize_train_progress_bar_id()

    @property
    def total_train_batches(self) -> int | float:
        """The batches of the epoch, at its start or where it is resumed; the last step may cut it short."""
        trainer = self.trainer
        size = trainer.num_training_batches  # infinite if it never ends
        processed = trainer.fit_loop.epoch_loop.batch_progress.total.processed  # type: ignore[attr-defined]
        module = cast(Training, trainer.lightning_module)
        left = (trainer.max_steps - trainer.global_step) * module.batches_per_step
        return min(size, int(processed % size) + left)

    def _get_train_description(self, current_epoch: int) -> str:
        return "Training"

    def get_metrics(self, *args: Any) -> dict[str, Any]:
        """The values shown beside the bar, without the logger's version number."""
        metrics = super().get_metrics(*args)
        metrics.pop("v_num", None)
        return metrics


@contextmanager
def loggers(cfg: DictConfig, config: dict[str, Any], objective: Objective) -> Iterator[list[Logger]]:
    """The chosen loggers, told the configuration and finished however the block ends."""
    folder = run_folder()
    if not is_main_process():
        yield []
        return
    _set_aside(folder / METRICS_FILE)
    made: list[Logger] = []
    exit_code = 1
    try:
        names = {"name": folder.name, "group": folder.parent.name if in_sweep() else None}
        if not in_sweep():  # such a folder is called by its time
            names["name"] = f"{describe_model(**model_options(config))}, {objective.setting}"
        for name, node in cfg.logger.items():
            own = {key: value for key, value in names.items() if key not in node} if name == "wandb" else {}
            if name == "wandb":
                own["id"] = run_id(folder)
            made.append(instantiate(node, **own))
            if name != "csv":
                made[-1].log_hyperparams(config)
        yield made
        exit_code = 0
    finally:
        finish_run(exit_code)


def _set_aside(metrics: Path) -> None:
    """Keep the values of an earlier part of this run: Lightning's logger deletes what it finds."""
    if metrics.exists():
        earlier = len(list(metrics.parent.glob("metrics.*.csv")))
        metrics.rename(metrics.with_name(f"metrics.{earlier + 1}.csv"))
