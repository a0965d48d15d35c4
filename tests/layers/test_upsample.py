import numpy as np
import PIL.Image
import pytest
import torch

from lic.errors import UserError
from lic.layers import upsampler
from lic.layers.upsample import Bicubic


def test_unknown_upsampler_is_refused_with_the_choices() -> None:
    with pytest.raises(UserError, match=r"'bicubic'.*tconv.*subpixel"):
        upsampler("bicubic")


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (2, 5), (12, 9)])
def test_bicubic_interpolation_is_pillows(factor: int, size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random(size, np.float32)
    large = PIL.Image.fromarray(image).resize(
        (factor * size[1], factor * size[0]), PIL.Image.Resampling.BICUBIC
    )
    batch = torch.from_numpy(image).expand(2, 3, *size)
    expected = torch.from_numpy(np.array(large)).expand(2, 3, -1, -1)
    torch.testing.assert_close(Bicubic(3, factor)(batch), expected)
