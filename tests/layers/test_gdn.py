import pytest
import torch
from compressai import layers

from lic.layers import GDN


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_values_and_gradients_are_compressais(
    inverse: bool, precision: torch.dtype, kind: torch.dtype, layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    ours, theirs = GDN(6, inverse=inverse), layers.GDN(6, inverse=inverse)
    with torch.no_grad():
        ours.gamma.add_(0.1 * torch.rand_like(ours.gamma))
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 6, 9, 7).contiguous(memory_format=layout)
    if precision != torch.float32:
        x = x.to(kind)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
        before = x.clone()
        expected = theirs(x)
        with torch.inference_mode():
            found = ours(x)
        assert found.dtype == expected.dtype
        if layout == torch.contiguous_format:
            assert torch.equal(found, expected)
        torch.testing.assert_close(found, expected)
        assert found.is_contiguous(memory_format=layout)
        assert torch.equal(x, before), "the input belongs to the caller"
        for module in (ours, theirs):
            module(x).float().square().sum().backward()
    assert torch.equal(ours.gamma.grad, theirs.gamma.grad)
