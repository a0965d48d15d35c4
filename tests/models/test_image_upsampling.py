"""The up-sampler with a generator: what it computes, of what sizes and channels, and how it begins."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from lic.models import CompactImage, build_model
from lic.models.image_upsampling import GeneratorUpsampler, image_upsampler
from lic.models.tiling import margin


def make(channels: int = 3, factor: int = 2, width: int = 4, blocks: int = 1) -> GeneratorUpsampler:
    torch.manual_seed(0)
    up = image_upsampler("srgan", channels, factor, width, blocks)
    assert isinstance(up, GeneratorUpsampler)
    return up.eval()


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (2, 5), (12, 9)])
@torch.no_grad()
def test_what_comes_out_is_the_generators_image_in_pillows_bicubic(
    factor: int, size: tuple[int, int]
) -> None:
    up, x = make(factor=factor), torch.rand(2, 3, *size)
    large, out = up.generator(x), up(x)
    assert large.shape[2:] == (4 * size[0], 4 * size[1])
    for channel, made in zip(large.flatten(0, 1), out.flatten(0, 1), strict=True):
        image = Image.fromarray(channel.numpy())
        expected = image.resize((factor * size[1], factor * size[0]), Image.Resampling.BICUBIC)
        torch.testing.assert_close(made, torch.from_numpy(np.array(expected)))
    if factor == 4:
        assert torch.equal(large, out), "nothing is interpolated"


@torch.no_grad()
def test_gray_is_repeated_and_comes_back_as_the_mean() -> None:
    gray, colour, x = make(channels=1), make(), torch.rand(2, 1, 6, 7)
    expected = colour(x.repeat(1, 3, 1, 1)).mean(1, keepdim=True)
    assert gray(x).shape == (2, 1, 12, 14)
    torch.testing.assert_close(gray(x), expected)


def test_all_of_a_generators_weights_fit_and_there_are_no_others() -> None:
    net = build_model("icm_irm", width=4, upsample="srgan")
    assert isinstance(net, CompactImage) and isinstance(net.up, GeneratorUpsampler)
    paper = build_model("srgan")
    net.up.generator.load_state_dict(paper.state_dict())
    assert sum(p.numel() for p in net.up.parameters()) == 1_549_462
    assert json.loads(net.architecture) == {"name": "icm_irm", "width": 4, "upsample": "srgan"}


def test_what_is_enlarged_stays_in_float32_to_the_last_bit() -> None:
    up, x = make(), torch.rand(1, 3, 9, 8)
    expected = up(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(up(x), expected) and expected.dtype == torch.float32


def test_the_initial_values_of_a_generator_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """And those of the networks around it are Xavier's."""
    drawn: dict[str, torch.Tensor] = {}

    def start(net: CompactImage) -> None:
        drawn.update({name: value.clone() for name, value in net.state_dict().items()})
        xavier(net)

    xavier = CompactImage.start
    monkeypatch.setattr(CompactImage, "start", start)
    net = build_model("icm_irm", width=4, upsample="srgan", generator_width=4, generator_blocks=1)
    same = {name: torch.equal(value, drawn[name]) for name, value in net.state_dict().items()}
    assert all(same[name] for name in same if name.startswith("up."))
    assert not any(same[f"{name}.weight"] for name in ("com.0", "com.2", "com.5", "rec.0", "rec.5"))


@pytest.mark.parametrize(("stride", "reach"), [(2, 19), (3, 16), (4, 14)])
def test_the_margin_is_what_all_layers_see(stride: int, reach: int) -> None:
    """In compact pixels: 4 + 2·1 + 1 of the first layers and blocks, 1 + 1/2 + 1 of the last, 17 in x_hat."""
    net = build_model(
        "icm_irm", width=4, stride=stride, upsample="srgan", generator_width=4, generator_blocks=1
    ).eval()
    assert isinstance(net, CompactImage)
    least = 4 + 2 + 1 + 1 + 1 / 2 + 1 + 17 / stride
    assert least <= reach <= least + 3
    assert margin(net.expand, 3, 1) == reach
