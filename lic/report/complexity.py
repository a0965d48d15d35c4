"""Tables of the cost of a live network, layer by layer and beside the networks of its paper."""

from rich.table import Table

from lic.console import plain_table
from lic.metrics.complexity import LayerCost, Totals, layer_costs
from lic.models import build_model, describe_model
from lic.papers import paper_of
from lic.papers.paper import Options, scientific


def complexity_tables(options: Options) -> list[Table]:
    """The layers of a model, and the networks of its paper, if it is of one.

    Args:
        options: of `build_model`, with the width and, where there is one, the bottleneck.
    """
    paper = paper_of(options["name"])
    return [layer_table(options), *([paper.network_table(options)] if paper else [])]


def layer_table(options: Options) -> Table:
    """The layers of any model, as Table 8 of Cheng et al. (2019) lists them."""
    net = build_model(**options)
    paper = paper_of(options["name"])
    side = paper.side if paper else 256
    costs = layer_costs(net, side, net.image_channels)
    table = f" ({paper.layers})" if paper and paper.layers else ""
    view = plain_table(f"Layers of {describe_model(**options)}, {side}x{side} input{table}")
    for heading in ("layer", "kind"):
        view.add_column(heading, no_wrap=True)
    for heading in ("channels", "output", "parameters", "FLOPs", "real MACs"):
        view.add_column(heading, justify="right", no_wrap=True)
    for cost in costs:
        view.add_row(*_layer_cells(cost))
    view.add_section()
    totals = Totals.of(costs)
    view.add_row(
        "total", "", "", "", f"{totals.parameters:,}", scientific(totals.flops), scientific(totals.macs)
    )
    view.caption = paper.layer_note(options, costs) if paper else None
    return view


def _layer_cells(cost: LayerCost) -> list[str]:
    if not cost.kind:
        return [cost.name, "", "", "", f"{cost.parameters:,}", "", ""]
    return [
        _short(cost.name),
        f"{cost.kind} {cost.kernel_size}x{cost.kernel_size}",
        f"{cost.c_in}→{cost.c_out}",
        f"{cost.output[0]}x{cost.output[1]}",
        f"{cost.parameters:,}",
        scientific(cost.flops),
        scientific(cost.macs),
    ]


def _short(name: str) -> str:
    return name.replace("entropy_parameters", "ep").replace("context_prediction", "context")
