"""The callbacks of every training."""

from hydra.utils import instantiate
from lightning import Callback
from lightning.pytorch.callbacks import EMAWeightAveraging
from omegaconf import DictConfig

from lic.runs import run_folder
from lic.store.checkpoint import CHECKPOINTS
from lic.training.checkpoints import Checkpoints
from lic.training.logs import ProgressBar
from lic.training.pace import Pace, Progress


def callbacks_of(cfg: DictConfig, monitor: str) -> tuple[Checkpoints, list[Callback]]:
    """The checkpoints, and all callbacks with them: the run's own last, so that they see what others did."""
    checkpoints = Checkpoints(run_folder() / CHECKPOINTS, minutes=cfg.checkpoint_minutes, monitor=monitor)
    averaging = [EMAWeightAveraging(decay=cfg.ema, use_buffers=False)] if cfg.ema else []
    given = [instantiate(callback) for callback in cfg.trainer.callbacks or ()]
    shown = [ProgressBar()] if cfg.trainer.get("enable_progress_bar", True) else []
    return checkpoints, [*given, *averaging, checkpoints, Pace(), Progress(run_folder()), *shown]
