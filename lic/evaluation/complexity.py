"""Tables 8 and 9 of Cheng et al. 2019, made from live networks, beside what the paper prints."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from lic.metrics.complexity import LayerCost, layer_costs
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
    view = _table(f"Layers of {describe_model(**options)}, 256x256 input{' (Table 8)' * of_paper}")
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
    """The paper's Table 9 from live networks, and the chosen model below it unless it is one of them."""
    models = {row.label: row.model for row in TABLE_9}
    printed = {row.label: row for row in TABLE_9}
    label = describe_model(**options)
    if label not in (describe_model(**model) for model in models.values()):
        models[label] = dict(options)
    all_totals = {name: _totals(layer_costs(build_model(**model))) for name, model in models.items()}
    reference = all_totals[REFERENCE].flops
    view = _table("Networks, 256x256 input (Table 9)")
    view.caption = _CAPTION
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


def _table(title: str) -> Table:
    return Table(
        title=title,
        title_justify="left",
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
