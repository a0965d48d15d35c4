"""Binary latents, and the way there and back."""

from itertools import product
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

Latents = tuple[Tensor, Tensor, int]  # bits [n, h, w], levels [h, w], steps


def random_latents(n: int, h: int, w: int, steps: int, seed: int = 0, ones: float = 0.5) -> Latents:
    """Bits that are 1 with the chance ``ones``, and levels of any height."""
    random = np.random.default_rng(seed)
    levels = torch.from_numpy(random.integers(0, steps + 1, (h, w)))
    return torch.from_numpy(random.random((n, h, w)) < ones), levels, steps


def kept(flags: Tensor, levels: Tensor, steps: int) -> Tensor:
    """The bits that the levels keep, by the definition: position and channel one by one."""
    mask = torch.zeros(flags.shape, dtype=torch.bool)
    for c, y, x in product(*map(range, flags.shape)):
        mask[c, y, x] = bool(levels[y, x] > c // (len(flags) // steps))
    return mask


def there_and_back(coder: ModuleType, latents: Latents) -> tuple[bytes, bytes]:
    """The payloads of levels and bits, which give both back."""
    flags, levels, steps = latents
    payloads = coder.encode_levels(levels, steps), coder.encode_bits(flags, levels, steps)
    found = coder.decode_levels(payloads[0], *levels.shape, steps)
    assert found.dtype == torch.uint8 and torch.equal(found, levels.to(torch.uint8))
    back = coder.decode_bits(payloads[1], found, len(flags), steps)
    assert back.dtype == torch.uint8 and torch.equal(back.bool(), flags & kept(*latents))
    return payloads


def forge(payload: bytes, random: np.random.Generator) -> bytes:
    """A payload with another bit, cut off, extended, or with another end."""
    kind, place = random.integers(5), random.integers(len(payload))
    if kind == 0:
        return payload[:place] + bytes([payload[place] ^ 1 << random.integers(8)]) + payload[place + 1 :]
    if kind == 4:
        return payload + b"\0"
    kept = payload if kind == 2 else payload[:place]
    return kept + random.bytes((0, random.integers(1, 20), random.integers(40))[kind - 1])
