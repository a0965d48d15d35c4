"""Uniform noise in place of rounding, where each item of a batch has a source of its own.

What an item sees then depends on nothing beside it: two processes with half a batch each see what one with
the whole batch would, and the noise of a batch is the same whatever was drawn before it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import torch
from torch import Tensor

_sources: ContextVar[Sequence[torch.Generator]] = ContextVar("noise", default=())


@contextmanager
def own_noise(key: tuple[int, int], items: range, device: torch.device) -> Iterator[None]:
    """Within the block, item i of what is given to `add_noise` gets the noise of ``(*key, items[i])``.

    Args:
        key: two numbers from 0 on, such as the run's seed and the batch's number.
        items: the places of the batch's items in the batch of all processes.
        device: of the tensors. CPU and GPU draw different noise from the same key.
    """
    seeds = [int(np.random.SeedSequence((*key, item)).generate_state(1, np.uint64)[0]) for item in items]
    token = _sources.set([torch.Generator(device).manual_seed(seed) for seed in seeds])
    try:
        yield
    finally:
        _sources.reset(token)


def uniform_like(x: Tensor) -> Tensor:
    """Numbers uniform in 0…1 in the shape of x, the items along the first axis; drawn as by `add_noise`."""
    return add_noise(torch.full_like(x, 0.5))


def add_noise(x: Tensor, batch_axis: int = 0) -> Tensor:
    """``x`` and noise uniform within ±1/2, from torch's global generator outside of `own_noise`.

    Args:
        x: with the items of the batch along ``batch_axis``, each as many rows as it likes.
        batch_axis: its length is a multiple of the number of items.
    """
    noise = torch.empty_like(x)
    if sources := _sources.get():
        for rows, source in zip(noise.chunk(len(sources), batch_axis), sources, strict=True):
            rows.uniform_(-0.5, 0.5, generator=source)
    else:
        noise.uniform_(-0.5, 0.5)
    return x + noise
