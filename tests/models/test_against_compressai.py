"""The same numbers as CompressAI's own entropy models, assembled here from its parts."""

from typing import Any

import pytest
import torch
from compressai.entropy_models import EntropyBottleneck, GaussianConditional
from compressai.models.google import ScaleHyperprior, get_scale_table
from torch import Tensor, nn


def _bottleneck(ours: nn.Module, channels: int) -> EntropyBottleneck:
    theirs = EntropyBottleneck(channels, filters=(3, 3, 3))
    theirs.load_state_dict(ours.state_dict(), strict=False)  # ours keeps its tables elsewhere
    theirs.update(force=True)
    return theirs.eval()


def _gaussian() -> GaussianConditional:
    theirs = GaussianConditional(get_scale_table().tolist())
    theirs.update()
    return theirs.eval()


@pytest.fixture
def x() -> Tensor:
    return torch.rand(1, 3, 128, 192, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_baseline(make_net: Any, x: Tensor) -> None:
    net = make_net(name="baseline", kernel_size=3)
    theirs = _bottleneck(net.entropy_bottleneck, 8)
    y = net.g_a(x)
    y_hat, likelihoods = theirs(y)
    ours, promised = net.bottleneck(y)
    torch.testing.assert_close(ours, y_hat)
    torch.testing.assert_close(promised["y"], likelihoods)
    payloads, y_hat = net.encode_latents(y)
    assert payloads == theirs.compress(y)
    assert torch.equal(y_hat, theirs.decompress(payloads, y.shape[-2:]))


@torch.no_grad()
@pytest.mark.parametrize(
    "options",
    [{"name": "hyperprior", "kernel_size": 3}, {"name": "resnet3x3_4", "bottleneck": 8}],
    ids=["hyperprior", "resnet3x3_4"],
)
def test_hyperprior(make_net: Any, x: Tensor, options: dict[str, Any]) -> None:
    net = make_net(**options)
    z_model, y_model = _bottleneck(net.entropy_bottleneck, 8), _gaussian()
    y = net.g_a(x)
    z = net.h_a(y)
    z_hat, p_z = z_model(z)
    means, scales = net.entropy_parameters(net.h_s(z_hat)).chunk(2, 1)
    y_hat, p_y = y_model(y, scales, means=means)

    ours, promised = net.bottleneck(y)
    torch.testing.assert_close(ours, y_hat)
    torch.testing.assert_close(promised["y"], p_y)
    torch.testing.assert_close(promised["z"], p_z)

    payloads, y_hat = net.encode_latents(y)
    z_strings = z_model.compress(z)
    z_decoded = z_model.decompress(z_strings, z.shape[-2:])
    means, scales = net.moments(z_decoded, slice(0, y.shape[2])).chunk(2, 1)
    indexes = y_model.build_indexes(scales)
    y_strings = y_model.compress(y, indexes, means=means)
    assert payloads == [*z_strings, *y_strings]
    assert torch.equal(y_hat, y_model.decompress(y_strings, indexes, means=means))


@torch.no_grad()
@pytest.mark.parametrize(("width", "bottleneck"), [(8, 12), (12, 8)])
def test_scale_hyperprior_is_compressais(make_net: Any, x: Tensor, width: int, bottleneck: int) -> None:
    """Layer by layer: its weights load, and give its reconstruction, its likelihoods and its z."""
    net = make_net(name="scale_hyperprior", width=width, bottleneck=bottleneck)
    theirs = ScaleHyperprior(width, bottleneck).eval()
    theirs.update()
    missing, unexpected = nn.Module.load_state_dict(theirs, net.state_dict(), strict=False)
    assert not unexpected and all("_cdf" in name or "_offset" in name for name in missing)
    theirs.update(force=True)
    ours, expected = net(x), theirs(x)
    torch.testing.assert_close(ours.x_hat, expected["x_hat"], atol=1e-5, rtol=1e-4)
    for latent, p in expected["likelihoods"].items():
        torch.testing.assert_close(ours.bits[latent], -p.log2().sum().reshape(1))

    y = net.g_a(x)
    payloads, y_hat = net.encode_latents(y)
    strings = theirs.compress(x)["strings"]
    assert payloads[0] == strings[1][0]
    _, scales = net.split(net.moments(net.entropy_bottleneck(net.hyper_analysis(y))[0], slice(0, y.shape[2])))
    indexes = theirs.gaussian_conditional.build_indexes(scales)
    assert payloads[1:] == theirs.gaussian_conditional.compress(y, indexes)
    assert torch.equal(y_hat, y.round() + 0)
