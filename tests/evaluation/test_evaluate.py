import csv
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from lic.codecs.base import CodecInfo, Encoded, FileCodec
from lic.codecs.classical import PillowCodec
from lic.codecs.learned import LearnedCodec
from lic.data import ImageFolder, Pixels, cifar10, read_image, write_png
from lic.data.derived import Changed
from lic.data.images import resized
from lic.data.sources import ImageSet
from lic.drawing.inner import picture
from lic.entropy.symbols import Symbols
from lic.errors import UserError
from lic.evaluation.evaluate import (
    DecodingError,
    evaluate,
    evaluate_classical,
    evaluate_settings,
    some_pictures,
)
from lic.evaluation.points import collect, write_rd_csv
from lic.evaluation.result import RESULT_FILE, Result
from lic.metrics.complexity import macs_per_pixel
from lic.models import CompressionModel
from lic.models.inner import HeatMap, Inner


class Raw(FileCodec):
    """Keeps the pixels as they are; ``lie`` makes its encoder promise another image."""

    info = CodecInfo("raw", "as is", learned=True, model="raw")
    suffix = ".raw"

    def __init__(self, shape: tuple[int, int], lie: bool = False):
        self.shape, self.lie = shape, lie

    def encode(self, image: Pixels) -> Encoded:
        promised = np.flip(image) if self.lie else image
        return Encoded(image.tobytes(), lambda: promised, lambda: 12.0 * image.shape[0] * image.shape[1])

    def decode(self, data: bytes) -> Pixels:
        return np.frombuffer(data, np.uint8).reshape(*self.shape, 3)


class Twice(Raw):
    """Has two settings, which do the same."""

    @property
    def settings(self) -> Mapping[str, FileCodec]:
        return {"raw-1": Raw(self.shape), "raw-2": Raw(self.shape)}


@pytest.fixture
def images(tmp_path: Path) -> ImageSet:
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        write_png(tmp_path / "photos" / f"{name}.png", rng.integers(0, 256, (20, 30, 3), np.uint8))
    return ImageFolder(tmp_path / "photos")


def test_rows_count_the_bytes_of_the_files(images: ImageSet, tmp_path: Path) -> None:
    result = evaluate(Raw((20, 30)), images, tmp_path / "run", "noise", pictures=[1])
    assert [row.file for row in result.rows] == ["a", "b"]
    for row in result.rows:
        assert row.bytes == (tmp_path / "run" / "streams" / f"{row.file}.raw").stat().st_size == 20 * 30 * 3
        assert (row.width, row.height, row.bpp, row.estimated_bpp) == (30, 20, 24.0, 12.0)
        assert row.measures["psnr"] == math.inf
        assert math.isnan(row.measures["ms_ssim"])  # too small
    assert Result.load(tmp_path / "run" / RESULT_FILE).rows[0].bytes == 1800
    assert not (tmp_path / "run" / "originals" / "a.png").exists()
    for kind in ("originals", "reconstructions"):
        assert np.array_equal(read_image(tmp_path / "run" / kind / "b.png"), images[1])


def test_rows_name_the_files_that_images_were_read_from(images: ImageSet, tmp_path: Path) -> None:
    codec = PillowCodec("jpeg", 50)
    for row in evaluate(codec, images, tmp_path / "run", "noise").rows:
        size = (tmp_path / "photos" / f"{row.file}.png").stat().st_size
        assert (row.source_bytes, row.source_format) == (size, "png")
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "cifar10" / "test_batch.bin").write_bytes(bytes(2 * 3073))
    for others in (Changed(images, partial(resized, size=(30, 20))), cifar10(tmp_path, "test")):
        height, width = others[0].shape[:2]
        rows = evaluate(Raw((height, width)), others, tmp_path / "other", "others").rows
        assert all(math.isnan(row.source_bytes) and not row.source_format for row in rows)


def test_rows_tell_the_values_of_compact_images(images: ImageSet, tmp_path: Path) -> None:
    values = Symbols(600, 17, 900.0)
    codec = Raw((20, 30))
    codec.encode = lambda image: Encoded(image.tobytes(), lambda: image, lambda: 9, symbols=lambda: values)  # type: ignore[method-assign]
    result = evaluate(codec, images, tmp_path / "run", "noise")
    assert [(r.distinct_values, r.entropy, r.entropy_bpp) for r in result.rows] == [(17, 1.5, 1.5)] * 2
    write_rd_csv(tmp_path / "rd.csv", collect([tmp_path / "run"]))
    (point,) = csv.DictReader((tmp_path / "rd.csv").read_text("utf-8").splitlines())
    assert (point["distinct_values"], point["entropy"], point["entropy_bpp"]) == ("17.0", "1.5", "1.5")


def test_what_a_codec_shows_of_its_inside_is_kept(images: ImageSet, tmp_path: Path) -> None:
    inner = Inner((HeatMap("map", "bits", np.ones((2, 2)), 16, 1.0),))

    class Open(Raw):
        def encode(self, image: Pixels) -> Encoded:
            return replace(super().encode(image), inner=lambda: inner)

    evaluate(Open((20, 30)), images, tmp_path / "open", "noise", pictures=[1])
    evaluate(Raw((20, 30)), images, tmp_path / "closed", "noise", pictures=[1])
    (kept,) = (tmp_path / "open" / "inner").iterdir()
    assert kept.name == "b.png" and np.array_equal(read_image(kept), picture(images[1], inner))
    assert not (tmp_path / "closed" / "inner").exists()


def test_a_decoder_that_finds_another_image_is_a_fault(images: ImageSet, tmp_path: Path) -> None:
    with pytest.raises(DecodingError, match=r"a\.raw"):
        evaluate(Raw((20, 30), lie=True), images, tmp_path / "run", "noise")
    assert not (tmp_path / "run" / RESULT_FILE).exists()


def test_the_network_alone_is_timed_within_coding(
    images: ImageSet, tmp_path: Path, make_net: Callable[..., CompressionModel]
) -> None:
    codec = LearnedCodec(make_net(name="fastdic", bottleneck=12), CodecInfo("net", "", True, "fastdic"))
    result = evaluate(codec, images, tmp_path / "learned", "noise", progress=False)
    assert result.codec == replace(codec.info, macs=macs_per_pixel(codec.net))
    assert result.threads == torch.get_num_threads()
    for row in result.rows:
        assert 0 < row.analysis_s < row.encode_s and row.synthesis_s > 0
    classical = evaluate(PillowCodec("jpeg", 30), images, tmp_path / "jpeg", "noise", progress=False)
    assert classical.codec.macs is None
    assert all(math.isnan(row.analysis_s) and math.isnan(row.synthesis_s) for row in classical.rows)


def test_psnr_is_that_of_the_decoded_file(images: ImageSet, tmp_path: Path) -> None:
    result = evaluate(PillowCodec("jpeg", 30), images, tmp_path / "run", "noise")
    for row, original in zip(result.rows, (images[0], images[1]), strict=True):
        decoded = read_image(tmp_path / "run" / "streams" / f"{row.file}.jpg")
        assert row.measures["psnr"] == pytest.approx(
            peak_signal_noise_ratio(original, decoded, data_range=255)
        )
        assert math.isnan(row.estimated_bpp)


def test_a_classical_codec_gives_a_rising_curve(images: ImageSet, tmp_path: Path) -> None:
    results = evaluate_classical("webp", images, tmp_path, "noise")
    rates = [r.mean["bpp"] for r in results]
    assert len(results) == 12 and rates == sorted(rates) and rates[0] < rates[-1]
    assert (tmp_path / "webp-5" / RESULT_FILE).exists()


@pytest.mark.slow
def test_points_of_kodak_are_the_published_ones(photo_folder: Any, published: Any) -> None:
    """Up to libjpeg's version: the published files were written by Pillow 7.1.2."""
    images = ImageFolder(photo_folder("kodak"))
    kodak = [images[i] for i in range(len(images))]
    for row in published("kodak_classical"):
        codec = PillowCodec(row["codec"], int(row["quality"]))
        coded = [codec.encode(image) for image in kodak]
        bpp = [8 * len(one.data) / image[..., 0].size for one, image in zip(coded, kodak, strict=True)]
        assert np.mean(bpp) == pytest.approx(float(row["bpp"]), rel=2e-3), row
        if row["psnr"]:
            pairs = zip(coded, kodak, strict=True)
            values = [peak_signal_noise_ratio(image, one.reconstruct()) for one, image in pairs]
            assert np.mean(values) == pytest.approx(float(row["psnr"]), abs=2e-3), row


@pytest.mark.parametrize(("count", "indexes"), [(1, [0]), (3, [0, 1, 2]), (24, [0, 8, 15, 23])])
def test_some_pictures_are_spread(count: int, indexes: list[int]) -> None:
    assert some_pictures(count) == indexes


@pytest.mark.parametrize("link", ["raw-2", "raw-2/streams", "jpeg-30", "jpeg-30/originals", "streams"])
def test_no_setting_is_written_through_a_link(images: ImageSet, tmp_path: Path, link: str) -> None:
    place = tmp_path / "received" / link
    place.parent.mkdir(parents=True)
    (tmp_path / "mine").mkdir()
    place.symlink_to(tmp_path / "mine")
    (tmp_path / "received" / "data").symlink_to("/usr")  # nothing is written there
    with pytest.raises(UserError, match=f"{link} is a link out of its folder"):
        if link.startswith("jpeg"):
            evaluate_classical("jpeg", images, tmp_path / "received", "noise")
        else:
            codec = Raw((20, 30)) if link == "streams" else Twice((20, 30))
            evaluate_settings(codec, images, tmp_path / "received", "noise", pictures=[0])
    assert not any((tmp_path / "mine").iterdir())
    assert not list((tmp_path / "received").rglob(RESULT_FILE))


def test_a_folder_may_be_given_by_a_link(images: ImageSet, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to("elsewhere")
    assert len(evaluate_settings(Twice((20, 30)), images, tmp_path / "run", "noise")) == 2
    assert (tmp_path / "elsewhere" / "raw-2" / RESULT_FILE).exists()
