"""A training with two optimizers, as a discriminator beside a network needs it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer
from torch import Tensor, nn

from lic.data import to_float
from lic.data.loading import Batch
from lic.models import build_model
from lic.store.checkpoint import read_checkpoint
from lic.store.objective import Objective
from lic.training.base import SeveralOptimizers, TrainingDivergedError

MODEL: dict[str, Any] = {"name": "baseline", "width": 4, "kernel_size": 3}


class Duel(SeveralOptimizers):
    """A critic learns to tell images from reconstructions; the network learns both."""

    monitor = "val/error"

    def __init__(self, accumulate: int = 1, clip_norm: float = 0) -> None:
        torch.manual_seed(0)
        super().__init__(build_model(**MODEL), {"model": MODEL, "seed": 0})
        self.critic = nn.Conv2d(3, 1, 3)
        self.accumulate, self.clip_norm = accumulate, clip_norm
        self.seen = list[int]()
        self.batches = list[Batch]()

    @property
    def objective(self) -> Objective:
        return Objective({"critic": 1}, "duel")

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return [torch.optim.SGD(self.net.parameters(), 0.1), torch.optim.Adam(self.critic.parameters(), 0.01)]

    def losses(self, batch: Batch) -> tuple[Tensor, Tensor]:
        x = to_float(batch.patches)
        g_a, g_s = self.net.get_submodule("g_a"), self.net.get_submodule("g_s")
        x_hat = g_s(g_a(x))  # without the noise of the bottleneck
        critic = self.critic(x_hat.detach()).mean() - self.critic(x).mean()
        return (x_hat - x).square().mean() - 0.01 * self.critic(x_hat).mean(), critic

    def training_step(self, batch: Batch, batch_index: int) -> None:
        for index, loss in enumerate(self.losses(batch)):
            self.descend(index, loss, batch_index, self.clip_norm)
        self.seen.append(self.global_step)
        self.batches.append(batch)

    def rehearse(self, batch: Batch) -> None:
        torch.stack(self.losses(batch)).sum().backward()
        self.zero_grad()

    def validation_step(self, batch: Tensor, batch_index: int) -> None:
        x = to_float(batch)
        self.log("val/error", (self.net(x).x_hat - x).square().mean())


def test_a_step_is_a_batch_however_many_optimizers(fit: Any, tmp_path: Path) -> None:
    duel = Duel()
    before = [p.clone() for p in (*duel.net.parameters(), *duel.critic.parameters())]
    trainer = fit(duel, tmp_path, max_steps=4)
    assert duel.seen == [1, 2, 3, 4] and trainer.global_step == 4
    saved = read_checkpoint(tmp_path / "checkpoints" / "last.ckpt")
    assert saved["global_step"] == 4 and saved["objective"]["setting"] == "duel"
    after = [*duel.net.parameters(), *duel.critic.parameters()]
    moved = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert moved[-2] and any(moved[:-2]), "the critic's bias has no gradient"


def test_accumulated_batches_are_one_step_by_their_mean(fit: Any, tmp_path: Path) -> None:
    duel, copy = Duel(accumulate=2), Duel()
    fit(duel, tmp_path / "two", max_steps=2, val_check_interval=4)
    assert duel.seen == [0, 1, 1, 2]
    once = Duel(accumulate=2)
    fit(once, tmp_path / "one", max_steps=1, val_check_interval=2)
    copy.train()
    parameters = [p for name, p in copy.net.named_parameters() if name.startswith("g_")]
    loss = torch.stack([copy.losses(batch)[0] for batch in once.batches]).mean()
    for own, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        own.data -= 0.1 * gradient
    trained = [p for name, p in once.net.named_parameters() if name.startswith("g_")]
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(parameters, trained, strict=True))


@pytest.mark.parametrize("share", ["warm-up", "alternating", "twice"])
def test_a_batch_is_a_step_whichever_optimizers_it_moves(share: str, fit: Any, tmp_path: Path) -> None:
    class Uneven(Duel):
        def training_step(self, batch: Batch, batch_index: int) -> None:
            order = {"warm-up": [1], "alternating": [batch_index % 2], "twice": [1, 1, 0]}[share]
            for index in order:
                self.descend(index, self.losses(batch)[index], batch_index)
            self.seen.append(self.global_step)

    duel = Uneven()
    assert fit(duel, tmp_path, max_steps=4).global_step == 4
    assert duel.seen == [1, 2, 3, 4]


def test_frozen_parts_stay(fit: Any, tmp_path: Path) -> None:
    duel = Duel()
    duel.net.get_submodule("g_a").requires_grad_(False)
    before = {name: value.clone() for name, value in duel.net.state_dict().items()}
    fit(duel, tmp_path, max_steps=2)
    after = duel.net.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before if name.startswith("g_a."))
    assert not torch.equal(after["g_s.0.weight"], before["g_s.0.weight"])


def test_each_loss_moves_its_own_parameters_alone(fit: Any, tmp_path: Path) -> None:
    """The critic's gradient under the network's loss is none of its own: SGD by hand finds the same."""
    duel, copy = Duel(), Duel()
    fit(duel, tmp_path, max_steps=1, val_check_interval=1)
    copy.net.train()
    (batch,) = duel.batches
    expected = torch.autograd.grad(copy.losses(batch)[1], list(copy.critic.parameters()))
    adam = torch.optim.Adam(copy.critic.parameters(), 0.01)
    for parameter, gradient in zip(copy.critic.parameters(), expected, strict=True):
        parameter.grad = gradient
    adam.step()
    for a, b in zip(copy.critic.parameters(), duel.critic.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-7)


def test_it_resumes_to_the_same_weights(fit: Any, tmp_path: Path) -> None:
    whole = Duel()
    fit(whole, tmp_path / "whole", max_steps=4)
    fit(Duel(), tmp_path / "half", max_steps=2)
    resumed = Duel()
    fit(resumed, tmp_path / "half", max_steps=4, ckpt_path=str(tmp_path / "half/checkpoints/last.ckpt"))
    assert resumed.seen == [3, 4]
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_gradients_are_clipped(fit: Any, tmp_path: Path) -> None:
    duel, copy = Duel(clip_norm=1e-6), Duel()
    fit(duel, tmp_path, max_steps=1, val_check_interval=1)
    moved = [a - b for a, b in zip(duel.net.parameters(), copy.net.parameters(), strict=True)]
    assert 0 < sum(m.square().sum() for m in moved) ** 0.5 <= 1.01 * 0.1 * 1e-6


def test_divergence_is_one_sentence(fit: Any, tmp_path: Path) -> None:
    class Poison(Callback):
        def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
            if batch_idx == 1:
                nn.init.constant_(pl_module.critic.weight, torch.nan)

    sentence = r"the loss is nan at step 1 \(duel, last finite loss [\d.-]+\); start again .* No checkpoint"
    with pytest.raises(TrainingDivergedError, match=sentence):
        fit(Duel(), tmp_path, Poison(), max_steps=4, val_check_interval=4)
