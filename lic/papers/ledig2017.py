"""Ledig et al. (2017), SRGAN: its generator, which enlarges images four times, and what that costs."""

from typing import Any

from rich.table import Table

from lic.metrics.complexity import macs_per_pixel
from lic.models import build_model, describe_model
from lic.models.discriminator import Discriminator
from lic.models.srgan import FACTOR
from lic.papers.paper import Options, Paper, network_called, network_columns

NETWORKS: dict[str, dict[str, Any]] = {"SRResNet": {"name": "srgan"}}
"""As options of `build_model`."""
SIDE = 24
"""Pixels of the small images of its training."""


def network_table(options: Options) -> Table:
    """Size and cost of SRResNet, of the chosen model unless it is that, and of the paper's discriminator."""
    headings = ("parameters", "MACs/small pixel", "MACs/large pixel")
    view = network_columns("Networks of Ledig et al. 2017", _CAPTION, headings)
    chosen = [options] if network_called(NETWORKS, options) is None else []
    for one in [*NETWORKS.values(), *chosen]:
        net = build_model(**one)
        macs = macs_per_pixel(net, side=SIDE)
        count = sum(p.numel() for p in net.parameters())
        view.add_row(describe_model(**one), f"{count:,}", f"{macs:,}", f"{macs // FACTOR**2:,}")
    view.add_section()
    discriminator = sum(p.numel() for p in Discriminator().parameters())
    view.add_row("discriminator · width 64", f"{discriminator:,}", "", "")
    return view


_CAPTION = (
    "Multiply-accumulates per pixel of the small image, and of the one four times as wide and as high. The "
    "discriminator is of training=adversarial, and no part of an exported model. The paper prints none of "
    "these."
)

PAPER = Paper(networks=NETWORKS, network_table=network_table, side=SIDE)
