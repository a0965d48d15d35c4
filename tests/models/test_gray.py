"""Every family as a network of gray images."""

from typing import Any

import numpy as np
import pytest
import torch

from lic.codecs.base import CodecInfo
from lic.codecs.learned import LearnedCodec
from lic.errors import UserError
from lic.models import build_model

INFO = CodecInfo("gray", "", learned=True, model="gray")


def test_a_gray_image_becomes_a_file_and_a_gray_image(variant: dict[str, Any], make_net: Any) -> None:
    net = make_net(**variant, channels=1)
    colour = np.random.default_rng(0).integers(0, 256, (75, 101, 3), np.uint8)
    gray = np.ascontiguousarray(colour[:, :, :1])
    encoded = LearnedCodec(net, INFO).encode(gray)
    decoded = LearnedCodec(net, INFO).decode(encoded.data)
    assert decoded.shape == (75, 101, 1)
    assert np.array_equal(decoded, encoded.reconstruct())
    with pytest.raises(UserError, match="colour"):
        LearnedCodec(net, INFO).encode(colour)


def test_only_the_first_and_the_last_layer_differ(variant: dict[str, Any]) -> None:
    colour, gray = (build_model(**variant, channels=channels).state_dict() for channels in (3, 1))
    assert colour.keys() == gray.keys()
    different = {key for key in colour if colour[key].shape != gray[key].shape}
    assert different and all(key.startswith(("g_a.", "g_s.")) for key in different)
    x = torch.rand(1, 1, 64, 64)
    assert build_model(**variant, channels=1)(x).x_hat.shape == x.shape


@pytest.mark.parametrize("channels", [0, 2, 4, True, 1.0, "3"])
def test_other_channels_are_refused(variant: dict[str, Any], channels: Any) -> None:
    with pytest.raises(UserError, match=r"model\.channels must be 1"):
        build_model(**variant, channels=channels)
