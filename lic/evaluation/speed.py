"""What coding costs: the networks of Cai et al. 2019, and how fast the codecs of a report are."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from lic.evaluation.points import Curve
from lic.metrics.complexity import macs_per_pixel
from lic.models import build_model, describe_model

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

DECODING = {"scale_hyperprior": 0.85, "fastdic": 1.85, "slowdic": 0.85}
"""Images per second that the paper decodes, by model: photos of CLIC on a GTX 1080 Ti."""


def network_table(options: Mapping[str, Any]) -> Table:
    """Size and cost of the paper's networks, and of the chosen model unless it is one of them.

    Args:
        options: of `build_model`, for a model of `DECODING`, width and bottleneck among them.
    """
    sections = [list(NETWORKS.values()), list(HIGH_RATE_NETWORKS.values())]
    if describe_model(**options) not in (describe_model(**network) for s in sections for network in s):
        sizes = {key: options[key] for key in _LOW_RATE}
        sections.append([NETWORKS["baseline"] | sizes, dict(options)])
    view = Table(
        title="Networks of Cai et al. 2019", title_justify="left", caption=_CAPTION, caption_justify="left",
        box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False,
    )  # fmt: skip
    view.add_column("network", overflow="fold")
    for heading in ("N, M", "parameters", "MACs/pixel", "fewer", "the paper decodes"):
        view.add_column(heading, justify="right", no_wrap=True)
    for section in sections:
        view.add_section()
        _add_rows(view, section)
    return view


_CAPTION = (
    "Multiply-accumulates of encoding and decoding together per pixel of the image, GDN counted as a 1x1 "
    "convolution; how many times fewer than the baseline's above. The paper decodes photos of CLIC on a GTX "
    "1080 Ti and does not say at which width. For slowdic's model it also prints 7.86 M parameters and 295 "
    "GFLOPs, which fit no width in use."
)


def _add_rows(view: Table, section: Sequence[Mapping[str, Any]]) -> None:
    """Networks beside the first of them; one that is twice in the section is shown once."""
    baseline = 0
    for description, options in {describe_model(**options): options for options in section}.items():
        net = build_model(**options)
        macs = macs_per_pixel(net, net.downsampling)
        baseline = baseline or macs
        printed = DECODING.get(description)  # of the model by default
        view.add_row(
            describe_model(**{key: value for key, value in options.items() if key not in _LOW_RATE}),
            f"{options['width']}, {options['bottleneck']}",
            f"{sum(p.numel() for p in net.parameters()):,}",
            f"{macs:,}",
            f"×{baseline / macs:.2f}",
            f"{printed} images/s" if printed else "–",
        )


@dataclass(frozen=True)
class Speed:
    """Images per second by the mean over all images of all points of a curve; NaN where none was timed.

    ``analysis`` and ``synthesis`` are the network's alone, ``encode`` and ``decode`` from pixels to the
    file's bytes and back. ``set_s`` is how many seconds one point's images took to decode. ``threads`` holds
    each number of them that points were measured with.
    """

    analysis: float
    synthesis: float
    encode: float
    decode: float
    set_s: float
    threads: tuple[int, ...]


def speed_of(curve: Curve) -> Speed:
    """How fast a curve's codec is."""
    names = ("analysis", "synthesis", "encode", "decode")
    seconds = {name: _mean(curve.values(f"{name}_s")) for name in names}
    return Speed(
        **{name: 1 / mean if mean else math.nan for name, mean in seconds.items()},
        set_s=seconds["decode"] * len(curve.points[0].result.rows),
        threads=tuple(sorted({p.result.threads for p in curve.points if p.result.threads is not None})),
    )


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return math.fsum(known) / len(known) if known else math.nan
