"""Which checkpoints may be resumed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lic.errors import UserError
from lic.training.resuming import check_resumable

from ..objectives import rd

MODEL: dict[str, Any] = {"name": "hyperprior", "kernel_size": 3, "aux_kernel_size": 3, "width": 8}


@pytest.fixture
def checkpoint() -> dict[str, Any]:
    return {
        "hyper_parameters": {"config": {"model": MODEL, "seed": 0, "training": {"lr": 2}}},
        "objective": rd(0.015).plain(),
    }


def test_only_the_same_training_is_continued(checkpoint: dict[str, Any]) -> None:
    file = Path("last.ckpt")
    own = checkpoint["hyper_parameters"]["config"]
    check_resumable(file, checkpoint, own | {"data": {"batch_size": 2}}, rd(0.015))
    check_resumable(file, checkpoint, own, replace(rd(0.015), setting="as a later lic says it", curve=""))
    for key, value in {"seed": 1, "model": MODEL | {"width": 16}, "training": {"lr": 1}}.items():
        with pytest.raises(UserError, match=f"last.ckpt was trained with {key} = .*; continue it"):
            check_resumable(file, checkpoint, own | {key: value}, rd(0.015))
    for other in (rd(0.03), rd(0.015, "ms_ssim")):
        with pytest.raises(UserError, match=r"trained for λ = 0.015 \(mse\), not λ = .*; continue it"):
            check_resumable(file, checkpoint, own, other)


def test_a_generator_is_frozen_as_before(checkpoint: dict[str, Any]) -> None:
    """Else the optimizer would have other parameters."""
    own = checkpoint["hyper_parameters"]["config"]
    own["upsample"] = {"name": "srgan", "weights": "A", "freeze": True}
    check_resumable(Path("last.ckpt"), checkpoint, own, rd(0.015))
    for key, value in {"weights": "B", "freeze": False}.items():
        with pytest.raises(UserError, match=f"last.ckpt was trained with upsample.{key} = .*; continue it"):
            check_resumable(
                Path("last.ckpt"), checkpoint, own | {"upsample": own["upsample"] | {key: value}}, rd(0.015)
            )


def test_a_choice_that_came_later_does_not_keep_an_older_checkpoint_back(checkpoint: dict[str, Any]) -> None:
    own = checkpoint["hyper_parameters"]["config"]
    checkpoint["hyper_parameters"]["config"] = {"model": MODEL, "seed": 0}
    check_resumable(Path("last.ckpt"), checkpoint, own, rd(0.015))


def test_an_option_that_came_later_is_its_default_in_an_older_checkpoint(checkpoint: dict[str, Any]) -> None:
    checkpoint["hyper_parameters"]["config"] = {"model": {"name": "resnet3x3_4", "width": 8}}
    now = {"upsample": "subpixel", "name": "resnet3x3_4", "shortcut": True, "width": 8}
    check_resumable(Path("last.ckpt"), checkpoint, {"model": now}, rd(0.015))
    with pytest.raises(UserError, match=r"with model = resnet3x3_4 · .*, not resnet3x3_4 · .*tconv"):
        check_resumable(Path("last.ckpt"), checkpoint, {"model": now | {"upsample": "tconv"}}, rd(0.015))
