"""The training of SRResNet: its loss, its validation, and what it refuses."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback
from torch import nn

from lic.data import DeadLeaves, ImageData, to_batch, to_float, to_uint8
from lic.data.loading import Batch
from lic.errors import UserError
from lic.layers.upsample import Bicubic
from lic.metrics.quality import psnr
from lic.models import build_model
from lic.models.srgan import SRResNet, shrunk
from lic.store.checkpoint import read_checkpoint
from lic.store.load import load_codec, load_network
from lic.training.base import TrainingDivergedError
from lic.training.super_resolution import SuperResolution

from .recording import At, Recorder, resumes_to_the_same_weights

MODEL: dict[str, Any] = {"name": "srgan", "width": 4, "blocks": 1}


def make(seed: int = 0, **options: Any) -> SuperResolution:
    torch.manual_seed(seed)
    net = build_model(**MODEL)
    assert isinstance(net, SRResNet)
    return SuperResolution(net, {"model": MODEL, "seed": seed}, seed=seed, **options)


def train(fit: Any, training: SuperResolution, folder: Path, *callbacks: Callback, **options: Any) -> Any:
    return fit(training, folder, *callbacks, **{"patch_size": 24} | options)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_step_trains_every_parameter(fit: Any, tmp_path: Path, precision: str) -> None:
    training, recorder = make(), Recorder()
    trainer = train(fit, training, tmp_path, recorder, max_steps=2, precision=precision)
    assert trainer.global_step == 2
    for parameter in training.net.parameters():
        assert parameter.isfinite().all() and "exp_avg" in trainer.optimizers[0].state[parameter]
    assert all(0 < logged["train/loss"] < 1 for logged in recorder.steps)


def test_the_loss_is_that_of_the_enlargement_of_the_small_patches() -> None:
    training = make().eval()
    patches = torch.randint(0, 256, (2, 3, 24, 24), dtype=torch.uint8)
    x = to_float(patches)
    expected = nn.functional.mse_loss(training.net(shrunk(x)), x)
    loss, logged = training.loss(Batch(patches, 0))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5) and logged["loss"] == loss


def test_validation_is_of_8_bits_and_bicubic_stands_beside(fit: Any, tmp_path: Path) -> None:
    """Of an image whose sides are no multiples of four."""
    training = make()
    trainer = train(fit, training, tmp_path, max_steps=2, patch_size=28)
    logged = {key: float(value) for key, value in trainer.callback_metrics.items()}
    image = to_batch(DeadLeaves(1, 28)[0])
    x = to_float(image)
    with torch.no_grad():
        x_hat, bicubic = training.eval().net(shrunk(x)), Bicubic(3, 4)(shrunk(x))
    assert logged["val/psnr"] == pytest.approx(psnr(to_uint8(x_hat), image).item(), abs=0.01)
    assert logged["val/psnr_bicubic"] == pytest.approx(psnr(to_uint8(bicubic), image).item(), abs=1e-4)
    assert logged["val/mse"] == pytest.approx((x_hat - x).square().mean().item(), rel=1e-3)
    saved = read_checkpoint(tmp_path / "checkpoints" / "best.ckpt")
    assert saved["callbacks"]["Checkpoints"]["best_cost"] == pytest.approx(logged["val/mse"], rel=0.1)


def test_validation_cuts_images_to_a_multiple_of_four(fit: Any, tmp_path: Path) -> None:
    training = make().eval()
    seen = list[torch.Size]()
    training.net.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape))
    logged = dict[str, float]()
    training.log = lambda name, value, **_: logged.update({name: float(value)})  # type: ignore[method-assign]
    with torch.no_grad():
        training.validation_step(torch.randint(0, 256, (1, 3, 27, 22), dtype=torch.uint8), 0)
    assert seen == [(1, 3, 6, 5)] and logged.keys() == {"val/mse", "val/psnr", "val/psnr_bicubic"}


def test_the_step_size_falls_once(fit: Any, tmp_path: Path) -> None:
    recorder = Recorder()
    train(fit, make(lr=1e-3, final_lr=1e-4, final_share=0.5), tmp_path, recorder, max_steps=4)
    assert [rate for (rate,) in recorder.rates] == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4])
    assert make().final_lr == make().lr == 1e-4, "the paper's does not"


def test_a_resumed_run_continues_to_the_same_weights(fit: Any, tmp_path: Path) -> None:
    def run(folder: str, *callbacks: Callback, ckpt_path: str | None = None) -> SuperResolution:
        training = make()
        train(fit, training, tmp_path / folder, *callbacks, ckpt_path=ckpt_path, max_steps=6)
        return training

    resumes_to_the_same_weights(run, tmp_path)


def test_divergence_is_one_sentence(fit: Any, tmp_path: Path) -> None:
    def poison(net: nn.Module) -> None:
        nn.init.constant_(net.get_parameter("last.bias"), torch.nan)

    with pytest.raises(TrainingDivergedError, match=r"the loss is nan at step 1 \(MSE, last finite loss"):
        train(fit, make(), tmp_path, At(1, poison), max_steps=4)


def test_a_run_holds_a_network_that_is_no_codec(fit: Any, tmp_path: Path) -> None:
    train(fit, make(), tmp_path, max_steps=2)
    net, info = load_network(tmp_path)
    assert isinstance(net, SRResNet)
    assert (info.curve, info.setting) == ("srgan · width 4 · blocks 1", "MSE")
    assert "entropy_tables" not in read_checkpoint(tmp_path / "checkpoints" / "best.ckpt")
    with pytest.raises(UserError, match="codes no images to files: it enlarges images; measure") as refused:
        load_codec(tmp_path)
    assert "\n" not in str(refused.value) and "upsample=srgan" in str(refused.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lr": 0}, "optimizer.lr must be a positive number"),
        ({"final_lr": None}, "optimizer.final_lr must be a positive number"),
        ({"final_share": 2}, "optimizer.final_share must be a share"),
        ({"clip_norm": math.nan}, "optimizer.clip_norm must be a positive number"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        make(**options)


def test_other_networks_are_refused() -> None:
    with pytest.raises(UserError, match="training=super_resolution is of model=srgan; choose another"):
        SuperResolution(build_model("baseline", width=8), {})  # type: ignore[arg-type]


@pytest.mark.parametrize(("patch_size", "fitting"), [(98, 96), (3, 4)])
def test_patches_are_multiples_of_four(patch_size: int, fitting: int) -> None:
    leaves = DeadLeaves(1, 24)
    data = ImageData(train=DeadLeaves(), valid=leaves, test=leaves, patch_size=patch_size)
    with pytest.raises(UserError, match=rf"data.patch_size={patch_size} is no multiple .*={fitting}\.$"):
        make().check_data(data)


@pytest.mark.parametrize("split", ["valid", "test"])
def test_images_that_vanish_are_refused_before_the_training(split: str) -> None:
    sides = {"valid": 24, "test": 24, split: 3}
    sets: dict[str, Any] = {name: DeadLeaves(1, side) for name, side in sides.items()}
    data = ImageData(train=DeadLeaves(), **sets, patch_size=24)
    with pytest.raises(UserError, match=rf"of data.{split}, has 3x3 pixels and needs 4 a side"):
        make().check_data(data)
    make().check_data(ImageData(train=DeadLeaves(), **sets | {split: DeadLeaves(1, 4)}, patch_size=24))
