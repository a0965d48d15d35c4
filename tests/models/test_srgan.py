"""SRResNet: its layers, what it begins as, and whole images."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from lic.data import to_batch, to_float
from lic.data.images import to_uint8
from lic.data.synthetic import DeadLeaves
from lic.errors import UserError
from lic.layers.upsample import Bicubic
from lic.metrics.complexity import macs_per_pixel
from lic.metrics.quality import psnr
from lic.models import build_model
from lic.models.discriminator import Discriminator
from lic.models.srgan import SRResNet, enlarge, shrunk, whole_blocks


def net(**options: int) -> SRResNet:
    torch.manual_seed(0)
    made = build_model("srgan", **{"width": 8, "blocks": 1} | options)
    assert isinstance(made, SRResNet)
    return made


def _layers(module: nn.Module) -> list[str]:
    """Convolutions as kernel, channels and stride, others by their names."""
    found = []
    for layer in module.modules():
        match layer:
            case nn.Conv2d():
                found.append(
                    f"{layer.kernel_size[0]} {layer.in_channels}-{layer.out_channels} {layer.stride[0]}"
                )
            case nn.Linear():
                found.append(f"dense {layer.in_features}-{layer.out_features}")
            case nn.BatchNorm2d() | nn.PReLU() | nn.LeakyReLU() | nn.PixelShuffle() | nn.AdaptiveAvgPool2d():
                found.append(type(layer).__name__)
    return found


def test_the_layers_of_the_generator() -> None:
    residual = ["3 64-64 1", "BatchNorm2d", "PReLU", "3 64-64 1", "BatchNorm2d"]
    twice = ["3 64-256 1", "PixelShuffle", "PReLU"]
    whole = build_model("srgan")
    assert _layers(whole) == [
        "9 3-64 1", "PReLU", *16 * residual, "3 64-64 1", "BatchNorm2d", *2 * twice, "9 64-3 1",
    ]  # fmt: skip
    assert sum(p.numel() for p in whole.parameters()) == 1_549_462
    assert 2.15e6 < macs_per_pixel(whole, side=8) < 2.25e6


def test_the_layers_of_the_discriminator() -> None:
    made = Discriminator()
    blocks = [
        (64, 64, 2),
        (64, 128, 1),
        (128, 128, 2),
        (128, 256, 1),
        (256, 256, 2),
        (256, 512, 1),
        (512, 512, 2),
    ]
    inner = [f"3 {a}-{b} {stride}" for a, b, stride in blocks]
    assert _layers(made) == [
        "3 3-64 1", "LeakyReLU", *(name for one in inner for name in (one, "BatchNorm2d", "LeakyReLU")),
        "AdaptiveAvgPool2d", "dense 18432-1024", "LeakyReLU", "dense 1024-1",
    ]  # fmt: skip
    assert {layer.negative_slope for layer in made.modules() if isinstance(layer, nn.LeakyReLU)} == {0.2}
    for side in (96, 24, 50):
        assert Discriminator(2)(torch.rand(2, 3, side, side)).shape == (2,)


@pytest.mark.parametrize("training", [True, False])
def test_it_begins_as_bilinear_interpolation(training: bool) -> None:
    """Twice, with black around the image."""
    x = torch.rand(2, 3, 7, 9)
    expected = x
    for _ in range(2):
        expected = interpolate(pad(expected, (1, 1, 1, 1)), scale_factor=2, mode="bilinear")[..., 2:-2, 2:-2]
    assert torch.allclose(net().train(training)(x), expected, atol=1e-6)


def test_the_beginning_keeps_nothing_from_learning() -> None:
    """A layer that is zero gives those before it no gradient; it moves in the first step, they later."""
    made = net()
    adam = torch.optim.Adam(made.parameters(), 1e-3)
    for _ in range(3):
        adam.zero_grad()
        (made(torch.rand(2, 3, 8, 8)) - torch.rand(2, 3, 32, 32)).square().mean().backward()
        adam.step()
    assert all(p.grad is not None and p.grad.any() for p in made.parameters())


def test_small_images_are_pillows() -> None:
    image = DeadLeaves(1, 64)[0]
    small = to_uint8(shrunk(to_float(to_batch(image))))[0].permute(1, 2, 0).numpy()
    expected = np.asarray(Image.fromarray(image).resize((16, 16), Image.Resampling.BICUBIC))
    assert np.abs(small.astype(int) - expected).max() <= 1, "Pillow rounds between rows and columns"
    levels = 255 * shrunk(to_float(to_batch(image)))
    assert torch.allclose(levels, levels.round(), atol=1e-4)


def test_whole_blocks() -> None:
    assert whole_blocks(torch.zeros(1, 3, 11, 4)).shape == (1, 3, 8, 4)
    assert not whole_blocks(torch.zeros(1, 3, 3, 9)).numel()


def test_tiles_give_the_whole_image() -> None:
    made = net(blocks=2).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.03 * torch.randn_like(parameter))
    small = np.random.default_rng(0).integers(0, 256, (40, 70, 3), np.uint8)
    whole, tiled = enlarge(made, small, 1024), enlarge(made, small, 64)
    assert whole.shape == (160, 280, 3)
    assert np.abs(whole.astype(int) - tiled).max() <= 1 and (whole != tiled).mean() < 0.01


def test_a_damaged_network_is_refused() -> None:
    made = net().eval()
    nn.init.constant_(made.last.bias, torch.nan)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="numbers that are not finite"):
        enlarge(made, np.zeros((4, 4, 3), np.uint8), 1024)


def test_it_learns_to_beat_bicubic_interpolation() -> None:
    """One batch by heart: the beginning leaves a trained one nothing to find out that interpolation knows."""
    made = net().train()
    x = torch.stack([to_float(to_batch(DeadLeaves(4, 48)[i])[0]) for i in range(4)])
    small = shrunk(x)

    def quality(x_hat: Tensor) -> float:
        """Without the border, beyond which the network sees black."""
        cut = slice(None), slice(None), slice(4, -4), slice(4, -4)
        return psnr(to_uint8(x_hat[cut]), to_uint8(x[cut])).mean().item()

    bicubic = quality(Bicubic(3, 4)(small))
    assert bicubic - 1.5 < quality(made(small)) < bicubic
    adam = torch.optim.Adam(made.parameters(), 1e-3)
    for _ in range(150):
        loss = (made(small) - x).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    assert quality(made(small)) > bicubic + 0.3


@pytest.mark.parametrize(
    "options", [{"width": 0}, {"blocks": 0}, {"blocks": 1.5}, {"blocks": 257}, {"width": True}]
)
def test_impossible_options_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(UserError, match=rf"model\.{next(iter(options))} must be a positive number"):
        net(**options)
    if "width" in options:
        with pytest.raises(UserError, match=r"discriminator\.width must be"):
            Discriminator(options["width"])


@pytest.mark.parametrize("width", [1, 2])
def test_the_narrowest_still_run(width: int) -> None:
    assert net(width=width)(torch.rand(1, 3, 2, 3)).shape == (1, 3, 8, 12)
