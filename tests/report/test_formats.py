import io
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from lic.data import read_image
from lic.evaluation.points import collect, curves
from lic.report.formats import MOST_NETWORKS, SAVED, sizes_by_format

from ..made_runs import MakeRun, compact, jpeg, learned


def _measured(make_run: MakeRun, network: str, stride: int = 2) -> Path:
    """An evaluation of one network at three settings; PNG's pictures are kept."""
    make_run(f"{network}/huffman", compact("huffman", stride), 4, 30)
    make_run(f"{network}/png", compact("png", stride, library="zlib 1"), 3, 30, pictures=True)
    return make_run(f"{network}/jpeg-50", compact("jpeg", stride, quality=50), 1, 28).parent


def test_settings_of_one_network_are_together(make_run: MakeRun) -> None:
    folder = _measured(make_run, "all/two").parent
    _measured(make_run, "all/three", 3)
    make_run("all/alone", compact("huffman", 4), 2, 28)
    make_run("all/other", learned("net", 5), 2, 28)
    make_run("all/jpeg", jpeg(50), 2, 28)
    networks, found = sizes_by_format(curves(collect([folder])))
    assert found == len(networks) == 2
    assert {network.label for network in networks} == {"icm_irm (mse), stride 2", "icm_irm (mse), stride 3"}
    for network in networks:
        assert [size.name for size in network.compact] == ["huffman", "png", "jpeg-50"]
        assert [round(size.bytes) for size in network.compact] == [480, 360, 120]
        assert [size.psnr for size in network.compact] == [30, 30, 28]


def test_networks_with_lossy_files_alone_are_told_apart(make_run: MakeRun) -> None:
    for stride in (2, 3):
        for quality in (50, 80):
            lossy = compact("jpeg", stride, quality=quality)
            folder = make_run(f"all/{stride}/jpeg-{quality}", lossy, 1, 28).parent.parent
    networks, _ = sizes_by_format(curves(collect([folder])))
    assert {network.label for network in networks} == {"icm_irm (mse), stride 2", "icm_irm (mse), stride 3"}


def test_the_decoded_image_is_saved_in_every_format(make_run: MakeRun) -> None:
    folder = _measured(make_run, "run")
    decoded = folder / "png" / "reconstructions"
    rng = np.random.default_rng(5)
    for name in ("bee", "boat"):
        Image.fromarray(rng.integers(0, 256, (24, 40, 3), np.uint8)).save(decoded / f"{name}.png")
    ((network,), _) = sizes_by_format(curves(collect([folder])))
    assert network.images == 2 and [size.name for size in network.decoded] == list(SAVED)
    for size in network.decoded:
        lengths, psnrs = [], []
        for name in ("bee", "boat"):
            stream = io.BytesIO()
            Image.open(decoded / f"{name}.png").save(stream, size.name)
            original = read_image(folder / "png" / "originals" / f"{name}.png")
            saved = np.asarray(Image.open(stream).convert("RGB"))
            lengths.append(len(stream.getvalue()))
            psnrs.append(peak_signal_noise_ratio(original, saved))
        assert size.bytes == sum(lengths) / 2 and size.psnr == pytest.approx(sum(psnrs) / 2)
    by_name = {size.name: size for size in network.decoded}
    assert by_name["PNG"].psnr == by_name["BMP"].psnr == by_name["TIFF"].psnr != by_name["GIF"].psnr


def test_gray_images_stay_gray(make_run: MakeRun) -> None:
    folder = _measured(make_run, "run")
    for file in (folder / "png").glob("*/*.png"):
        Image.open(file).convert("L").save(file)
    ((network,), _) = sizes_by_format(curves(collect([folder])))
    assert all(math.isinf(size.psnr) for size in network.decoded if size.name in ("PNG", "BMP", "GIF"))


def test_pictures_that_are_no_longer_those_of_the_rows_are_left_out(make_run: MakeRun) -> None:
    folder = _measured(make_run, "run")
    for file in (folder / "png").glob("*/bee.png"):
        Image.new("RGB", (7, 9)).save(file)
    ((network,), _) = sizes_by_format(curves(collect([folder])))
    assert (network.images, network.decoded) == (0, ())


def test_many_networks_are_counted(make_run: MakeRun) -> None:
    for i in range(MOST_NETWORKS + 2):
        folder = _measured(make_run, f"all/{i}").parent
    networks, found = sizes_by_format(curves(collect([folder])))
    assert (len(networks), found) == (MOST_NETWORKS, MOST_NETWORKS + 2)
