"""Parameter counts of Cheng et al. 2019, Tables 8 and 9, and the rows whose counts follow from them."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lic.models import CompressionModel, build_model

RESNET: dict[str, Any] = {"name": "resnet3x3_4"}
TABLE_9: list[tuple[dict[str, Any], int]] = [
    ({"name": "baseline", "kernel_size": 3}, 997_379),
    ({"name": "baseline", "kernel_size": 5}, 2_582_531),
    ({"name": "baseline", "kernel_size": 9}, 8_130_563),
    ({"name": "hyperprior", "kernel_size": 3}, 4_055_107),
    ({"name": "hyperprior", "kernel_size": 5}, 5_640_259),
    ({"name": "hyperprior", "kernel_size": 9}, 11_188_291),
    ({"name": "resnet3x3_3"}, 5_716_355),
    (RESNET | {"upsample": "tconv"}, 6_684_931),
    (RESNET | {"upsample": "subpixel"}, 8_172_172),
    (RESNET | {"upsample": "subpixel", "bottleneck": 192}, 11_627_916),
]
FOLLOWING: list[tuple[dict[str, Any], int]] = [
    # HyperPrior-9-Aux-5 is HyperPrior-9; Aux-9 has 9x9 instead of 5x5 in four layers.
    ({"name": "hyperprior", "kernel_size": 9, "aux_kernel_size": 5}, 11_188_291),
    ({"name": "hyperprior", "kernel_size": 9, "aux_kernel_size": 9}, 15_317_059),
    # Bottleneck128 is the plain SubPixel network.
    (RESNET | {"upsample": "subpixel", "bottleneck": 128}, 8_172_172),
    # Without shortcuts ResNet-3x3(3) loses no parameter, (4) its 1x1 convolutions: 512 + 2·16,512 down,
    # and up 3·16,512 (tconv) or 3·66,048 (subpixel).
    ({"name": "resnet3x3_3", "shortcut": False}, 5_716_355),
    (RESNET | {"upsample": "tconv", "shortcut": False}, 6_684_931 - 512 - 5 * 16_512),
    (RESNET | {"upsample": "subpixel", "shortcut": False}, 8_172_172 - 512 - 2 * 16_512 - 3 * 66_048),
]

PAPER_D: list[tuple[dict[str, Any], int]] = [
    ({"name": "scale_hyperprior"}, 5_075_843),
    ({"name": "scale_hyperprior", "width": 192, "bottleneck": 320}, 11_816_323),
    ({"name": "fastdic"}, 4_280_972),
    ({"name": "fastdic", "width": 192, "bottleneck": 320}, 9_985_036),
    ({"name": "fastdic", "drop": False}, 5_133_452),
    ({"name": "fastdic", "drop": False, "width": 192, "bottleneck": 320}, 11_902_732),
    ({"name": "fastdic", "pixel_unshuffle": 4}, 3_658_928),
    ({"name": "fastdic", "pixel_unshuffle": 4, "width": 192, "bottleneck": 320}, 8_412_976),
    ({"name": "slowdic"}, 14_130_467),
    ({"name": "slowdic", "bottleneck": 320}, 25_504_596),
]
"""Cai et al. 2019; the scale hyperprior and slowdic have the counts of CompressAI's."""


SUBPIXEL: list[tuple[dict[str, Any], int, int]] = [
    # Each of the 3r² - 3 channels more costs the first layer k²·n weights, the last one k²·n and a bias.
    ({"name": "baseline", "kernel_size": 5}, 2_582_531, 25 * 128 + 25 * 128 + 1),
    ({"name": "hyperprior", "kernel_size": 3}, 4_055_107, 9 * 128 + 9 * 128 + 1),
    ({"name": "resnet3x3_3"}, 5_716_355, 9 * 128 + 9 * 128 + 1),
    # The first unit has a 1x1 shortcut beside its 3x3, a sub-pixel convolution four times the channels.
    (RESNET | {"upsample": "tconv"}, 6_684_931, (9 + 1) * 128 + 9 * 128 + 1),
    (RESNET | {"upsample": "subpixel"}, 8_172_172, (9 + 1) * 128 + 4 * (9 * 128 + 1)),
    ({"name": "slowdic"}, 14_130_467, 25 * 192 + 25 * 192 + 1),
]


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _build(options: dict[str, Any]) -> CompressionModel:
    return build_model(**options)


@pytest.mark.parametrize(
    ("options", "parameters"),
    TABLE_9 + FOLLOWING + PAPER_D,
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_parameters(options: dict[str, Any], parameters: int) -> None:
    assert _count(_build(options)) == parameters


@pytest.mark.parametrize(("options", "parameters", "per_channel"), SUBPIXEL)
@pytest.mark.parametrize("r", [1, 2, 4])
def test_parameters_with_blocks_of_pixels(
    options: dict[str, Any], parameters: int, per_channel: int, r: int
) -> None:
    assert _count(_build(options | {"pixel_unshuffle": r})) == parameters + (3 * r * r - 3) * per_channel


TABLE_8 = {
    "g_a": [31_232, 1_327_232, 1_327_232, 1_327_104],
    "h_a": [147_584, 409_728, 409_728],
    "h_s": [409_728, 614_592, 442_624],
    "entropy_parameters": [164_480, 328_192, 131_072],
    "g_s": [1_327_232, 1_327_232, 1_327_232, 31_107],
}


def test_layers_of_hyperprior_9() -> None:
    net = _build({"name": "hyperprior", "kernel_size": 9})
    for part, expected in TABLE_8.items():
        layers = [m for m in getattr(net, part) if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
        assert [_count(layer) for layer in layers] == expected, part
    assert _count(net.get_submodule("entropy_bottleneck")) == 5_888
    gdn = sum(_count(m) for m in net.modules() if type(m).__name__ == "GDN")
    assert gdn == 99_072
    assert _count(net) == sum(map(sum, TABLE_8.values())) + 5_888 + 99_072 == 11_188_291


@pytest.mark.parametrize(("bottleneck", "parameters"), [(128, 2_658_688), (192, 5_344_256)])
def test_hyper_path_of_the_residual_networks(bottleneck: int, parameters: int) -> None:
    net = _build(RESNET | {"upsample": "subpixel", "bottleneck": bottleneck})
    parts = ("h_a", "h_s", "entropy_parameters", "entropy_bottleneck")
    assert sum(_count(net.get_submodule(part)) for part in parts) == parameters


@pytest.mark.parametrize("kernel_size", [3, 5, 9])
def test_hyperprior_adds_the_same_to_every_baseline(kernel_size: int) -> None:
    added = [_count(_build({"name": n, "kernel_size": kernel_size})) for n in ("hyperprior", "baseline")]
    assert added[0] - added[1] == 3_057_728


def test_latents_have_the_papers_resolution() -> None:
    net = build_model("hyperprior", kernel_size=3, aux_kernel_size=3, width=4)
    y = net.g_a(torch.rand(1, 3, 128, 64))
    assert y.shape == (1, 4, 8, 4)
    assert net.get_submodule("h_a")(y).shape == (1, 4, 2, 1)


def test_published_table_is_the_one_above(shared: Path) -> None:
    """The literals against the transcription of the paper beside the repository."""
    with (shared / "reference" / "paper_tables.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if r["table"] == "000:9" and r["quantity"] == "parameters"]
    assert [int(row["value"]) for row in rows] == [count for _, count in TABLE_9]
