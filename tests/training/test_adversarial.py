"""SRGAN: the losses of both networks, their steps, and which state is kept."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from lic.data import DeadLeaves, ImageData, to_float
from lic.data.loading import Batch
from lic.errors import UserError
from lic.losses.content import vgg19_features
from lic.models import build_model
from lic.models.srgan import SRResNet, shrunk
from lic.store.checkpoint import read_checkpoint
from lic.training.adversarial import Adversarial
from lic.training.base import TrainingDivergedError

from .recording import At, Norms, resumes_to_the_same_weights, step_of

MODEL: dict[str, Any] = {"name": "srgan", "width": 4, "blocks": 1}


def make(seed: int = 0, start_from: str | None = "RUN", **options: Any) -> Adversarial:
    torch.manual_seed(seed)
    net = build_model(**MODEL)
    assert isinstance(net, SRResNet)
    config = {"model": MODEL, "seed": seed, "start_from": start_from}
    return Adversarial(net, config, **{"width": 2} | options)


def train(fit: Any, training: Adversarial, folder: Path, *callbacks: Callback, **options: Any) -> Any:
    return fit(training, folder, *callbacks, **{"patch_size": 24} | options)


def patches() -> Batch:
    generator = torch.Generator().manual_seed(0)
    return Batch(torch.randint(0, 256, (2, 3, 24, 24), dtype=torch.uint8, generator=generator), 0)


def test_the_losses_are_binary_cross_entropies_and_the_content() -> None:
    training, batch = make(adversarial=0.01).eval(), patches()
    x = to_float(batch.patches)
    x_hat = training.net(shrunk(x))
    real, fake = training.discriminator(x), training.discriminator(x_hat)
    one, zero = torch.ones(2), torch.zeros(2)
    content = (2 * (x_hat - x)).square().mean()
    generator, discriminator, terms = training.losses(batch)
    expected = content + 0.01 * binary_cross_entropy_with_logits(fake, one)
    assert generator.item() == pytest.approx(expected.item(), rel=1e-5)
    both = binary_cross_entropy_with_logits(real, one) + binary_cross_entropy_with_logits(fake, zero)
    assert discriminator.item() == pytest.approx(both.item(), rel=1e-5)
    assert terms["content"].item() == pytest.approx(content.item(), rel=1e-5)
    assert terms["real"].item() + terms["fake"].item() == pytest.approx(discriminator.item(), rel=1e-5)


def test_the_discriminators_loss_gives_the_generator_no_gradient() -> None:
    training = make()
    training.losses(patches())[1].backward()
    assert all(p.grad is None for p in training.net.parameters())
    assert any(p.grad is not None and p.grad.any() for p in training.discriminator.parameters())


def test_a_batch_is_a_step_of_both_networks(fit: Any, tmp_path: Path) -> None:
    training, before = make(), make()
    trainer = train(fit, training, tmp_path, max_steps=4)
    assert trainer.global_step == 4 and step_of(tmp_path, "last") == 4
    for network in ("net", "discriminator"):
        new, old = (list(one.get_submodule(network).parameters()) for one in (training, before))
        assert all(p.isfinite().all() for p in new)
        assert any(not torch.equal(a, b) for a, b in zip(new, old, strict=True))
    names = {"loss", "content", "adversarial", "discriminator", "real", "fake", "lr"}
    assert {f"train/{name}" for name in names} <= trainer.callback_metrics.keys()
    assert {"val/psnr", "val/psnr_bicubic", "val/mse"} <= trainer.callback_metrics.keys()
    saved = read_checkpoint(tmp_path / "checkpoints" / "best.ckpt")
    assert any(name.startswith("discriminator.") for name in saved["state_dict"])
    assert saved["objective"]["values"] == {"content": "mse", "adversarial": 1e-3}


@pytest.mark.parametrize("accumulated", [1, 2])
def test_epochs_of_one_step_end_too(fit: Any, tmp_path: Path, accumulated: int) -> None:
    training = make()
    training.accumulate = accumulated
    options = {"limit_train_batches": accumulated, "val_check_interval": accumulated, "max_epochs": 9}
    trainer = train(fit, training, tmp_path, max_steps=3, **options)
    assert trainer.global_step == 3 and trainer.current_epoch == 3


def test_bfloat16_trains_too(fit: Any, tmp_path: Path) -> None:
    trainer = train(fit, make(), tmp_path, max_steps=2, precision="bf16-mixed")
    assert math.isfinite(trainer.callback_metrics["train/loss"])


def test_the_newest_validated_state_is_the_best(fit: Any, tmp_path: Path) -> None:
    train(fit, make(), tmp_path, max_steps=4)
    assert step_of(tmp_path, "best") == 4
    train(fit, make(), tmp_path, max_steps=6, ckpt_path=str(tmp_path / "checkpoints" / "last.ckpt"))
    assert step_of(tmp_path, "best") == 6, "in a longer run, too"


def test_both_step_sizes_fall_half_way(fit: Any, tmp_path: Path) -> None:
    class Rates(Callback):
        def __init__(self) -> None:
            self.seen: list[list[float]] = []

        def on_train_batch_start(self, trainer: Any, *args: Any) -> None:
            self.seen.append([one.param_groups[0]["lr"] for one in trainer.optimizers])

    rates, halves = Rates(), Rates()
    train(fit, make(), tmp_path / "a", rates, max_steps=4)
    assert rates.seen == [pytest.approx(one) for one in [[1e-4] * 2] * 2 + [[1e-5] * 2] * 2]
    training = make()
    training.accumulate = 2
    train(fit, training, tmp_path / "b", halves, max_steps=2, val_check_interval=4)
    assert halves.seen == rates.seen, "steps count, not batches"


def test_a_resumed_run_continues_to_the_same_weights(fit: Any, tmp_path: Path) -> None:
    """Those of the discriminator, the states of both optimizers and their step sizes, too."""

    def run(folder: str, *callbacks: Callback, ckpt_path: str | None = None) -> Adversarial:
        training = make()
        train(fit, training, tmp_path / folder, *callbacks, ckpt_path=ckpt_path, max_steps=6)
        return training

    resumes_to_the_same_weights(run, tmp_path)
    last = "checkpoints/last.ckpt"
    first, second = (read_checkpoint(tmp_path / name / last) for name in ("whole", "parts"))
    assert first["lr_schedulers"] == second["lr_schedulers"] and len(first["optimizer_states"]) == 2
    for a, b in zip(first["optimizer_states"], second["optimizer_states"], strict=True):
        for key, state in a["state"].items():
            assert all(torch.equal(state[name], b["state"][key][name]) for name in state)


def test_each_gradient_is_clipped(fit: Any, tmp_path: Path) -> None:
    norms, others = Norms(), Norms()
    train(fit, make(clip_norm=1e-3), tmp_path / "a", norms, max_steps=1, val_check_interval=1)
    assert norms.seen == pytest.approx([1e-3, 1e-3], rel=1e-2)
    train(fit, make(clip_norm=0), tmp_path / "b", others, max_steps=1, val_check_interval=1)
    assert len(others.seen) == 2 and min(others.seen) > 2e-3


def test_divergence_is_one_sentence(fit: Any, tmp_path: Path) -> None:
    def poison(net: nn.Module) -> None:
        nn.init.constant_(net.get_parameter("last.bias"), torch.nan)

    with pytest.raises(TrainingDivergedError, match=r"the loss is nan at step 2 \(MSE \+ 0.001 adversarial"):
        train(fit, make(), tmp_path, At(2, poison), max_steps=4)
    assert step_of(tmp_path, "best") == 2


def test_a_start_from_nothing_is_told(caplog: pytest.LogCaptureFixture) -> None:
    make()
    assert not caplog.text
    make(start_from=None)
    assert "start_from names no run of SRResNet" in caplog.text


def test_a_vgg19_is_used_said_and_in_no_checkpoint(fit: Any, tmp_path: Path) -> None:
    file = tmp_path / "vgg19.pth"
    torch.save({f"features.{k}": v for k, v in vgg19_features().state_dict().items()}, file)
    training = make(weights=str(file))
    assert training.objective.values["content"] == "vgg19" and "φ_5,4" in training.objective.setting
    train(fit, training, tmp_path, max_steps=1, val_check_interval=1)
    saved = read_checkpoint(tmp_path / "checkpoints" / "best.ckpt")
    assert {name.partition(".")[0] for name in saved["state_dict"]} == {"net", "discriminator"}
    images = torch.rand(2, 1, 3, 24, 24)
    assert training.content(*images).item() != make().content(*images).item()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"weights": "nowhere.pth"}, "content.weights=.*nowhere.pth cannot be read"),
        ({"weights": 3}, "content.weights must be a file or null, not 3"),
        ({"width": 0}, "discriminator.width must be a positive number"),
        ({"adversarial": 0}, "adversarial must be a positive number"),
        ({"lr": -1}, "optimizer.lr must be a positive number"),
        ({"final_lr": 0}, "optimizer.final_lr must be a positive number"),
        ({"final_share": 1.5}, "optimizer.final_share must be a share"),
        ({"clip_norm": -1}, "optimizer.clip_norm must be a positive number"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        make(**options)


def test_other_networks_and_patches_are_refused() -> None:
    with pytest.raises(UserError, match="training=adversarial is of model=srgan; choose another"):
        Adversarial(build_model("baseline", width=8), {})  # type: ignore[arg-type]
    data = ImageData(train=DeadLeaves(), valid=DeadLeaves(1, 24), test=DeadLeaves(1, 24), patch_size=30)
    with pytest.raises(UserError, match=r"data\.patch_size=30 is no multiple"):
        make().check_data(data)
