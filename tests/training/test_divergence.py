"""Trainings whose loss or gradient is no longer finite."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn

from lic.errors import UserError
from lic.store.checkpoint import read_checkpoint
from lic.training.base import TrainingDivergedError

from .recording import At, Recorder


def test_divergence_stops_with_the_facts_and_keeps_the_checkpoints(
    make_codec: Any, fit: Any, tmp_path: Path
) -> None:
    def poison(net: nn.Module) -> None:
        with torch.no_grad():
            net.get_parameter("g_s.6.bias").fill_(torch.nan)

    recorder = Recorder()
    with pytest.raises(TrainingDivergedError) as caught:
        fit(make_codec(lmbda=0.02), tmp_path, At(2, poison), recorder, max_steps=8)
    last = recorder.losses[-1].item()
    assert "loss is nan at step 2" in str(caught.value) and "λ = 0.02" in str(caught.value)
    assert f"last finite loss {last:.6g}" in str(caught.value) and "a smaller learning rate" in str(
        caught.value
    )
    assert isinstance(caught.value, UserError)
    for name in ("best", "last"):
        checkpoint = read_checkpoint(tmp_path / "checkpoints" / f"{name}.ckpt")
        assert checkpoint["global_step"] == 2
        assert all(v.isfinite().all() for v in checkpoint["state_dict"].values() if v.is_floating_point())


@pytest.mark.parametrize(
    ("resumed", "step", "kept"), [(False, 0, False), (False, 3, True), (True, 2, True), (True, 3, True)]
)
def test_divergence_names_the_checkpoint_of_this_training(
    make_codec: Any, fit: Any, tmp_path: Path, resumed: bool, step: int, kept: bool
) -> None:
    """Not that of an earlier one in the folder, and whatever callback of the user's stands before it."""
    last = tmp_path / "checkpoints" / "last.ckpt"
    fit(make_codec(), tmp_path, max_steps=2)

    def poison(net: nn.Module) -> None:
        with torch.no_grad():
            net.get_parameter("g_s.6.bias").fill_(torch.nan)

    with pytest.raises(TrainingDivergedError) as caught:
        fit(
            make_codec(),
            tmp_path,
            At(step, poison),
            first=ModelCheckpoint(tmp_path / "users"),
            ckpt_path=str(last) if resumed else None,
        )
    said = f"The last good checkpoint is kept in {last}." if kept else "No checkpoint was saved yet."
    assert said in str(caught.value)


def test_a_gradient_that_is_not_finite_stops_before_the_weights_change(
    make_codec: Any, fit: Any, tmp_path: Path
) -> None:
    codec = make_codec()
    codec.net.get_parameter("g_s.6.bias").register_hook(lambda gradient: gradient * torch.inf)
    with pytest.raises(TrainingDivergedError, match=r"gradient is (inf|nan) at step 0"):
        fit(codec, tmp_path)
    assert all(p.isfinite().all() for p in codec.net.parameters())
