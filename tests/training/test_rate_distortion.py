import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from lic.codecs.learned import LearnedCodec
from lic.data import DeadLeaves, ImageData, to_batch, write_png
from lic.entropy import is_quantile, load_tables, tables, update_tables
from lic.errors import UserError
from lic.layers import pad
from lic.store.checkpoint import read_checkpoint
from lic.store.load import load_codec
from lic.training.rate_distortion import RateDistortion

from .recording import Recorder


def test_a_step_trains_every_parameter_of_every_family(
    variant: dict[str, Any], make_codec: Any, fit: Any, tmp_path: Path
) -> None:
    codec: RateDistortion = make_codec(**variant)
    recorder = Recorder()
    trainer = fit(codec, tmp_path, recorder, max_steps=1)
    assert trainer.global_step == 1
    for name, parameter in codec.net.named_parameters():
        assert parameter.isfinite().all()
        assert trainer.optimizers[0].state[parameter]["exp_avg"].any(), f"{name} has no gradient"
    logged = recorder.steps[0]
    latents = {"y", "z"} if hasattr(codec.net, "h_a") else {"y"}
    assert sum(logged[f"train/bpp_{latent}"] for latent in latents) == pytest.approx(logged["train/bpp"])
    expected = 0.015 * logged["train/distortion"] + logged["train/bpp"]
    assert logged["train/loss"] == pytest.approx(expected, rel=1e-5)
    assert recorder.losses[0].item() == pytest.approx(expected + logged["train/aux_loss"], rel=1e-5)


def test_steps_are_batches_and_the_rate_drops_for_the_last_4_percent(
    make_codec: Any, fit: Any, tmp_path: Path
) -> None:
    recorder = Recorder()
    trainer = fit(make_codec(), tmp_path, recorder, max_steps=25, val_check_interval=25)
    assert trainer.global_step == len(recorder.rates) == 25
    assert [net for net, _ in recorder.rates] == pytest.approx([1e-4] * 24 + [1e-5])
    assert [quantiles for _, quantiles in recorder.rates] == [1e-3] * 25


def test_patches_need_not_fit_the_network(make_codec: Any, fit: Any, tmp_path: Path) -> None:
    """CIFAR-10 has 32x32 pixels, a hyperprior needs multiples of 64."""
    codec = make_codec(name="hyperprior", kernel_size=3, aux_kernel_size=3)
    recorder = Recorder()
    fit(codec, tmp_path, recorder, max_steps=1, patch_size=40)
    assert math.isfinite(recorder.steps[0]["train/loss"])


def test_training_learns(make_codec: Any, fit: Any, tmp_path: Path) -> None:
    codec = make_codec()
    codec.lr = 2e-3
    recorder = Recorder()
    fit(codec, tmp_path, recorder, max_steps=40, val_check_interval=40, patch_size=32)
    losses = [step["train/loss"] for step in recorder.steps]
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])


@pytest.mark.parametrize("clip_norm", [1.0, 0.0])
def test_clipping_touches_only_the_net(make_codec: Any, fit: Any, tmp_path: Path, clip_norm: float) -> None:
    codec: RateDistortion = make_codec()
    codec.clip_norm = clip_norm
    fit(codec, tmp_path, max_steps=1)
    optimizer = codec.trainer.optimizers[0]
    net, quantiles = (group["params"] for group in optimizer.param_groups)
    names = {id(p): name for name, p in codec.net.named_parameters()}
    assert {names[id(p)] for p in quantiles} == {n for n in names.values() if is_quantile(n)}
    assert len(net) + len(quantiles) == len(names)
    for parameter in [*net, *quantiles]:
        parameter.grad = torch.full_like(parameter, 7.0)
    codec.configure_gradient_clipping(optimizer)
    norm = math.sqrt(sum(p.grad.square().sum().item() for p in net))
    unclipped = 7 * math.sqrt(sum(p.numel() for p in net))
    assert norm == pytest.approx(1.0 if clip_norm else unclipped, rel=1e-4)
    assert all((p.grad == 7).all() for p in quantiles)


def test_seeds_decide_the_noise(make_codec: Any, fit: Any, tmp_path: Path) -> None:
    def train(seed: int, before: int) -> Tensor:
        codec = make_codec(seed=3)
        codec.seed = seed
        torch.manual_seed(before)
        fit(codec, tmp_path / f"{seed}-{before}", max_steps=2)
        weights: Tensor = codec.net.get_parameter("g_a.0.weight").detach()
        return weights

    assert torch.equal(train(0, before=5), train(0, before=6))
    assert not torch.equal(train(0, before=7), train(1, before=7))


@pytest.mark.parametrize("distortion", ["mse", "ms_ssim"])
def test_bfloat16_keeps_weights_and_loss_in_float32(
    distortion: str, accelerator: str, make_codec: Any, fit: Any, tmp_path: Path
) -> None:
    device = "cuda" if accelerator == "gpu" else "cpu"
    seen: list[tuple[str, torch.dtype]] = []
    codec: RateDistortion = make_codec(distortion, 5 if distortion == "ms_ssim" else 0.015)
    codec.net.get_submodule("g_a").register_forward_hook(
        lambda *args: seen.append((args[-1].device.type, args[-1].dtype))
    )
    measure = codec.distortion

    def in_float32(x_hat: Tensor, x: Tensor) -> Tensor:
        assert x_hat.dtype == x.dtype == torch.float32 and not torch.is_autocast_enabled(device)
        return measure(x_hat, x)

    codec.distortion = in_float32
    recorder = Recorder()
    size = 176 if distortion == "ms_ssim" else 64
    fit(
        codec, tmp_path, recorder,
        patch_size=size, accelerator=accelerator, precision="bf16-mixed", max_steps=2,
    )  # fmt: skip
    assert set(seen) == {(device, torch.bfloat16)}, "the transforms do run in bfloat16"
    assert [loss.dtype for loss in recorder.losses] == [torch.float32] * 2
    assert all(p.dtype == torch.float32 for p in codec.net.parameters())
    trained = load_codec(tmp_path)
    coded = trained.encode(DeadLeaves(1, 70)[0])
    assert np.array_equal(trained.decode(coded.data), coded.reconstruct())


def test_averaged_checkpoints_hold_the_average_and_its_tables(
    make_codec: Any, fit: Any, tmp_path: Path
) -> None:
    codec: RateDistortion = make_codec()
    codec.lr = 1e-2
    recorder = Recorder()
    fit(codec, tmp_path, recorder, ema=0.5, max_steps=4, val_check_interval=4)
    average = recorder.weights[0]
    for weights in recorder.weights[1:]:
        average = {k: 0.5 * average[k] + 0.5 * v if v.is_floating_point() else v for k, v in weights.items()}
    saved = read_checkpoint(tmp_path / "checkpoints" / "last.ckpt")
    name = "net.g_a.0.weight"
    torch.testing.assert_close(saved["state_dict"][name], average["g_a.0.weight"], atol=1e-6, rtol=1e-5)
    assert not torch.allclose(saved["state_dict"][name], recorder.weights[-1]["g_a.0.weight"], atol=1e-4)

    loaded = load_codec(tmp_path / "checkpoints" / "last.ckpt")
    assert isinstance(loaded, LearnedCodec)
    net = loaded.net
    update_tables(net)
    fresh = tables(net)
    load_tables(net, saved["entropy_tables"])
    assert all(torch.equal(table, tables(net)[name]) for name, table in fresh.items())


def test_validation_measures_whole_images_on_their_own_pixels(
    make_codec: Any, fit: Any, tmp_path: Path
) -> None:
    codec: RateDistortion = make_codec()
    fit(codec, tmp_path, max_steps=1)
    images = [DeadLeaves(1, 90)[0][:50], DeadLeaves(1, 40, seed=1)[0]]
    batches = [to_batch(image) for image in images]
    loader: DataLoader[Tensor] = DataLoader(batches, batch_size=None)  # type: ignore[arg-type]
    (measured,) = codec.trainer.validate(codec, loader, verbose=False)

    net, rows = codec.net.eval(), []
    with torch.no_grad():
        for image in batches:
            height, width = image.shape[-2:]
            out = net(pad(image / 255, 16))
            x_hat = 255 * out.x_hat[..., :height, :width].clamp(0, 1)
            bpp = out.bits["y"].item() / (height * width)
            mse = (255 * out.x_hat[..., :height, :width] - image).square().mean().item()
            error = (x_hat.round() - image).square().mean().item()
            rows.append((0.015 * mse + bpp, bpp, mse, 10 * math.log10(255**2 / error)))
    expected = dict(zip(("rd_cost", "bpp", "distortion", "psnr"), np.mean(rows, 0), strict=True))
    for name, value in expected.items():
        assert measured[f"val/{name}"] == pytest.approx(value, rel=1e-4), name


@pytest.mark.parametrize(
    ("distortion", "lmbda", "sentence"),
    [("mse", -1, "lambda must be"), ("mse", "abc", "lambda must be"), ("lpips", 1, "Unknown distortion")],
)
def test_impossible_settings_are_refused(make_codec: Any, distortion: str, lmbda: Any, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        make_codec(distortion, lmbda)


def test_images_too_small_for_ms_ssim_are_refused(make_codec: Any, tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.zeros((80, 200, 3), np.uint8))
    data = ImageData(train=DeadLeaves(), valid=str(tmp_path), test=str(tmp_path), patch_size=176)
    with pytest.raises(UserError, match=r"has 200x80 pixels and needs 161 a side for MS-SSIM \(.*=mse "):
        make_codec("ms_ssim", 5).check_data(data)
    make_codec("mse", 0.01).check_data(data)


def test_patches_too_small_for_ms_ssim_are_refused(make_codec: Any, fit: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"at least 161 .* 64x64"):
        fit(make_codec("ms_ssim", 5), tmp_path)
