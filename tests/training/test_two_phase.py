"""Distortion first, then the rate, too."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback

from lic.data import DeadLeaves, to_batch, to_float
from lic.errors import UserError
from lic.losses.importance import staged_distortion
from lic.models import ResidualGN, build_model
from lic.store.checkpoint import read_checkpoint
from lic.store.load import load_codec
from lic.training.two_phase import TwoPhase

from .recording import Recorder, resumes_to_the_same_weights


@pytest.fixture
def make() -> Callable[..., TwoPhase]:
    def make(
        lmbda: float | None = 0.01, model: dict[str, Any] | None = None, seed: int = 0, **options: Any
    ) -> TwoPhase:
        described = {"name": "residual_gn", "width": 8, "bottleneck": 8, **(model or {})}
        torch.manual_seed(seed)
        net = build_model(**described)
        assert isinstance(net, ResidualGN)
        config = {"model": described, "seed": seed}
        return TwoPhase(net, config, lmbda=lmbda, seed=seed, **options)

    return make


def test_a_step_trains_every_parameter(make: Any, fit: Any, tmp_path: Path) -> None:
    codec = make(distortion_share=0.0, model={"postprocess": True, "residuals": 2})
    trainer = fit(codec, tmp_path, max_steps=2, val_check_interval=2)
    assert trainer.global_step == 2
    for name, parameter in codec.net.named_parameters():
        assert parameter.isfinite().all()
        assert trainer.optimizers[0].state[parameter]["exp_avg"].any(), f"{name} has no gradient"


def test_the_rate_is_charged_in_the_second_phase_alone(make: Any, fit: Any, tmp_path: Path) -> None:
    recorder = Recorder()
    fit(make(lmbda=0.5), tmp_path, recorder, max_steps=4, val_check_interval=2)
    for step, logged in enumerate(recorder.steps):
        charged = 0.5 * logged["train/rate"] if step >= 2 else 0.0
        assert logged["train/loss"] == pytest.approx(logged["train/distortion"] + charged, rel=1e-5)


def test_the_distortion_is_that_of_all_stages(make: Any, fit: Any, tmp_path: Path) -> None:
    recorder = Recorder()
    fit(make(None, distortion_share=1, model={"residuals": 3}), tmp_path, recorder, max_steps=1)
    logged = recorder.steps[0]
    errors = [10 ** (-logged[f"train/psnr_{k}"] / 10) for k in range(4)]
    assert logged["train/distortion"] == pytest.approx(sum(errors), rel=0.2)  # a mean of PSNRs
    assert "train/psnr_4" not in logged


def test_best_is_chosen_in_the_second_phase(make: Any, fit: Any, tmp_path: Path) -> None:
    """However much lower the costs were before λ was in them."""
    fit(make(lmbda=100.0), tmp_path, max_steps=8, val_check_interval=2)
    assert read_checkpoint(tmp_path / "checkpoints" / "best.ckpt")["global_step"] > 4


def test_the_step_size_falls_at_the_milestones(make: Any, fit: Any, tmp_path: Path) -> None:
    recorder = Recorder()
    codec = make(lr=0.01, milestones=[0.25, 0.5, 0.75], factor=0.1)
    fit(codec, tmp_path, recorder, max_steps=8, val_check_interval=8)
    expected = [0.01] * 2 + [1e-3] * 2 + [1e-4] * 2 + [1e-5] * 2
    assert [rate for (rate,) in recorder.rates] == pytest.approx(expected)


def test_a_longer_run_moves_the_milestones(make: Any, fit: Any, tmp_path: Path) -> None:
    options = {"distortion_share": 0.0, "lr": 0.01, "milestones": [0.5], "factor": 0.1}
    fit(make(**options), tmp_path, max_steps=4, val_check_interval=2)
    recorder = Recorder()
    last = str(tmp_path / "checkpoints" / "last.ckpt")
    fit(make(**options), tmp_path, recorder, ckpt_path=last, max_steps=12, val_check_interval=2)
    after_the_first = [rate for (rate,) in recorder.rates[1:]]  # which has the checkpoint's own
    assert after_the_first == pytest.approx([0.01] + [1e-3] * 6)


def test_a_longer_run_does_not_go_back_to_the_first_phase(make: Any, fit: Any, tmp_path: Path) -> None:
    fit(make(), tmp_path, max_steps=4, val_check_interval=2)
    last = str(tmp_path / "checkpoints" / "last.ckpt")
    with pytest.raises(UserError, match=r"in its second phase, .*max_steps=12 begins at step 6 only"):
        fit(make(), tmp_path, ckpt_path=last, max_steps=12, val_check_interval=2)
    fit(make(), tmp_path, ckpt_path=last, max_steps=6, val_check_interval=2)  # the second phase goes on


def test_a_second_phase_without_a_step_is_refused(make: Any, fit: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"With distortion_share=0.9 none of 4 steps is left"):
        fit(make(distortion_share=0.9), tmp_path, max_steps=4)


@pytest.mark.parametrize("model", [{}, {"normalization": "batch"}])
def test_a_resumed_run_continues_to_the_same_weights(
    make: Any, fit: Any, tmp_path: Path, model: dict[str, Any]
) -> None:
    """Across the beginning of the second phase."""

    def train(folder: str, *callbacks: Callback, ckpt_path: str | None = None) -> TwoPhase:
        codec: TwoPhase = make(model=model)
        fit(codec, tmp_path / folder, *callbacks, ckpt_path=ckpt_path, max_steps=6, val_check_interval=2)
        return codec

    resumes_to_the_same_weights(train, tmp_path)


@pytest.mark.parametrize("normalization", ["group", "batch"])
def test_the_objective_can_be_learned(make: Any, normalization: str) -> None:
    """One batch by heart, within a few steps."""
    net = make(model={"width": 16, "bottleneck": 32, "normalization": normalization}).net.train()
    x = torch.stack([to_float(to_batch(DeadLeaves(2, 64)[i])[0]) for i in range(2)])
    adam = torch.optim.Adam(net.parameters(), 3e-3)
    errors = []
    for _ in range(40):
        loss = staged_distortion(net(x).stages, x).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        errors.append(loss.item())
    assert min(errors[-5:]) < 0.4 * errors[0]


def test_a_run_codes_files(make: Any, fit: Any, tmp_path: Path) -> None:
    fit(make(), tmp_path, max_steps=4)
    loaded = load_codec(tmp_path)
    image = DeadLeaves(1, 50)[0]
    assert (loaded.decode(loaded.encode(image).data) == loaded.encode(image).reconstruct()).all()
    assert loaded.info.setting == "λ = 0.01" and loaded.info.moving == ["lambda", "target_ratio"]
    assert loaded.info.objective == {"lambda": 0.01, "distortion": "mse", "distortion_share": 0.5}


@pytest.mark.parametrize(
    ("lmbda", "options", "words"),
    [
        (None, {}, "give lambda=null with it, and a number without"),
        (0.01, {"distortion_share": 1}, "give lambda=null with it"),
        (0, {}, "lambda must be a positive number, not 0; 0.001 is usual here"),
        ("much", {}, "lambda must be a positive number"),
        (math.nan, {}, "lambda must be a positive number"),
        (0.01, {"distortion_share": 1.5}, "distortion_share must be a share of the steps from 0 to 1"),
        (0.01, {"distortion_share": -1}, "distortion_share must be a positive number"),
        (0.01, {"milestones": [0.9, 0.5]}, "optimizer.milestones must be rising shares"),
        (0.01, {"milestones": [0.5, 2]}, "optimizer.milestones must be a share"),
        (0.01, {"milestones": [0.5, "a"]}, "optimizer.milestones must be a"),
        (0.01, {"milestones": 0.5}, "optimizer.milestones must be rising shares"),
        (0.01, {"factor": 0}, "optimizer.factor must be a positive number"),
        (0.01, {"lr": -1}, "optimizer.lr must be a positive number"),
        (0.01, {"model": {"importance": False}}, "no rate for lambda to weigh; give lambda=null"),
    ],
)
def test_impossible_options_are_refused(make: Any, lmbda: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        make(lmbda, **options)


def test_other_networks_are_refused() -> None:
    with pytest.raises(UserError, match="is of model=residual_gn"):
        TwoPhase(build_model("baseline", width=8), {}, lmbda=0.01)  # type: ignore[arg-type]


def test_a_lambda_far_away_is_told(make: Any, caplog: pytest.LogCaptureFixture) -> None:
    make(lmbda=5.0)
    assert "weighs the rate" in caplog.text


def test_a_second_phase_without_a_first_is_told(make: Any, caplog: pytest.LogCaptureFixture) -> None:
    make()
    assert not caplog.text
    make(distortion_share=0)
    assert "start_from names no run" in caplog.text
