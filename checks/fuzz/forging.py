"""What the attacks on all readers share: a target, the model behind it, mutations of bytes."""

import random
from typing import Any, Protocol

import torch

from lic.entropy import update_tables
from lic.models import CompressionModel, ResidualGN, build_model
from lic.store.description import Description
from lic.store.objective import Objective

EXTREMES = (0, 1, 2, 3, 63, 127, 128, 255, 4095, 4096, 100_000, 2**20, 2**31 - 1, 2**31, 2**32, 2**40, 2**64)
OPTIONS: dict[str, dict[str, Any]] = {
    "baseline": {"kernel_size": 3},
    "hyperprior": {"kernel_size": 3, "aux_kernel_size": 3},
    "resnet3x3_4": {"upsample": "subpixel", "bottleneck": 4},
    "scale_hyperprior": {"bottleneck": 4},
    "fastdic": {"bottleneck": 4},
    "slowdic": {"bottleneck": 4},
    "residual_gn": {"bottleneck": 16},
}


class Target(Protocol):
    """A reader and how its inputs are forged."""

    def forge(self, rng: random.Random) -> bytes:
        """An input that nobody wrote."""

    def read(self, data: bytes) -> str:
        """What the reader answers, if it is no error."""


def net_and_description(name: str) -> tuple[CompressionModel, Description]:
    """A narrow network of one family with lively latents and small tables, in the same state every time."""
    torch.manual_seed(0)
    options: dict[str, Any] = {"name": name, "width": 4} | OPTIONS.get(name, {})
    net = build_model(**options)
    with torch.no_grad():
        for transform in (getattr(net, part) for part in ("g_a", "h_a") if hasattr(net, part)):
            list(transform.children())[-1].weight.mul_(40)
        if isinstance(net, ResidualGN):  # most levels, not one
            net.get_parameter("importance.4.weight").mul_(20)
            net.get_parameter("importance.4.bias").fill_(2)
        if hasattr(net, "gaussian_conditional"):
            net.get_buffer("gaussian_conditional.scale_table").copy_(torch.linspace(0.11, 8, 64))
    assert isinstance(net, CompressionModel)
    update_tables(net)
    return net, Description(options, Objective())


def mutate(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """One to four changes of bytes, some with pieces of ``other``."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        start = rng.randrange(len(out) + 1)
        length = min(int(rng.paretovariate(0.7)), len(out) - start)
        kind = rng.randrange(7)
        if kind == 0 and start < len(out):
            out[start] ^= 1 << rng.randrange(8)
        elif kind == 1 and start < len(out):
            out[start] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif kind == 2:
            out[start : start + length] = rng.randbytes(length)
        elif kind == 3:
            out[start:start] = rng.randbytes(int(rng.paretovariate(1)) % 64)
        elif kind == 4:
            del out[start : start + length]
        elif kind == 5:
            del out[start:]
        else:
            out[start:] = other[rng.randrange(len(other) + 1) :]
    return bytes(out)
