import logging
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from lic.codecs.base import CodecInfo, Encoded, FileCodec
from lic.codecs.learned import LearnedCodec
from lic.data import Pixels
from lic.errors import UserError
from lic.models import CompressionModel
from lic.rate_control.choice import budget, check_different, choose, encode_to_target

IMAGE = np.full((10, 20, 3), 100, np.uint8)


class Flat(FileCodec):
    """Files of a given size, whose pixels are all wrong by ``error``."""

    suffix = ".flat"

    def __init__(self, size: int, error: int):
        self.size, self.error = size, error
        self.info = CodecInfo("flat", f"{size} bytes", learned=True, model="flat")

    def encode(self, image: Pixels) -> Encoded:
        wrong = image + np.uint8(self.error)
        return Encoded(bytes(self.size), lambda: wrong, lambda: 8.0 * self.size)

    def decode(self, data: bytes) -> Pixels:
        raise NotImplementedError


SMALL, MIDDLE, BAD, LARGE = Flat(10, 8), Flat(20, 4), Flat(21, 6), Flat(40, 2)
MODELS = (LARGE, SMALL, BAD, MIDDLE)


def test_the_budget_is_kept_and_used() -> None:
    bits = np.array([[8, 24], [8, 16], [8, 40]])
    quality = np.array([[0.9, 0.95], [0.9, 0.93], [0.9, 0.99]])
    for room, chosen in {24: [0, 0, 0], 32: [0, 1, 0], 40: [1, 0, 0], 48: [1, 1, 0], 56: [0, 0, 1]}.items():
        assert choose(bits, quality, room).tolist() == chosen
        assert choose(bits, quality, room + 7).tolist() == chosen


def test_beyond_its_limit_the_sweep_is_taken_and_its_loss_said(caplog: pytest.LogCaptureFixture) -> None:
    bits = np.array([[0, 10], [0, 11], [0, 10]])  # the sweep takes the steepest, and no other fits
    quality = np.array([[0.0, 1.0], [0.0, 1.2], [0.0, 1.0]])
    assert choose(bits, quality, 20).tolist() == [1, 0, 1]
    assert choose(bits, quality, 20, exact_work=0).tolist() == [0, 1, 0]
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        assert choose(bits, quality, 20, exact_work=1).tolist() == [0, 1, 0]
    assert "3 images" in caplog.text and "0.3 is lost" in caplog.text  # (2.1 - 1.2) / 3


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_quality_is_a_number(value: float) -> None:
    with pytest.raises(UserError, match="another metric"):
        choose(np.ones((2, 2), np.int64), np.array([[1, 2], [3, value]]), 10)


@pytest.mark.parametrize(
    ("target", "pixels", "bits"), [(0.1, 30, 3), (0.7, 10, 7), (0.15, 393216 * 24, 1415577), (0.29, 100, 29)]
)
def test_a_target_means_what_is_written(target: float, pixels: int, bits: int) -> None:
    assert budget(target, pixels, 0) == bits  # in binary some of these products are just below


def test_the_bpp_of_a_file_allows_the_file() -> None:
    for size in range(50, 400):
        assert budget(8 * size / 3500, 3500, 0) == 8 * size


def test_a_target_below_reach_names_one_that_is_not() -> None:
    with pytest.raises(UserError, match=r"0\.1 bpp is too low.* take 0\.3334 bpp"):
        budget(0.1, 300, 100)
    assert budget(0.3334, 300, 100) == 100


@pytest.mark.parametrize(
    ("target", "chosen"),
    [(0.4, SMALL), (0.7, SMALL), (0.8, MIDDLE), (1.0, MIDDLE), (1.6, LARGE), (99, LARGE)],
)
def test_the_best_picture_that_fits(target: float, chosen: FileCodec) -> None:
    codec, encoded = encode_to_target(MODELS, IMAGE, target_bpp=target)
    assert codec is chosen and len(encoded.data) * 8 <= target * 200


@pytest.mark.parametrize(
    ("target", "chosen"), [(0, SMALL), (30, SMALL), (30.1, MIDDLE), (33, MIDDLE), (37, LARGE), (42, LARGE)]
)
def test_the_smallest_file_that_is_good_enough(target: float, chosen: FileCodec) -> None:
    codec, encoded = encode_to_target([*MODELS, Flat(90, 0)], IMAGE, target_psnr=target)
    assert codec is chosen and encoded.data == bytes(chosen.size)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("models", "target", "words"),
    [
        (MODELS, {"target_bpp": 0.39}, "the smallest files take 0.4 bpp"),
        (MODELS, {"target_psnr": 50.0}, "reach 30.07, 32.57, 36.09, 42.11 dB"),
        ([SMALL], {"target_psnr": 31.0}, "reach 30.07 dB"),
    ],
)
def test_targets_out_of_reach(models: Sequence[FileCodec], target: dict[str, float], words: str) -> None:
    with pytest.raises(UserError, match=words):
        encode_to_target(models, IMAGE, **target)


def test_models_are_two_and_different(make_net: Callable[..., CompressionModel]) -> None:
    nets = [make_net(seed=seed, name="baseline", kernel_size=3) for seed in (0, 1, 0)]
    first, second, copy = (LearnedCodec(net, SMALL.info) for net in nets)
    check_different(["a", "b"], [first, second])
    with pytest.raises(UserError, match="a and c are the same model"):
        check_different(["a", "b", "c"], [first, second, copy])
    with pytest.raises(UserError, match="at least two"):
        check_different(["a"], [first])


def test_a_picture_without_loss_is_the_best() -> None:
    exact = Flat(50, 0)
    assert encode_to_target([LARGE, exact], IMAGE, target_bpp=2)[0] is exact
    assert encode_to_target([LARGE, exact], IMAGE, target_psnr=60)[0] is exact
