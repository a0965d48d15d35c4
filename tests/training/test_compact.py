"""The training of the networks around a compact image: at once and in turns."""

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Callback
from scipy.stats import entropy

from lic.data import DeadLeaves, to_batch, to_float
from lic.errors import UserError
from lic.models import CompactImage, build_model
from lic.store.load import load_codec
from lic.training.compact import Compact

from .recording import Norms, Recorder, resumes_to_the_same_weights


@pytest.fixture
def make() -> Callable[..., Compact]:
    def make(model: dict[str, Any] | None = None, seed: int = 0, **options: Any) -> Compact:
        described = {"name": "icm_irm", "width": 4, **(model or {})}
        torch.manual_seed(seed)
        net = build_model(**described)
        assert isinstance(net, CompactImage)
        return Compact(net, {"model": described, "seed": seed}, seed=seed, **options)

    return make


def train(fit: Any, codec: Compact, folder: Path, *callbacks: Callback, **options: Any) -> Any:
    return fit(codec, folder, *callbacks, **{"patch_size": 24, "val_check_interval": 2} | options)


@pytest.mark.parametrize("name", ["icm_irm", "comcnn_reccnn"])
def test_a_step_trains_every_parameter(make: Any, fit: Any, tmp_path: Path, name: str) -> None:
    codec = make({"name": name})
    trainer = train(fit, codec, tmp_path, max_steps=2)
    assert trainer.global_step == 2
    for parameter in codec.net.parameters():
        assert parameter.isfinite().all() and "exp_avg" in trainer.optimizers[0].state[parameter]


def test_bfloat16_trains_too(make: Any, fit: Any, tmp_path: Path) -> None:
    recorder, codec, seen = Recorder(), make(), []
    codec.net.register_forward_hook(lambda _, __, out: seen.append(out))
    train(fit, codec, tmp_path, recorder, max_steps=2, precision="bf16-mixed")
    assert all(math.isfinite(logged["train/loss"]) for logged in recorder.steps)
    assert seen and all(out.compact.dtype == torch.float32 for out in seen)  # 8 bits are no bfloat16


@pytest.mark.parametrize(
    ("options", "weights"),
    [
        ({}, (1, 1 / 255, 0)),
        ({"alpha": 0}, (1, 0, 0)),
        ({"alpha": 0.5, "lmbda": 0.25}, (1, 0.5, 0.25)),
        ({"alpha": 1, "i_out": "residual", "lmbda": 1e-3}, (1, 1, 1e-3)),
    ],
)
def test_the_loss_is_the_weighted_sum_of_the_logged_terms(
    make: Any, fit: Any, tmp_path: Path, options: dict[str, Any], weights: tuple[float, ...]
) -> None:
    recorder = Recorder()
    trainer = train(fit, make(**options), tmp_path, recorder, max_steps=2)
    for logged in recorder.steps:
        terms = [logged[f"train/{name}"] for name in ("distortion", "shift", "variance")]
        assert all(term > 1e-4 for term in terms)
        expected = sum(weight * term for weight, term in zip(weights, terms, strict=True))
        assert logged["train/loss"] == pytest.approx(expected, rel=1e-5)
    names = {f"val/{name}" for name in ("cost", "distortion", "shift", "variance", "psnr")}
    assert names <= set(trainer.callback_metrics)
    assert not any("entropy" in name for logged in recorder.steps for name in logged)


def test_validations_log_the_values_of_the_compact_image(make: Any, fit: Any, tmp_path: Path) -> None:
    """Of one image, by numpy, whether or not the network trains with 8 bits."""
    for quantised in (True, False):
        codec = make({"quantise_in_training": quantised})
        trainer = train(fit, codec, tmp_path / f"{quantised}", max_steps=2)
        with torch.inference_mode():
            (batch,) = trainer.val_dataloaders
            compact = codec.net.eval()(to_float(batch)).compact
        _, counts = np.unique((compact * 255).round().numpy().astype(np.uint8), return_counts=True)
        logged = trainer.callback_metrics
        assert logged["val/distinct_values"] == len(counts)
        assert logged["val/entropy"] == pytest.approx(entropy(counts, base=2), rel=1e-5)


def test_the_readings_of_the_second_term_differ(make: Any, fit: Any, tmp_path: Path) -> None:
    shifts = []
    for i_out in ("final", "residual"):
        recorder = Recorder()
        train(fit, make(i_out=i_out), tmp_path / i_out, recorder, max_steps=1)
        shifts.append(recorder.steps[0]["train/shift"])
    assert shifts[0] != pytest.approx(shifts[1], rel=1e-3)


def _moved(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    """The networks of which anything is another, running statistics included."""
    return {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}


def test_in_turns_one_network_learns_while_the_other_rests(make: Any, fit: Any, tmp_path: Path) -> None:
    recorder, codec = Recorder(), make({"name": "comcnn_reccnn"}, turns=2)
    initial = {name: value.detach().clone() for name, value in codec.net.state_dict().items()}
    train(fit, codec, tmp_path, recorder, max_steps=8, val_check_interval=3)
    weights = [initial, *recorder.weights]
    moved = [_moved(*pair) for pair in pairwise(weights)]
    assert moved == [{"rec"}] * 2 + [{"com"}] * 2 + [{"rec"}] * 2 + [{"com"}] * 2


@pytest.mark.parametrize(("share", "moving"), [(0, 0), (0.25, 1), (0.5, 2), (1, 4)])
def test_batch_normalization_settles_before_the_codec(
    make: Any, fit: Any, tmp_path: Path, share: float, moving: int
) -> None:
    """Before the codec its running statistics stay, and its weights go on learning."""
    recorder, codec = Recorder(), make(batch_share=share)
    initial = {name: value.detach().clone() for name, value in codec.net.state_dict().items()}
    train(fit, codec, tmp_path, recorder, max_steps=4, val_check_interval=3)
    steps = list(pairwise([initial, *recorder.weights]))
    means = [[{k: v for k, v in w.items() if k.endswith("running_mean")} for w in pair] for pair in steps]
    assert [_moved(*pair) for pair in means] == moving * [{"com", "rec"}] + (4 - moving) * [{"rec"}]
    assert all(_moved(*pair) == {"com", "rec"} for pair in steps)


def test_the_gradient_is_clipped(make: Any, fit: Any, tmp_path: Path) -> None:
    clipped, free = Norms(), Norms()
    train(fit, make(clip_norm=1e-3), tmp_path / "a", clipped, max_steps=1, val_check_interval=1)
    train(fit, make(clip_norm=0), tmp_path / "b", free, max_steps=1, val_check_interval=1)
    assert clipped.seen == pytest.approx([1e-3], rel=1e-2) and free.seen[0] > 2e-3


def test_turns_of_less_than_a_step_are_refused(make: Any, fit: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="turns=3 are 6 for both networks, and there are only 5 steps"):
        train(fit, make(turns=3), tmp_path, max_steps=5)


def test_at_once_both_learn(make: Any, fit: Any, tmp_path: Path) -> None:
    recorder, codec = Recorder(), make()
    train(fit, codec, tmp_path, recorder, max_steps=2)
    assert _moved(*recorder.weights) == {"com", "rec"}


def test_a_turn_keeps_what_start_from_froze(make: Any, fit: Any, tmp_path: Path) -> None:
    codec = make(turns=1)
    frozen = [p for name, p in codec.net.named_parameters() if name.startswith("rec.2.")]
    for parameter in frozen:
        parameter.requires_grad_(False)
    before = {k: v.clone() for k, v in codec.net.rec[2].state_dict().items()}
    train(fit, codec, tmp_path, max_steps=2)
    assert frozen and not _moved(before, codec.net.rec[2].state_dict())


def test_the_step_size_falls_by_an_equal_factor(make: Any, fit: Any, tmp_path: Path) -> None:
    recorder = Recorder()
    train(fit, make(lr=1e-2, final_lr=1e-5), tmp_path, recorder, max_steps=4, val_check_interval=4)
    assert [rate for (rate,) in recorder.rates] == pytest.approx([1e-2, 1e-3, 1e-4, 1e-5])


@pytest.mark.parametrize("turns", [0, 2])
def test_a_resumed_run_continues_to_the_same_weights(make: Any, fit: Any, tmp_path: Path, turns: int) -> None:
    """In turns, within one of them."""

    def run(folder: str, *callbacks: Callback, ckpt_path: str | None = None) -> Compact:
        codec: Compact = make(turns=turns)
        train(fit, codec, tmp_path / folder, *callbacks, ckpt_path=ckpt_path, max_steps=6)
        return codec

    resumes_to_the_same_weights(run, tmp_path)


@pytest.mark.parametrize("quantised", [True, False])
def test_the_objective_can_be_learned(make: Any, quantised: bool) -> None:
    """One batch by heart, within a few steps."""
    codec = make({"width": 8, "quantise_in_training": quantised})
    net = codec.net.train()
    x = torch.stack([to_float(to_batch(DeadLeaves(2, 32)[i])[0]) for i in range(2)])
    adam = torch.optim.Adam(net.parameters(), 3e-3)
    errors = []
    for _ in range(60):
        loss = codec.costs(net(x), x)["cost"].mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        errors.append(loss.item())
    assert min(errors[-5:]) < 0.3 * errors[0]


def test_a_run_codes_files(make: Any, fit: Any, tmp_path: Path) -> None:
    train(fit, make({"stride": 3}, alpha=1, lmbda=0.01, turns=1), tmp_path, max_steps=2)
    loaded = load_codec(tmp_path)
    image = DeadLeaves(1, 50)[0]
    assert (loaded.decode(loaded.encode(image).data) == loaded.encode(image).reconstruct()).all()
    assert loaded.info.moving == ["stride", "lambda"] and make().objective.moving == ["stride"]
    assert loaded.info.objective == {
        "distortion": "mse", "alpha": 1.0, "i_out": "final", "turns": 1, "lambda": 0.01,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lmbda": 0}, "lambda must be a positive number, not 0; 0.01 is usual here.*null leaves that out"),
        ({"lmbda": math.nan}, "lambda must be a positive number"),
        ({"alpha": -1}, "alpha must be a positive number"),
        ({"i_out": "both"}, "i_out must be final or residual, not 'both'"),
        ({"turns": -1}, "turns must be a whole number, 0 to train both networks at once, not -1"),
        ({"turns": True}, "turns must be a whole number"),
        ({"lr": 0}, "optimizer.lr must be a positive number"),
        ({"final_lr": None}, "optimizer.final_lr must be a positive number"),
        ({"clip_norm": -1}, "optimizer.clip_norm must be a positive number"),
    ],
)
def test_impossible_options_are_refused(make: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        make(**options)


def test_other_networks_are_refused() -> None:
    with pytest.raises(UserError, match="is of model=comcnn_reccnn and model=icm_irm"):
        Compact(build_model("baseline", width=8), {})  # type: ignore[arg-type]


def test_a_lambda_of_another_training_is_told(make: Any, caplog: pytest.LogCaptureFixture) -> None:
    make(lmbda=5)
    assert "weighs the variance" in caplog.text
