"""slowdic's order of coding: wavefronts against a raster scan, and a raster scan against CompressAI's."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from compressai.models import JointAutoregressiveHierarchicalPriors
from torch import Tensor, nn

from lic.bitstream import Stream, StreamError
from lic.codecs.base import CodecInfo
from lic.codecs.learned import LearnedCodec
from lic.data.images import read_image, to_batch, to_float
from lic.entropy import NEIGHBOURS, ORDERS, bands, models, update_tables
from lic.models.autoregressive import JointAutoregressive


@pytest.fixture
def net(make_net: Any) -> JointAutoregressive:
    return make_net(name="slowdic", bottleneck=12)


@pytest.fixture
def y(net: JointAutoregressive) -> Tensor:
    return net.g_a(torch.rand(1, 3, 128, 192, generator=torch.Generator().manual_seed(0)))


def _as_compressai(net: JointAutoregressive) -> JointAutoregressiveHierarchicalPriors:
    """CompressAI's network with the weights of ``net``."""
    theirs = JointAutoregressiveHierarchicalPriors(net.entropy_bottleneck.channels, net.latent_channels)
    theirs.eval()
    theirs.update()
    missing, unexpected = nn.Module.load_state_dict(theirs, net.state_dict(), strict=False)
    assert not unexpected and all("_cdf" in n or "_offset" in n for n in missing)
    theirs.update(force=True)
    return theirs


class _Float(nn.Module):
    def __init__(self, function: Callable[..., Tensor]):
        super().__init__()
        self._function = function

    def forward(self, *inputs: Any) -> Tensor:
        return self._function(*inputs)


def _as_raster_scan(net: JointAutoregressive) -> JointAutoregressive:
    """``net`` with CompressAI's arithmetic: floating point in plain layout, position after position."""
    net = copy.deepcopy(net).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    context = net.context_prediction

    def phi(seen: Tensor) -> Tensor:
        taps = seen.view(1, NEIGHBOURS, net.latent_channels).transpose(1, 2)
        crop = F.pad(taps, (0, 25 - NEIGHBOURS)).reshape(1, net.latent_channels, 5, 5)
        return F.conv2d(crop, context.weight * context.mask, context.bias)

    functions: dict[str, Callable[..., Tensor]] = {
        "psi": lambda z_hat, rows: net.h_s(z_hat)[:, :, rows],
        "phi": phi,
        "moments": net.entropy_parameters,
    }
    for name, function in functions.items():
        setattr(net, name, _Float(function))
    prior = net.gaussian_conditional
    setattr(prior, "indexes", prior.build_indexes)  # noqa: B010 - mypy has no other way to replace a method
    net.method = 0
    return net


@torch.inference_mode()
def test_forward_is_compressais(net: JointAutoregressive) -> None:
    x = torch.rand(2, 3, 64, 128, generator=torch.Generator().manual_seed(0))
    ours, expected = net(x), _as_compressai(net)(x)
    torch.testing.assert_close(ours.x_hat, expected["x_hat"], atol=1e-5, rtol=1e-4)
    for latent, p in expected["likelihoods"].items():
        torch.testing.assert_close(ours.bits[latent], -p.log2().sum((1, 2, 3)))


@torch.inference_mode()
def test_raster_stream_is_compressais(net: JointAutoregressive, y: Tensor) -> None:
    theirs, scan = _as_compressai(net), _as_raster_scan(net)
    x = torch.rand(1, 3, 128, 192, generator=torch.Generator().manual_seed(0))
    coded = theirs.compress(x)
    payloads, y_hat = scan.encode_latents(scan.g_a(x))
    assert payloads == [coded["strings"][1][0], coded["strings"][0][0]]
    assert len(payloads[1]) > 500, "an empty latent proves nothing"
    torch.testing.assert_close(scan.g_s(y_hat).clamp(0, 1), theirs.decompress(**coded)["x_hat"])
    assert torch.equal(scan.decode_latents(iter(payloads), (128, 192)), y_hat)


@pytest.mark.slow
@torch.inference_mode()
def test_raster_streams_of_kodak_are_compressais(photo_folder: Any, make_net: Any) -> None:
    net = make_net(name="slowdic", width=192, bottleneck=192)
    scales = net.get_parameter("entropy_parameters.4.bias")[:192]
    scales += torch.linspace(0, 8, 192)  # many tables
    theirs, scan = _as_compressai(net), _as_raster_scan(net)
    files = sorted(photo_folder("kodak").glob("*.png"))
    assert len(files) == 24
    for file in files:
        x = to_float(to_batch(read_image(file)))
        coded = theirs.compress(x)
        strings = [coded["strings"][1][0], coded["strings"][0][0]]
        assert scan.encode_latents(scan.g_a(x))[0] == strings, file.name
        assert min(map(len, strings)) > 1000, "an empty latent proves nothing"


def _code(net: JointAutoregressive, y: Tensor, mode: int) -> tuple[list[bytes], Tensor, Tensor]:
    """Payloads, y_hat, and the means and scales of each position of y in raster order."""
    seen: list[Tensor] = []
    net.method, order = mode, ORDERS[mode]
    hook = net.moments.register_forward_hook(lambda layer, inputs, output: seen.append(output))
    payloads, y_hat = net.encode_latents(y)
    hook.remove()
    assert torch.equal(net.decode_latents(iter(payloads), (y.shape[2] * 16, y.shape[3] * 16)), y_hat)
    parts = bands(*y.shape[1:], least=net.least_rows)
    places = [order(part.stop - part.start, y.shape[3])[0] + part.start * y.shape[3] for part in parts]
    return payloads, y_hat, torch.cat(seen, 3)[0, :, 0, torch.cat(places).argsort()]


@torch.inference_mode()
@pytest.mark.parametrize(("symbols", "count"), [(1 << 21, 1), (1, 2)], ids=["one band", "two bands"])
def test_wavefronts_find_what_a_raster_scan_finds(
    net: JointAutoregressive, y: Tensor, symbols: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "_BAND", symbols)
    net.least_rows = 4
    fast, slow = (_code(net, y, mode) for mode in (1, 0))
    assert len(fast[0]) == len(slow[0]) == 1 + count
    assert torch.equal(fast[1], slow[1]) and torch.equal(fast[2], slow[2])
    assert fast[2].unique(dim=1).shape[1] > 50, "a context that changes nothing proves nothing"
    assert fast[0] != slow[0], "the orders differ"


@torch.inference_mode()
def test_bands_change_the_payloads_alone(
    net: JointAutoregressive, y: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The context of a band's first rows are the last ones of the band above."""
    expected = _code(net, y, mode=1)
    monkeypatch.setattr(models, "_BAND", 1)
    net.least_rows = 4
    found = _code(net, y, mode=1)
    assert len(found[0]) == 3 and torch.equal(found[1], expected[1]) and torch.equal(found[2], expected[2])


@torch.inference_mode()
def test_integers_approximate_the_networks(net: JointAutoregressive, y: Tensor) -> None:
    """All three nets, along the scan: means and scales are those of the dense pass over the same y_hat."""
    scales = net.get_parameter("entropy_parameters.4.bias")[: net.latent_channels]
    scales += 4.0  # fit y, as training makes them
    update_tables(net)
    _, y_hat, found = _code(net, y, mode=1)
    z_hat, _ = net.entropy_bottleneck(net.h_a(y))
    dense = net.entropy_parameters(torch.cat([net.h_s(z_hat), net.context_prediction(y_hat)], 1))
    expected = dense[0].flatten(1)
    assert (found - expected).square().mean().sqrt() < 0.01 * expected.std()


def test_wavefronts_of_wide_latents_are_long() -> None:
    """Else the cost of a position would grow with the width of an image."""
    for channels in (192, 320):
        rows = bands(channels, 1024, 1024, least=JointAutoregressive.least_rows)
        assert min(part.stop - part.start for part in rows) == 32


def test_streams_say_their_order(net: JointAutoregressive) -> None:
    codec = LearnedCodec(net, CodecInfo("slowdic", "test", True, "slowdic"))
    image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
    stream = Stream.unpack(codec.encode(image).data)
    assert stream.method == 1
    assert codec.decode(stream.pack()).shape == image.shape
    with pytest.raises(StreamError, match="another coding method"):
        codec.decode(replace(stream, method=0).pack())
