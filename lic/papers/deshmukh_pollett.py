"""Deshmukh and Pollett, Residual CNN Image Compression: its networks, its baseline's, and their cost."""

from typing import Any

from rich.table import Table

from lic.metrics.complexity import macs_per_pixel
from lic.models import CompactImage, build_model, describe_model
from lic.papers.paper import Options, Paper, network_called, network_columns

_COLOUR: dict[str, dict[str, Any]] = {
    "ComCNN, RecCNN": {"name": "comcnn_reccnn"},
    "ICM, IRM": {"name": "icm_irm"},
    "ICM, IRM, plain": {"name": "icm_irm", "separable": False},
    "ICM of three maps, IRM": {"name": "icm_irm", "w1": 3},
}
_GRAY = {f"{name}, gray": {**options, "channels": 1} for name, options in _COLOUR.items()}
NETWORKS = _COLOUR | _GRAY
"""As options of `build_model`."""


def network_table(options: Options) -> Table:
    """Size and cost of the paper's networks in colour and gray, and of the chosen model unless it is one."""
    sections: list[list[Options]] = [list(_COLOUR.values()), list(_GRAY.values())]
    if network_called(NETWORKS, options) is None:
        sections.append([options])
    headings = ("parameters before", "behind", "MACs/pixel before", "behind", "raw bpp")
    view = network_columns("Networks of Deshmukh and Pollett", _CAPTION, headings)
    for section in sections:
        view.add_section()
        for chosen in section:
            _add_row(view, chosen)
    return view


_CAPTION = (
    "Of the networks before and behind the codec of the compact image; multiply-accumulates per pixel of the "
    "image. Raw, the compact image has 8 bits for each channel of each of its pixels, which the codec makes "
    "less. The paper prints none of these, but that an epoch takes 139 minutes where its baseline takes 173."
)


def _add_row(view: Table, options: Options) -> None:
    net = build_model(**options)
    assert isinstance(net, CompactImage)
    c, stride = net.image_channels, net.stride
    before = macs_per_pixel(net.com, side=24, channels=c)
    view.add_row(
        describe_model(**options),
        f"{sum(p.numel() for p in net.com.parameters()):,}",
        f"{sum(p.numel() for part in (net.up, net.rec) for p in part.parameters()):,}",
        f"{before:,}",
        f"{macs_per_pixel(net, side=24, channels=c) - before:,}",
        f"{8 * c / stride**2:.3g}",
    )


PAPER = Paper(networks=NETWORKS, network_table=network_table)
