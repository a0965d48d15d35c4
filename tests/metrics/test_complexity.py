"""Every figure of Tables 8 and 9 of Cheng et al. 2019 and MACs of Cai et al. 2019, from live networks."""

from functools import cache
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from lic.entropy import CausalConv
from lic.layers import GDN, SubPixelConv, conv, tconv
from lic.metrics.complexity import LayerCost, layer_costs, macs_per_pixel
from lic.models import build_model
from lic.papers.paper import is_as_printed

HYPERPRIOR_9: dict[str, Any] = {"name": "hyperprior", "kernel_size": 9}
BOTTLENECK_192: dict[str, Any] = {"name": "resnet3x3_4", "upsample": "subpixel", "bottleneck": 192}

# model, its row of Table 9, and real MACs, which the paper does not print
NETWORKS: dict[str, tuple[dict[str, Any], int, str]] = {
    "Baseline-3": ({"name": "baseline", "kernel_size": 3}, 0, "1.70e9"),
    "Baseline-5": ({"name": "baseline", "kernel_size": 5}, 1, "4.72e9"),
    "Baseline-9": ({"name": "baseline", "kernel_size": 9}, 2, "1.53e10"),
    "HyperPrior-3": ({"name": "hyperprior", "kernel_size": 3}, 3, "2.09e9"),
    "HyperPrior-5": ({"name": "hyperprior", "kernel_size": 5}, 4, "5.11e9"),
    "HyperPrior-9": (HYPERPRIOR_9, 5, "1.57e10"),
    "HyperPrior-9-Aux-5": (HYPERPRIOR_9 | {"aux_kernel_size": 5}, 5, "1.57e10"),
    "ResNet-3x3(3)": ({"name": "resnet3x3_3"}, 6, "1.49e10"),
    "TConv": ({"name": "resnet3x3_4", "upsample": "tconv"}, 7, "2.14e10"),
    "SubPixel": ({"name": "resnet3x3_4", "upsample": "subpixel"}, 8, "2.42e10"),
    "Bottleneck128": (BOTTLENECK_192 | {"bottleneck": 128}, 8, "2.42e10"),
    "Bottleneck192": (BOTTLENECK_192, 9, "2.47e10"),
}


@cache
def costs_of(network: str) -> list[LayerCost]:
    return layer_costs(build_model(**NETWORKS[network][0]))


@pytest.mark.parametrize("network", NETWORKS)
def test_table_9(network: str, published: Any) -> None:
    _, row, macs = NETWORKS[network]
    printed = published("cheng2019_table9")[row]
    costs = costs_of(network)
    assert sum(c.parameters for c in costs) == int(printed["parameters"])
    total = sum(c.flops for c in costs)
    assert is_as_printed(total, printed["flops"])
    assert f"{total / sum(c.flops for c in costs_of('Baseline-5')):.2f}" == printed["relative_flops"]
    assert is_as_printed(sum(c.macs for c in costs), macs)


@pytest.mark.parametrize(
    "options",
    [
        {"name": "slowdic", "width": 8, "bottleneck": 8},
        {"name": "comcnn_reccnn", "width": 8},
        {"name": "icm_irm", "width": 8},
        {"name": "residual_gn", "width": 8, "bottleneck": 8},
        {"name": "residual_gn", "width": 8, "bottleneck": 8, "normalization": "batch", "residuals": 0},
        {"name": "residual_gn", "width": 8, "bottleneck": 8, "normalization": "gdn", "postprocess": True},
    ],
)
def test_the_rows_have_all_parameters(options: dict[str, Any]) -> None:
    net = build_model(**options)
    costs = layer_costs(net)
    assert sum(c.parameters for c in costs) == sum(p.numel() for p in net.parameters())
    extra = {c.name: c.parameters for c in costs if not c.kind}
    if options.get("normalization", "group") != "gdn" and options["name"] == "residual_gn":
        stages = 1 + options.get("residuals", 1)
        assert extra == {"normalization": stages * 8 * 4 * 8, "others": stages * 8}


def test_the_subpixel_totals_mix_two_rules() -> None:
    for row, one_rule in {"SubPixel": "2.43e10", "Bottleneck192": "2.49e10"}.items():
        assert is_as_printed(sum(c.consistent_flops for c in costs_of(row)), one_rule)
    for row in ("HyperPrior-9", "TConv"):
        assert all(c.consistent_flops == c.flops for c in costs_of(row))


def test_blocks_of_pixels_leave_no_layer_that_yields_the_image() -> None:
    """The last sub-pixel convolution is then counted like the others, and all layers see a quarter."""
    pixels, blocks = costs_of("SubPixel"), layer_costs(build_model("resnet3x3_4", pixel_unshuffle=2))
    assert all(c.consistent_flops == c.flops for c in blocks)
    same = [(a, b) for a, b in zip(pixels, blocks, strict=True) if a.kind and a.parameters == b.parameters]
    assert len(same) == sum(1 for c in pixels if c.kind) - 3, "all but the first, its shortcut and the last"
    assert all(4 * b.macs == a.macs for a, b in same)


def test_aux_9_turns_four_5x5_layers_into_9x9() -> None:
    aux_5, aux_9 = costs_of("HyperPrior-9"), layer_costs(build_model(**HYPERPRIOR_9, aux_kernel_size=9))
    assert sum(c.parameters for c in aux_9) == 15_317_059
    assert [c.name for a, c in zip(aux_5, aux_9, strict=True) if a.kernel_size != c.kernel_size] == [
        "h_a.2", "h_a.4", "h_s.0", "h_s.2",
    ]  # fmt: skip
    extra = 56 * (128 * 128 * (8 * 8 + 4 * 4 + 8 * 8) + 128 * 192 * 16 * 16)  # equation 3: 9² − 5² weights
    assert sum(c.flops for c in aux_9) - sum(c.flops for c in aux_5) == extra


def test_table_8(published: Any) -> None:
    layers = {"g_a": (0, 2, 4, 6), "h_a": (0, 2, 4), "h_s": (0, 2, 4)}
    layers |= {"entropy_parameters": (0, 2, 4), "g_s": (0, 2, 4, 6)}
    costs = costs_of("HyperPrior-9")
    names = [f"{part}.{index}" for part, indexes in layers.items() for index in indexes]
    assert [cost.name for cost in costs] == [*names, "GDN/IGDN", "factorized prior"]
    rows = sorted(published("cheng2019_table8"), key=lambda row: not row["output"])  # GDN and prior last
    for cost, row in zip(costs, rows, strict=True):
        assert cost.parameters == int(row["parameters"]), row
        assert cost.flops == pytest.approx(float(row["flops"]), rel=1e-4), row
        if cost.kind:
            assert f"{cost.output[0]}x{cost.output[1]}" == row["output"]


@pytest.mark.parametrize(
    ("layer", "flops", "macs"),
    [
        (conv(3, 5, 3, stride=2), (3 * 5 * 9 + 5) * 16 * 16, 3 * 5 * 9 * 16 * 16),
        (tconv(3, 5, 3), (3 * 5 * 9 + 5) * 64 * 64, 3 * 5 * 9 * 32 * 32),
        (SubPixelConv(3, 5, 3), (3 * 20 * 9 + 20) * 32 * 32, 3 * 20 * 9 * 32 * 32),
    ],
    ids=["conv", "tconv", "subpixel"],
)
def test_counts_of_one_layer(layer: torch.nn.Module, flops: int, macs: int) -> None:
    (cost,) = layer_costs(layer, side=32)
    assert (cost.flops, cost.macs) == (flops, macs)


def test_real_macs_are_those_that_torch_counts() -> None:
    net = build_model("resnet3x3_4", width=8).eval()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        net(torch.zeros(1, 3, 64, 64))
    gdn = 2 * sum(8 * 8 * (64 // 2**k) ** 2 for k in (1, 2, 3))  # its 1x1 convolutions, which no table counts
    convolutions = counter.get_flop_counts()["Global"][torch.ops.aten.convolution] // 2
    assert sum(c.macs for c in layer_costs(net, side=64)) == convolutions - gdn


@pytest.mark.parametrize(
    ("model", "macs"),
    [
        ({"name": "scale_hyperprior"}, 87_080),
        ({"name": "fastdic"}, 27_688),
        ({"name": "fastdic", "drop": False}, 25_370),
        ({"name": "scale_hyperprior", "width": 192, "bottleneck": 320}, 193_962),
        ({"name": "fastdic", "width": 192, "bottleneck": 320}, 60_330),
    ],
)
def test_macs_per_pixel_of_cai_2019(model: dict[str, Any], macs: int) -> None:
    net = build_model(**model)
    assert macs_per_pixel(net) == macs_per_pixel(net, 128) == macs


def test_macs_per_pixel_of_slowdic_by_hand() -> None:
    square = 192 * 192
    transform = 25 * (3 * 192 / 4 + square / 16 + square / 64 + square / 256) + square * (
        1 / 4 + 1 / 16 + 1 / 64
    )
    analysis = square * (9 / 256 + 25 / 1024 + 25 / 4096)
    synthesis = square * (25 / 4096 + 1.5 * 25 / 1024 + 1.5 * 2 * 9 / 256)
    context = 12 * 192 * 384 / 256  # of 25 positions the mask shows 12
    parameters = (768 * 640 + 640 * 512 + 512 * 384) / 256
    assert (
        macs_per_pixel(build_model("slowdic")) == 2 * transform + analysis + synthesis + context + parameters
    )


@pytest.mark.parametrize(("layer", "macs"), [(CausalConv(3, 4), 12 * 3 * 4), (GDN(3), 3 * 3)])
def test_macs_per_pixel_of_one_layer(layer: torch.nn.Module, macs: int) -> None:
    assert macs_per_pixel(layer, side=8) == macs


def test_counting_leaves_the_network_as_it_was() -> None:
    net = build_model("hyperprior", width=8)
    layer_costs(net, side=64)
    assert net.training
    assert not any(m._forward_hooks for m in net.modules())


def test_a_layer_of_gray_images() -> None:
    (cost,) = layer_costs(conv(1, 5, 3, stride=2), side=32, channels=1)
    assert (cost.flops, cost.macs) == ((5 * 9 + 5) * 16 * 16, 5 * 9 * 16 * 16)
