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


def _quality(**images: tuple[float, float]) -> dict[str, dict[str, float]]:
    return {name: {"psnr": psnr, "ssim": ssim} for name, (psnr, ssim) in images.items()}


PAPER = Paper(
    networks=NETWORKS,
    network_table=network_table,
    images={
        "ComCNN, RecCNN, gray": _quality(  # Tables 1 and 2; of Peppers, by their average, 28.00 and 0.56
            lenna=(28.07, 0.59), peppers=(27.89, 0.48), parrots=(28.036, 0.61)
        ),
        "ICM, IRM": _quality(  # Tables 3 and 4, on average 28.45 and 0.81; which photo of parrots is a guess
            baboon=(27.7869, 0.89),
            lenna=(29.26, 0.86),
            peppers=(28.46, 0.79),
            parrots=(28.33, 0.69),
            kodim23=(28.33, 0.69),
        ),
        "ICM, IRM, gray": _quality(  # Tables 5 and 6, on average 28.48 and 0.86
            cameraman=(27.34, 0.78),
            peppers=(28.30, 0.88),
            lenna=(29.88, 0.87),
            parrots=(28.23, 0.89),
            house=(28.67, 0.89),
        ),
    },
    image_note=(
        "Paper: Tables 1 to 6 of Deshmukh and Pollett, found by the images' names, whatever the width, the "
        "stride and the training here; the paper prints no rate beside them."
    ),
)
