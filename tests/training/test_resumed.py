"""Trainings that go on where they ended."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback
from torch import Tensor

from lic.errors import UserError
from lic.store.checkpoint import read_checkpoint
from lic.training.rate_distortion import RateDistortion
from lic.training.resuming import check_state

from .recording import At, PowerCutError, power_cut


@pytest.mark.parametrize(
    ("distortion", "patch_size", "ema"), [("mse", 64, None), ("mse", 64, 0.9), ("ms_ssim", 176, None)]
)
def test_a_resumed_run_continues_to_the_same_weights(
    distortion: str,
    patch_size: int,
    ema: float | None,
    accelerator: str,
    make_codec: Any,
    fit: Any,
    tmp_path: Path,
) -> None:
    def train(folder: str, *callbacks: Callback, ckpt_path: str | None = None) -> RateDistortion:
        options = {"name": "hyperprior", "kernel_size": 3, "aux_kernel_size": 3}
        codec: RateDistortion = make_codec(distortion, 0.015 if distortion == "mse" else 5, **options)
        fit(
            codec,
            tmp_path / folder,
            *callbacks,
            patch_size=patch_size,
            ema=ema,
            ckpt_path=ckpt_path,
            max_steps=6,
            val_check_interval=3,
            accelerator=accelerator,
            precision="bf16-mixed" if accelerator == "gpu" else "32-true",
        )
        return codec

    whole = train("whole")
    with pytest.raises(PowerCutError):
        train("parts", At(4, power_cut))
    last = tmp_path / "parts" / "checkpoints" / "last.ckpt"
    assert read_checkpoint(last)["global_step"] == 3
    torch.manual_seed(1234)  # what the process drew before does not matter
    resumed = train("parts", ckpt_path=str(last))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    first, second = (read_checkpoint(tmp_path / f / "checkpoints" / "last.ckpt") for f in ("whole", "parts"))
    assert first["global_step"] == second["global_step"] == 6
    for name, value in first["state_dict"].items():
        assert torch.equal(value, second["state_dict"][name]), name
    for a, b in zip(_tensors(first["optimizer_states"]), _tensors(second["optimizer_states"]), strict=True):
        assert torch.equal(a, b)


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [tensor for item in items for tensor in _tensors(item)]


GONE = object()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("global_step", value) for value in (GONE, "x", -1, 2.0, True, None)),
        *(("epoch", value) for value in (GONE, "x")),
        *(("optimizer_states", value) for value in (GONE, ["a"], {}, None)),
        *(("lr_schedulers", value) for value in (GONE, "x")),
        *(("loops", value) for value in (GONE, {}, "x", {"fit_loop": 5})),
        *(("callbacks", value) for value in (GONE, "x", {"a": 1})),
        *(("best_cost", value) for value in ("x", [1.0], True)),
    ],
)
def test_a_checkpoint_without_a_trainings_state_is_refused(key: str, value: Any, trained: Path) -> None:
    checkpoint = read_checkpoint(trained)
    check_state(trained, checkpoint)
    holder = checkpoint["callbacks"]["Checkpoints"] if key == "best_cost" else checkpoint
    if value is GONE:
        del holder[key]
    else:
        holder[key] = value
    with pytest.raises(
        UserError, match=rf"cannot be continued: its {key} is missing.*start_from="
    ) as refused:
        check_state(trained, checkpoint)
    assert str(refused.value).startswith(str(trained)) and "start_from=" in str(refused.value)


def test_a_checkpoint_whose_weights_are_none_is_refused(trained: Path) -> None:
    checkpoint = read_checkpoint(trained)
    checkpoint["state_dict"]["net.g_a.0.weight"] = "text"
    with pytest.raises(UserError, match=r"last.ckpt cannot be used\. It holds something else than ordinary"):
        check_state(trained, checkpoint)


@pytest.fixture(scope="module")
def trained_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trained")


@pytest.fixture
def trained(make_codec: Any, fit: Any, trained_in: Path) -> Path:
    """The last checkpoint of a run."""
    if not (trained_in / "checkpoints").exists():
        fit(make_codec(), trained_in, max_steps=2)
    return trained_in / "checkpoints" / "last.ckpt"
