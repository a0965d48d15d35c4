import pytest

from lic.errors import UserError
from lic.layers import upsampler


def test_unknown_upsampler_is_refused_with_the_choices() -> None:
    with pytest.raises(UserError, match=r"'bicubic'.*tconv.*subpixel"):
        upsampler("bicubic")
