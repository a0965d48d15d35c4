from typing import Any

import pytest
import torch
from torch.nn import functional as F

from lic.errors import UserError
from lic.metrics.quality import psnr
from lic.models import CompactImage, build_model
from lic.models.thumbnail import start_as_thumbnail

SUBPIXEL: dict[str, Any] = {"name": "resnet3x3_4", "upsample": "subpixel", "width": 8, "bottleneck": 8}


def reconstructed(start: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """A picture of large colour patches, and what an untrained network makes of it, both 8-bit."""
    torch.manual_seed(0)
    net = build_model(**SUBPIXEL).eval()
    if start:
        start_as_thumbnail(net)
    x = F.interpolate(torch.rand(1, 3, 4, 4), scale_factor=64, mode="nearest")
    with torch.inference_mode():
        x_hat = net(x).x_hat
    return (255 * x).byte(), (255 * x_hat.clamp(0, 1)).byte()


def test_an_untrained_network_passes_a_small_picture_in_colour() -> None:
    x, x_hat = reconstructed(start=True)
    assert psnr(x_hat, x).item() > 20 > psnr(*reconstructed(start=False)).item() + 5
    colour, kept = (image.float() - image.float().mean(1, keepdim=True) for image in (x, x_hat))
    share = (colour * kept).sum() / colour.square().sum()
    assert 0.8 < share < 1.2


@pytest.mark.parametrize(
    "options",
    [
        {"name": "icm_irm"},
        {"name": "icm_irm", "stride": 3},
        {"name": "icm_irm", "stride": 4, "w1": 3},
        {"name": "icm_irm", "dilation": 2, "channels": 1},
        {"name": "comcnn_reccnn"},
        {"name": "comcnn_reccnn", "stride_layer": 1},
        {"name": "comcnn_reccnn", "batch_norm": False, "stride": 3},
    ],
)
def test_a_compact_image_begins_as_means(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    net = build_model(**{"width": 4} | options).eval()
    assert isinstance(net, CompactImage)
    start_as_thumbnail(net)
    x = F.interpolate(torch.rand(1, net.image_channels, 6, 6), scale_factor=8, mode="bilinear")
    x = x[..., : 8 * net.stride, : 8 * net.stride]
    with torch.inference_mode():
        out = net(x)
    around = {3: 3, 4: 2}.get(net.stride, 2)  # pixels of the mean in the middle of a square
    cut = (net.stride - around) // 2
    squares = x.unfold(2, net.stride, net.stride).unfold(3, net.stride, net.stride)
    means = squares[..., cut : cut + around, cut : cut + around].mean((-1, -2))
    assert (out.compact - means).abs().max() < 0.51 / 255
    assert torch.equal(out.x_hat, out.enlarged)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "icm_irm", "stride": 3, "dilation": 2}, "no model.dilation"),
        ({"name": "comcnn_reccnn", "stride": 4, "stride_layer": 1}, "stride_layer=2"),
        ({"name": "icm_irm", "width": 2}, "as many channels"),
    ],
)
def test_compact_images_without_such_means_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        start_as_thumbnail(build_model(**{"width": 4} | options))


@pytest.mark.parametrize(
    "options",
    [
        {"name": "baseline", "width": 8},
        SUBPIXEL | {"upsample": "tconv"},
        SUBPIXEL | {"shortcut": False},
        SUBPIXEL | {"pixel_unshuffle": 2},
    ],
)
def test_other_networks_are_refused_unchanged(options: dict[str, Any]) -> None:
    net = build_model(**options)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(UserError, match="start=thumbnail needs model=resnet3x3_4 upsample=subpixel"):
        start_as_thumbnail(net)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
