from typing import Any

import numpy as np
import pytest
import skimage.metrics
import torch
from numpy.typing import NDArray

from lic.data import Pixels
from lic.drawing.inner import LARGEST, numbers, picture, range_of
from lic.metrics.quality import psnr
from lic.models.inner import HeatMap, Inner, Stage

GAP = 12


def noisy(image: Pixels, scale: float, seed: int) -> Pixels:
    noise = np.random.default_rng(seed).normal(0, scale, image.shape)
    return (image + noise).clip(0, 255).round().astype(np.uint8)


@pytest.fixture(params=[1, 3])
def image(request: pytest.FixtureRequest) -> Pixels:
    ramp = np.add.outer(np.arange(280), np.arange(300)) % 200 + 20
    return np.repeat(ramp[..., None], request.param, 2).astype(np.uint8)


@pytest.fixture
def inner(image: Pixels) -> Inner:
    stages = [Stage(f"x_hat_{k}", noisy(image, 12 / (k + 1), k), 5000 * (k + 1)) for k in range(3)]
    return Inner((HeatMap("map", "bits", np.ones((18, 19)), 16, 4.0),), tuple(stages))


def panel(page: Pixels, top: int, column: int, like: Pixels) -> Pixels:
    """The pixels of one panel; those here are not enlarged."""
    left = GAP + column * (like.shape[1] + GAP)
    return page[top : top + len(like), left : left + like.shape[1]]


def test_the_chain_shows_each_stage_what_it_leaves_and_what_comes(image: Pixels, inner: Inner) -> None:
    page = picture(image, inner)
    assert np.array_equal(panel(page, GAP, 0, image), np.broadcast_to(image, (280, 300, 3)))
    residual = image.astype(int) - inner.stages[0].image
    gain = int(127 / np.percentile(np.abs(residual), 99))
    assert gain > 2
    images = [image, *(stage.image for stage in inner.stages)]
    top = GAP
    for k, stage in enumerate(inner.stages):
        top = next(
            y
            for y in range(top + 1, len(page))
            if np.array_equal(panel(page, y, 0, image), _rgb(stage.image))
        )
        left = 128 + gain * (image.astype(int) - stage.image)
        assert np.array_equal(panel(page, top, 1, image), _rgb(left.clip(0, 255)))
        third = panel(page, top, 2, image)
        if k < 2:
            added = 128 + gain * (images[k + 2].astype(int) - stage.image)
            assert np.array_equal(third, _rgb(added.clip(0, 255)))
        else:
            assert (third == 255).all()


def _rgb(pixels: NDArray[Any]) -> Pixels:
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3)).astype(np.uint8)


def test_the_labels_are_what_metrics_say(image: Pixels, inner: Inner) -> None:
    stage = inner.stages[1]
    x, y = (torch.from_numpy(a).permute(2, 0, 1).unsqueeze(0) for a in (image, stage.image))
    assert numbers(stage, image) == f"{psnr(x, y).item():.2f} dB PSNR, {10000 / (280 * 300):.4f} bpp so far"
    theirs = skimage.metrics.peak_signal_noise_ratio(image, stage.image)
    assert numbers(stage, image).startswith(f"{theirs:.2f} dB")
    assert numbers(Stage("same", image, 8), image).startswith("inf dB")
    assert range_of(inner.maps[0]) == "1 to 1 bits, mean 1"


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (1500, 40), (17, 33)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size(size: tuple[int, int], channels: int) -> None:
    image = np.full((*size, channels), 90, np.uint8)
    height, width = (-(-side // 16) for side in size)
    heat = HeatMap("map", "bits", np.zeros((height, width)), 16, 0.0)
    for inner in (Inner((heat,)), Inner(stages=(Stage("x_hat_0", image, 8),)), Inner((heat,) * 5)):
        page = picture(image, inner)
        assert page.dtype == np.uint8 and page.ndim == 3 and page.shape[2] == 3
        assert page.shape[1] <= 3 * (LARGEST + GAP) + GAP


def test_large_images_are_reduced() -> None:
    image = np.full((400, 1000, 3), 77, np.uint8)
    page = picture(image, Inner(stages=(Stage("x_hat_0", image, 8),)))
    shown = page[GAP : GAP + 154, GAP : GAP + 384]
    assert (shown == 77).all() and (page[GAP + 154, GAP : GAP + 384] == 255).all()
