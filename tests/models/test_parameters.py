"""Parameter counts of Cheng et al. 2019, Tables 8 and 9, and the rows whose counts follow from them."""

from typing import Any

import pytest
import torch
from torch import nn

from lic.models import Network, build_model

RESNET: dict[str, Any] = {"name": "resnet3x3_4"}
TABLE_9: list[dict[str, Any]] = [
    {"name": "baseline", "kernel_size": 3},
    {"name": "baseline", "kernel_size": 5},
    {"name": "baseline", "kernel_size": 9},
    {"name": "hyperprior", "kernel_size": 3},
    {"name": "hyperprior", "kernel_size": 5},
    {"name": "hyperprior", "kernel_size": 9},
    {"name": "resnet3x3_3"},
    RESNET | {"upsample": "tconv"},
    RESNET | {"upsample": "subpixel"},
    RESNET | {"upsample": "subpixel", "bottleneck": 192},
]
"""In the order of the rows."""

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


def _build(options: dict[str, Any]) -> Network:
    return build_model(**options)


@pytest.mark.parametrize(
    ("options", "parameters"),
    FOLLOWING + PAPER_D,
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


def test_parameters_of_table_9(published: Any) -> None:
    for options, row in zip(TABLE_9, published("cheng2019_table9"), strict=True):
        assert _count(_build(options)) == int(row["parameters"]), row["network"]


def test_layers_of_table_8(published: Any) -> None:
    rows = {row["layer"]: int(row["parameters"]) for row in published("cheng2019_table8")}
    net = _build({"name": "hyperprior", "kernel_size": 9})
    assert _count(net) == sum(rows.values()) == 11_188_291
    assert _count(net.get_submodule("entropy_bottleneck")) == rows.pop("FactorizedPrior")
    assert sum(_count(m) for m in net.modules() if type(m).__name__ == "GDN") == rows.pop("GDN/IGDN")
    parts = ("g_a", "h_a", "h_s", "entropy_parameters", "g_s")
    children = [child for part in parts for child in net.get_submodule(part).children()]
    layers = [child for child in children if isinstance(child, nn.Conv2d | nn.ConvTranspose2d)]
    assert [_count(layer) for layer in layers] == list(rows.values())


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
    y = net.get_submodule("g_a")(torch.rand(1, 3, 128, 64))
    assert y.shape == (1, 4, 8, 4)
    assert net.get_submodule("h_a")(y).shape == (1, 4, 2, 1)
