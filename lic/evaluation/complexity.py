"""What live networks cost, beside what their papers print: Cheng et al. 2019 and Cai et al. 2019."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from lic.console import plain_table
from lic.metrics.complexity import LayerCost, layer_costs, macs_per_pixel
from lic.models import build_model, describe_model


@dataclass(frozen=True)
class PaperRow:
    """A network of Table 9 and what the paper prints of it."""

    label: str
    model: dict[str, Any]
    parameters: int
    flops: str
    relative: float


def _row(label: str, parameters: int, flops: str, relative: float, name: str, **options: Any) -> PaperRow:
    return PaperRow(label, {"name": name, **options}, parameters, flops, relative)


TABLE_9 = (
    _row("Baseline-3", 997_379, "4.25e9", 0.36, "baseline", kernel_size=3),
    _row("Baseline-5", 2_582_531, "1.18e10", 1.00, "baseline", kernel_size=5),
    _row("Baseline-9", 8_130_563, "3.82e10", 3.24, "baseline", kernel_size=9),
    _row("HyperPrior-3", 4_055_107, "4.78e9", 0.40, "hyperprior", kernel_size=3),
    _row("HyperPrior-5", 5_640_259, "1.23e10", 1.04, "hyperprior", kernel_size=5),
    _row("HyperPrior-9", 11_188_291, "3.88e10", 3.28, "hyperprior", kernel_size=9),
    _row("ResNet-3x3(3)", 5_716_355, "1.75e10", 1.48, "resnet3x3_3"),
    _row("ResNet-3x3(4)-TConv", 6_684_931, "2.43e10", 2.06, "resnet3x3_4", upsample="tconv"),
    _row("ResNet-3x3(4)-SubPixel", 8_172_172, "2.50e10", 2.12, "resnet3x3_4", upsample="subpixel"),
    _row(
        "…-SubPixel-Bottleneck192", 11_627_916, "2.56e10", 2.17,
        "resnet3x3_4", upsample="subpixel", bottleneck=192,
    ),
)  # fmt: skip
REFERENCE = "Baseline-5"

TABLE_8: dict[str, Any] = {"name": "hyperprior", "kernel_size": 9}
TABLE_8_FLOPS = (
    "5.12e9", "5.44e7", "1.36e7", "3.40e6", "3.78e6", "2.62e6", "6.56e5", "2.62e6", "1.57e7", "1.13e7",
    "4.21e6", "8.40e6", "3.36e6", "1.36e7", "5.44e7", "2.17e10", "2.04e7",
)  # fmt: skip
"""FLOPs of HyperPrior-9's layers as Table 8 prints them, in the order of the signal."""


def layer_table(options: Mapping[str, Any]) -> Table:
    """The paper's Table 8 for any model; for HyperPrior-9, below it, the figures that the paper misprints."""
    costs = layer_costs(build_model(**options))
    of_paper = any(row.model["name"] == options["name"] for row in TABLE_9)
    view = plain_table(f"Layers of {describe_model(**options)}, 256x256 input{' (Table 8)' * of_paper}")
    for heading in ("layer", "kind"):
        view.add_column(heading, no_wrap=True)
    for heading in ("channels", "output", "parameters", "FLOPs", "real MACs"):
        view.add_column(heading, justify="right", no_wrap=True)
    for cost in costs:
        view.add_row(*_layer_cells(cost))
    view.add_section()
    totals = _totals(costs)
    view.add_row("total", "", "", "", f"{totals.parameters:,}", _e(totals.flops), _e(totals.macs))
    if describe_model(**options) == describe_model(**TABLE_8):
        wrong = [
            f"{_short(cost.name)} {printed}"
            for cost, printed in zip(costs, TABLE_8_FLOPS, strict=False)  # GDN and prior have no FLOPs
            if not is_as_printed(cost.flops, printed)
        ]
        view.caption = (
            f"The paper prints the same parameters. {len(wrong)} of its 17 FLOPs are misprints, against its "
            f"own equation 3 and its own total: {', '.join(wrong)}."
        )
    return view


def network_table(options: Mapping[str, Any]) -> Table:
    """The networks of the chosen model's paper, and the chosen model below them unless it is one of them.

    Args:
        options: of `build_model`, with the width and, where there is one, the bottleneck.
    """
    of_cai = any(network["name"] == options["name"] for network in NETWORKS.values())
    return _cai_table(options) if of_cai else _table_9(options)


def _table_9(options: Mapping[str, Any]) -> Table:
    models = {row.label: row.model for row in TABLE_9}
    printed = {row.label: row for row in TABLE_9}
    label = describe_model(**options)
    if label not in (describe_model(**model) for model in models.values()):
        models[label] = dict(options)
    all_totals = {name: _totals(layer_costs(build_model(**model))) for name, model in models.items()}
    reference = all_totals[REFERENCE].flops
    view = plain_table("Networks, 256x256 input (Table 9)", _CAPTION)
    view.add_column("network", overflow="fold")
    for heading in ("parameters", "FLOPs", "relative", "real MACs"):
        view.add_column(heading, justify="right", no_wrap=True)
    view.add_column("the paper prints")
    for name, totals in all_totals.items():
        relative = f"{totals.flops / reference:.2f}"
        view.add_row(
            name,
            f"{totals.parameters:,}",
            _e(totals.flops),
            relative,
            _e(totals.macs),
            _comparison(totals, relative, printed.get(name), reference),
        )
    return view


def _comparison(totals: "_Totals", relative: str, row: PaperRow | None, reference: int) -> str:
    if row is None:
        return "–"
    same = row.parameters == totals.parameters and is_as_printed(totals.flops, row.flops)
    if not same or f"{row.relative:.2f}" != relative:
        return f"{row.parameters:,}, {row.flops}, {row.relative:.2f}"
    if totals.consistent_flops == totals.flops:
        return "the same"
    return f"the same*; one rule: {_e(totals.consistent_flops)}, {totals.consistent_flops / reference:.2f}"


_CAPTION = (
    "FLOPs by the paper's equation 3, parameters x output pixels, which counts a transposed convolution of "
    "stride 2 four times over: by real MACs the 9x9 networks are cheaper than ResNet-3x3(4). * The paper "
    "counts the last sub-pixel layer after depth-to-space and the inner ones before it; by one rule, all "
    "before it, its totals would be those given."
)


@dataclass(frozen=True)
class _Totals:
    parameters: int
    flops: int
    consistent_flops: int
    macs: int


def _totals(costs: list[LayerCost]) -> _Totals:
    return _Totals(
        parameters=sum(c.parameters for c in costs),
        flops=sum(c.flops for c in costs),
        consistent_flops=sum(c.consistent_flops for c in costs),
        macs=sum(c.macs for c in costs),
    )


def _layer_cells(cost: LayerCost) -> list[str]:
    if not cost.kind:
        return [cost.name, "", "", "", f"{cost.parameters:,}", "", ""]
    return [
        _short(cost.name),
        f"{cost.kind} {cost.kernel_size}x{cost.kernel_size}",
        f"{cost.c_in}→{cost.c_out}",
        f"{cost.output[0]}x{cost.output[1]}",
        f"{cost.parameters:,}",
        _e(cost.flops),
        _e(cost.macs),
    ]


def _short(name: str) -> str:
    return name.replace("entropy_parameters", "ep").replace("context_prediction", "context")


def is_as_printed(value: float, printed: str) -> bool:
    """Whether ``value`` rounds to the paper's three digits."""
    return float(f"{value:.2e}") == float(printed)


def _e(value: int) -> str:
    return f"{value:.2e}".replace("e+0", "e").replace("e+", "e")


_LOW_RATE, _HIGH_RATE = {"width": 128, "bottleneck": 192}, {"width": 192, "bottleneck": 320}
NETWORKS: dict[str, dict[str, Any]] = {
    "baseline": {"name": "scale_hyperprior"} | _LOW_RATE,
    "fastdic": {"name": "fastdic"} | _LOW_RATE,
    "fastdic-4": {"name": "fastdic", "pixel_unshuffle": 4} | _LOW_RATE,
    "fastdic-keep": {"name": "fastdic", "drop": False} | _LOW_RATE,
    "slowdic": {"name": "slowdic", "width": 192, "bottleneck": 192},
}
"""The paper's networks for low rates as options of `build_model`; fastdic-4 and -keep are this project's."""
HIGH_RATE_NETWORKS = {label: options | _HIGH_RATE for label, options in NETWORKS.items()}

_DECODING = {"scale_hyperprior": 0.85, "fastdic": 1.85, "slowdic": 0.85}


def decoding_speed(network: str) -> float | None:
    """Images per second that Cai et al. decode with a network that `describe_model` calls so, if they say it.

    Their images are photos of CLIC, their GPU is a GTX 1080 Ti.
    """
    return _DECODING.get(network)


def _cai_table(options: Mapping[str, Any]) -> Table:
    """Size and cost of the paper's networks, and of the chosen model of theirs unless it is one of them."""
    sections = [list(NETWORKS.values()), list(HIGH_RATE_NETWORKS.values())]
    if describe_model(**options) not in (describe_model(**network) for s in sections for network in s):
        sizes = {key: options[key] for key in _LOW_RATE}
        sections.append([NETWORKS["baseline"] | sizes, dict(options)])
    view = plain_table("Networks of Cai et al. 2019", _CAI_CAPTION)
    view.add_column("network", overflow="fold")
    for heading in ("N, M", "parameters", "MACs/pixel", "fewer", "the paper decodes"):
        view.add_column(heading, justify="right", no_wrap=True)
    for section in sections:
        view.add_section()
        _add_rows(view, section)
    return view


_CAI_CAPTION = (
    "Multiply-accumulates of encoding and decoding together per pixel of the image, GDN counted as a 1x1 "
    "convolution (the layers above leave it out); how many times fewer than the baseline's above. The paper "
    "decodes photos of CLIC on a GTX 1080 Ti and does not say at which width. For slowdic's model it also "
    "prints 7.86 M parameters and 295 GFLOPs, which fit no width in use."
)


def _add_rows(view: Table, section: Sequence[Mapping[str, Any]]) -> None:
    """Networks beside the first of them; one that is twice in the section is shown once."""
    baseline = 0
    for description, options in {describe_model(**options): options for options in section}.items():
        net = build_model(**options)
        macs = macs_per_pixel(net)
        baseline = baseline or macs
        printed = decoding_speed(description)  # of the model by default
        view.add_row(
            describe_model(**{key: value for key, value in options.items() if key not in _LOW_RATE}),
            f"{options['width']}, {options['bottleneck']}",
            f"{sum(p.numel() for p in net.parameters()):,}",
            f"{macs:,}",
            f"×{baseline / macs:.2f}",
            f"{printed} images/s" if printed else "–",
        )
