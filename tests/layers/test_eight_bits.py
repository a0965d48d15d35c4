import torch

from lic.data import to_float, to_uint8
from lic.layers import eight_bits


def test_values_are_those_of_8_bit_images() -> None:
    v = torch.linspace(-1, 2, 7001)
    assert torch.equal(eight_bits(v), to_float(to_uint8(v)))
    assert eight_bits(v).unique().numel() == 256


def test_the_gradient_passes_rounding_and_leads_back_from_outside() -> None:
    v = torch.tensor([0.3, 0.3, -1.0, -1.0, 2.0, 2.0], requires_grad=True)
    incoming = torch.tensor([0.7, -0.7, 0.7, -0.7, 0.7, -0.7])
    eight_bits(v).backward(incoming)
    assert v.grad is not None
    assert v.grad.tolist() == torch.tensor([0.7, -0.7, 0.0, -0.7, 0.7, 0.0]).tolist()
