import itertools

import numpy as np
import pytest
import torch

from lic.layers import crop, pad, padded_size

SIDES = (1, 2, 15, 16, 17, 63, 64, 65)


@pytest.mark.parametrize("multiple", [1, 16, 64])
@pytest.mark.parametrize(("height", "width"), itertools.product(SIDES, SIDES))
def test_pad_replicates_to_the_next_multiple_and_crop_undoes_it(
    height: int, width: int, multiple: int
) -> None:
    x = torch.arange(2.0 * 3 * height * width).reshape(2, 3, height, width)
    padded = pad(x, multiple)
    new_height, new_width = padded.shape[-2:]
    assert (new_height, new_width) == padded_size((height, width), multiple)
    assert new_height % multiple == new_width % multiple == 0
    assert 0 <= new_height - height < multiple and 0 <= new_width - width < multiple
    edges = [(0, 0), (0, 0), (0, new_height - height), (0, new_width - width)]
    assert np.array_equal(padded.numpy(), np.pad(x.numpy(), edges, mode="edge"))
    assert torch.equal(crop(padded, (height, width)), x)
