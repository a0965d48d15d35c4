"""Cai et al.: Efficient Learning Based Sub-pixel Image Compression, 2019: networks and decoding speeds."""

import math
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from lic.metrics.complexity import macs_per_pixel
from lic.models import build_model, describe_model
from lic.papers.paper import Options, Paper, network_called, network_columns

_LOW_RATE, _HIGH_RATE = {"width": 128, "bottleneck": 192}, {"width": 192, "bottleneck": 320}
NETWORKS: dict[str, dict[str, Any]] = {
    "baseline": {"name": "scale_hyperprior", **_LOW_RATE},
    "fastdic": {"name": "fastdic"} | _LOW_RATE,
    "fastdic-4": {"name": "fastdic", "pixel_unshuffle": 4} | _LOW_RATE,
    "fastdic-keep": {"name": "fastdic", "drop": False} | _LOW_RATE,
    "slowdic": {"name": "slowdic", "width": 192, "bottleneck": 192},
}
"""The paper's networks for low rates as options of `build_model`; fastdic-4 and -keep are this project's."""
HIGH_RATE_NETWORKS = {label: options | _HIGH_RATE for label, options in NETWORKS.items()}


def network_table(options: Options) -> Table:
    """Size and cost of the paper's networks, and of the chosen model of theirs unless it is one of them."""
    sections = [list(NETWORKS.values()), list(HIGH_RATE_NETWORKS.values())]
    if network_called(NETWORKS, options) is None and network_called(HIGH_RATE_NETWORKS, options) is None:
        sizes = {key: options[key] for key in _LOW_RATE}
        baseline = NETWORKS["baseline"] | sizes
        sections.append([baseline, dict(options)] if options["name"] != baseline["name"] else [baseline])
    headings = ("N, M", "parameters", "MACs/pixel", "fewer", "the paper decodes")
    view = network_columns("Networks of Cai et al. 2019", _CAPTION, headings)
    for section in sections:
        view.add_section()
        _add_rows(view, section)
    return view


_CAPTION = (
    "Multiply-accumulates of encoding and decoding together per pixel of the image, GDN counted as a 1x1 "
    "convolution (the layers above leave it out); how many times fewer than the baseline's above. The paper "
    "decodes photos of CLIC on a GTX 1080 Ti and does not say at which width. For slowdic's model it also "
    "prints 7.86 M parameters and 295 GFLOPs, which fit no width in use."
)


def _add_rows(view: Table, section: Sequence[Options]) -> None:
    """Networks beside the first of them."""
    baseline = 0
    for options in section:
        net = build_model(**options)
        macs = macs_per_pixel(net)
        baseline = baseline or macs
        printed = PAPER.decoding_speed(options)
        view.add_row(
            describe_model(**{key: value for key, value in options.items() if key not in _LOW_RATE}),
            f"{options['width']}, {options['bottleneck']}",
            f"{sum(p.numel() for p in net.parameters()):,}",
            f"{macs:,}",
            f"×{baseline / macs:.2f}",
            "–" if math.isnan(printed) else f"{printed} images/s",
        )


PAPER = Paper(
    networks=NETWORKS,
    network_table=network_table,
    images_per_second={"baseline": 0.85, "fastdic": 1.85, "slowdic": 0.85},
    speed_note=(
        "Paper: what Cai et al. (2019) decode of CLIC's photos on a GTX 1080 Ti, at a width that they do not "
        "print; their whole test set took 160.147 s."
    ),
)
