"""Trainings that go on where they ended."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback
from torch import Tensor, nn

from lic.store.checkpoint import read_checkpoint
from lic.training.rate_distortion import RateDistortion

from .recording import At


class PowerCutError(RuntimeError):
    pass


def _power_cut(net: nn.Module) -> None:
    raise PowerCutError


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
        train("parts", At(4, _power_cut))
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
