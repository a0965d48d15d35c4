"""Callbacks that look at a training or change it, and what it saved."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import Optimizer

from lic.store.checkpoint import read_checkpoint


class Recorder(Callback):
    """Keeps what each step logged, and the rates of learning that it used."""

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []
        self.rates: list[list[float]] = []
        self.losses: list[Tensor] = []
        self.weights: list[dict[str, Tensor]] = []

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_index: int
    ) -> None:
        self.losses.append(outputs["loss"])
        self.steps.append({name: float(value) for name, value in trainer.callback_metrics.items()})
        assert isinstance(module.net, nn.Module)
        self.weights.append({k: v.detach().clone() for k, v in module.net.state_dict().items()})

    def on_train_batch_start(
        self, trainer: Trainer, module: LightningModule, batch: Any, batch_index: int
    ) -> None:
        self.rates.append([group["lr"] for group in trainer.optimizers[0].param_groups])


class Norms(Callback):
    """Keeps the norm of the gradient that each optimizer took a step by."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for optimizer in trainer.optimizers:
            optimizer.register_step_post_hook(self._look)

    def _look(self, optimizer: Optimizer, *args: Any) -> None:
        gradients = (p.grad for group in optimizer.param_groups for p in group["params"])
        self.seen.append(math.sqrt(sum(g.square().sum().item() for g in gradients if g is not None)))


class At(Callback):
    """Does something to the net before a step."""

    def __init__(self, step: int, action: Any) -> None:
        self.step, self.action = step, action

    def on_train_batch_start(
        self, trainer: Trainer, module: LightningModule, batch: Any, batch_index: int
    ) -> None:
        if trainer.global_step == self.step:
            self.action(module.net)


class PowerCutError(RuntimeError):
    pass


def power_cut(net: nn.Module) -> None:
    """What `At` may do."""
    raise PowerCutError


def resumes_to_the_same_weights(run: Callable[..., nn.Module], folder: Path) -> None:
    """``run(name, *callbacks, ckpt_path=…)`` trains in a folder of that name; one meets a power cut."""
    whole = run("whole")
    with pytest.raises(PowerCutError):
        run("parts", At(3, power_cut))
    torch.manual_seed(1234)
    resumed = run("parts", ckpt_path=str(folder / "parts" / "checkpoints" / "last.ckpt"))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def step_of(folder: Path, name: str) -> int:
    """The step of a checkpoint of the run in ``folder``: best or last."""
    return int(read_checkpoint(folder / "checkpoints" / f"{name}.ckpt")["global_step"])
