"""The evaluation of a network that enlarges images, and the file that holds it."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio
from torch import nn

from lic.data import ImageFolder, read_image, to_batch, to_float, write_png
from lic.data.images import to_image
from lic.errors import UserError
from lic.evaluation.super_resolution import (
    SUPER_RESOLUTION_FILE,
    Enlargement,
    collect_all,
    enlarges,
    evaluate_enlarging,
)
from lic.evaluation.values import json_text
from lic.layers.upsample import Bicubic
from lic.models import Network, build_model
from lic.models.srgan import shrunk

from ..made_enlargements import KINDS, network, save_enlargement


@pytest.fixture
def net() -> Network:
    """Whose batch normalizations have something to say; one that has learned nothing is interpolation."""
    torch.manual_seed(0)
    made = build_model("srgan", width=4, blocks=1)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.constant_(module.weight, 0.1)
            assert module.running_var is not None
            module.running_var.uniform_(0.5, 1.5)
    return made


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """In colour and in gray, with sides that are no multiples of four."""
    rows, columns = np.mgrid[:27, :38]
    waves = [128 + 90 * np.sin(rows / (4 + c)) * np.cos(columns / (6 - c)) for c in range(3)]
    write_png(tmp_path / "photos" / "colour.png", np.stack(waves, -1).astype(np.uint8))
    write_png(tmp_path / "photos" / "gray.png", waves[0][..., None].astype(np.uint8))
    return tmp_path / "photos"


def test_rows_compare_the_pictures_that_are_kept(net: Network, photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    result = evaluate_enlarging((net, network()), ImageFolder(photos), run, "waves")
    assert json_text(Enlargement.load(run / SUPER_RESOLUTION_FILE).mean) == json_text(result.mean)
    assert [row.file for row in result.rows] == ["colour", "gray"]
    for row in result.rows:
        original, made, bicubic = (read_image(run / kind / f"{row.file}.png") for kind in KINDS)
        assert (row.width, row.height) == (36, 24) == original.shape[1::-1]
        cut = read_image(photos / f"{row.file}.png")[:24, :36]
        assert np.array_equal(original, cut)
        small = shrunk(to_float(to_batch(cut)))
        expected = to_image(Bicubic(original.shape[2], 4)(small))
        assert np.array_equal(bicubic, expected) and made.shape == cut.shape
        assert row.measures["psnr"] == pytest.approx(peak_signal_noise_ratio(cut, made))
        assert row.bicubic["psnr"] == pytest.approx(peak_signal_noise_ratio(cut, bicubic))
        assert row.bicubic["psnr"] > row.measures["psnr"] > 10 and row.seconds > 0
    colour = torch.inference_mode()(net.eval())(
        shrunk(to_float(to_batch(read_image(run / "originals/colour.png"))))
    )
    assert np.array_equal(read_image(run / "reconstructions/colour.png"), to_image(colour))


def test_means(net: Network, photos: Path, tmp_path: Path) -> None:
    result = evaluate_enlarging((net, network()), ImageFolder(photos), tmp_path / "run", "waves")
    mean = result.mean
    for ending, values in (
        ("", [r.measures for r in result.rows]),
        ("_bicubic", [r.bicubic for r in result.rows]),
    ):
        assert mean[f"psnr{ending}"] == pytest.approx(sum(value["psnr"] for value in values) / 2)
        assert mean[f"psnr_pooled{ending}"] <= mean[f"psnr{ending}"]
        assert math.isnan(mean[f"ms_ssim{ending}"]), "too small for it"
    content = json.loads((tmp_path / "run" / SUPER_RESOLUTION_FILE).read_text())
    assert content["mean"]["psnr_bicubic"] == mean["psnr_bicubic"] and content["mean"]["ms_ssim"] is None
    per_small_pixel = 81 * 3 * 4 + 3 * (9 * 4 * 4) + 9 * 4 * 16 + 4 * (9 * 4 * 16) + 16 * (81 * 4 * 3)
    assert result.network.macs == round(per_small_pixel / 16)


def test_an_image_that_vanishes_is_refused_by_name(net: Network, tmp_path: Path) -> None:
    write_png(tmp_path / "photos" / "thin.png", np.zeros((3, 20, 3), np.uint8))
    with pytest.raises(UserError, match="thin has 20x3 pixels, too few"):
        evaluate_enlarging((net, network()), ImageFolder(tmp_path / "photos"), tmp_path / "run", "x")
    assert not (tmp_path / "run" / SUPER_RESOLUTION_FILE).exists()


def test_nothing_is_written_through_a_link(net: Network, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run" / "bicubic").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="is a link out of its folder"):
        evaluate_enlarging((net, network()), ImageFolder(photos), tmp_path / "run", "x")


def test_only_such_networks_enlarge(net: Network) -> None:
    assert enlarges(net) and not enlarges(build_model("baseline", width=4))


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("row", "file", "../private"),
        ("row", "file", 3),
        ("row", "width", 0),
        ("row", "height", 1.5),
        ("row", "seconds", "x"),
        ("row", "seconds", {}),
        ("row", "measures", None),
        ("row", "measures", {"psnr": -1}),
        ("row", "measures", {"psnr": "high"}),
        ("row", "bicubic", {"<b>": 1}),
        ("row", "bicubic", [1]),
        ("row", "made_up", 1),
        ("network", "curve", 3),
        ("network", "options", {"a": []}),
        ("network", "made_up", 3),
        ("file", "data", ["kodak"]),
        ("file", "threads", None),
        ("file", "rows", 3),
        ("file", "rows", [3]),
        ("file", "network", None),
    ],
)
def test_forged_values_are_refused(tmp_path: Path, part: str, key: str, value: Any) -> None:
    save_enlargement(tmp_path, pictures=False)
    file = tmp_path / SUPER_RESOLUTION_FILE
    content = json.loads(file.read_text())
    {"row": content["rows"][0], "network": content["network"], "file": content}[part][key] = value
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"super_resolution\.json is not a super-resolution result") as caught:
        Enlargement.load(file)
    assert str(caught.value).isprintable() and len(str(caught.value)) < len(str(file)) + 400


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"rows": []}', "[" * 100_000])
def test_anything_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / SUPER_RESOLUTION_FILE).write_text(text)
    with pytest.raises(UserError, match="is not a super-resolution result"):
        Enlargement.load(tmp_path / SUPER_RESOLUTION_FILE)


def test_several_rows_of_an_image_are_refused(tmp_path: Path) -> None:
    save_enlargement(tmp_path, images=["bee", "bee"], pictures=False)
    with pytest.raises(UserError, match="several rows of 'bee'"):
        Enlargement.load(tmp_path / SUPER_RESOLUTION_FILE)


def test_results_are_found_below_folders(tmp_path: Path) -> None:
    for name in ("b", "a", "sub/c"):
        save_enlargement(tmp_path / name, network(name), pictures=False)
    save_enlargement(tmp_path / "empty", images=[])
    points, enlarged = collect_all([tmp_path, tmp_path / "a"])
    assert not points and [one.result.network.curve for one in enlarged] == ["a", "b", "sub/c"]
    with pytest.raises(UserError, match="evaluate a run first"):
        collect_all([tmp_path / "empty"])
