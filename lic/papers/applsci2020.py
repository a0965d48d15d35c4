"""Appl. Sci. 2020, 10, 4023: the codec of binary codes at its sizes m, n and numbers of residuals r."""

from rich.table import Table

from lic.metrics.complexity import macs_per_pixel
from lic.models import build_model, describe_model, full_options
from lic.models.autoencoder import STRIDE
from lic.papers.paper import Options, Paper, network_called, network_columns

NETWORKS: dict[str, dict[str, str | int]] = {
    f"m {m}, n {n}, r {r}": {"name": "residual_gn", "width": m, "bottleneck": n, "residuals": r}
    for m in (32, 64, 128)
    for n in (32, 64, 128)
    for r in ((1, 3) if (m, n) == (128, 64) else (1,))
}
"""Those of its Figure 5 as options of `build_model`."""


def network_table(options: Options) -> Table:
    """Size, cost and largest rate of the paper's networks, and of the chosen model unless it is one."""
    sections: list[list[Options]] = [list(NETWORKS.values())]
    if network_called(NETWORKS, options) is None:
        sections.append([options])
    headings = ("m", "n", "r", "parameters", "MACs/pixel", "most bpp")
    view = network_columns("Networks of Appl. Sci. 2020, 10, 4023", _CAPTION, headings)
    for section in sections:
        view.add_section()
        for chosen in section:
            _add_row(view, chosen)
    return view


_SIZES = ("width", "bottleneck", "residuals")
_CAPTION = (
    "m are the channels, n the bits of 16x16 pixels and a stage, r the autoencoders after the first. "
    "Multiply-accumulates of encoding and decoding together per pixel of the image, GDN counted as a 1x1 "
    "convolution. The most that the paper's formula gives is (1 + r)·n / 256, where the importance map keeps "
    "all. The paper prints none of these but that three residuals make the model about twice as large as one."
)


def _add_row(view: Table, options: Options) -> None:
    full = full_options(**options)
    net = build_model(**options)
    width, bottleneck, residuals = (full[key] for key in _SIZES)
    view.add_row(
        describe_model(**{key: value for key, value in options.items() if key not in _SIZES}),
        f"{width}",
        f"{bottleneck}",
        f"{residuals}",
        f"{sum(p.numel() for p in net.parameters()):,}",
        f"{macs_per_pixel(net, channels=net.image_channels):,}",
        f"{(1 + residuals) * bottleneck / STRIDE**2:.3f}",
    )


PAPER = Paper(networks=NETWORKS, network_table=network_table)
