"""Cheng, Sun, Takeuchi, Katto: Deep Residual Learning for Image Compression, 2019: its Tables 8 and 9."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from lic.metrics.complexity import LayerCost, Totals, layer_costs
from lic.models import build_model, describe_model, full_options
from lic.papers.paper import Options, Paper, is_as_printed, network_called, network_columns, scientific


@dataclass(frozen=True)
class PrintedRow:
    """A network of Table 9 and what the paper prints of it."""

    label: str
    model: dict[str, Any]
    parameters: int
    flops: str
    relative: float


def _row(label: str, parameters: int, flops: str, relative: float, name: str, **options: Any) -> PrintedRow:
    return PrintedRow(label, {"name": name, **options}, parameters, flops, relative)


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
"""HyperPrior-9, whose layers Table 8 lists."""
TABLE_8_FLOPS = (
    "5.12e9", "5.44e7", "1.36e7", "3.40e6", "3.78e6", "2.62e6", "6.56e5", "2.62e6", "1.57e7", "1.13e7",
    "4.21e6", "8.40e6", "3.36e6", "1.36e7", "5.44e7", "2.17e10", "2.04e7",
)  # fmt: skip
"""FLOPs of HyperPrior-9's layers as Table 8 prints them, in the order of the signal."""


def network_table(options: Options) -> Table:
    """Table 9 from live networks, each beside what the paper prints."""
    models = {row.label: row.model for row in TABLE_9}
    printed = {row.label: row for row in TABLE_9}
    if network_called(models, options) is None:
        models[describe_model(**options)] = dict(options)
    all_totals = {name: Totals.of(layer_costs(build_model(**model))) for name, model in models.items()}
    reference = all_totals[REFERENCE].flops
    headings = ("parameters", "FLOPs", "relative", "real MACs")
    view = network_columns("Networks, 256x256 input (Table 9)", _CAPTION, headings)
    view.add_column("the paper prints")
    for name, totals in all_totals.items():
        relative = f"{totals.flops / reference:.2f}"
        view.add_row(
            name,
            f"{totals.parameters:,}",
            scientific(totals.flops),
            relative,
            scientific(totals.macs),
            _comparison(totals, relative, printed.get(name), reference),
        )
    return view


def _comparison(totals: Totals, relative: str, row: PrintedRow | None, reference: int) -> str:
    if row is None:
        return "–"
    same = row.parameters == totals.parameters and is_as_printed(totals.flops, row.flops)
    if not same or f"{row.relative:.2f}" != relative:
        return f"{row.parameters:,}, {row.flops}, {row.relative:.2f}"
    if totals.consistent_flops == totals.flops:
        return "the same"
    one_rule = totals.consistent_flops
    return f"the same*; one rule: {scientific(one_rule)}, {one_rule / reference:.2f}"


_CAPTION = (
    "FLOPs by the paper's equation 3, parameters x output pixels, which counts a transposed convolution of "
    "stride 2 four times over: by real MACs the 9x9 networks are cheaper than ResNet-3x3(4). * The paper "
    "counts the last sub-pixel layer after depth-to-space and the inner ones before it; by one rule, all "
    "before it, its totals would be those given."
)


def _layer_note(options: Options, costs: Sequence[LayerCost]) -> str | None:
    """For HyperPrior-9, the figures that the paper misprints."""
    if full_options(**options) != full_options(**TABLE_8):
        return None
    wrong = [
        f"{cost.name.replace('entropy_parameters', 'ep')} {printed}"
        for cost, printed in zip(costs, TABLE_8_FLOPS, strict=False)  # GDN and prior have no FLOPs
        if not is_as_printed(cost.flops, printed)
    ]
    return (
        f"The paper prints the same parameters. {len(wrong)} of its 17 FLOPs are misprints, against its "
        f"own equation 3 and its own total: {', '.join(wrong)}."
    )


PAPER = Paper(
    networks={row.label: row.model for row in TABLE_9},
    network_table=network_table,
    layers="Table 8",
    layer_note=_layer_note,
)
