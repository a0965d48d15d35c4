"""The codec of binary latents, image by image in tiles."""

import copy
from typing import Any

import numpy as np
import pytest
import torch

from lic.codecs.learned import LearnedCodec
from lic.data.images import to_batch, to_float
from lic.layers import pad
from lic.models.autoencoder import STRIDE, Autoencoder

from .binary_nets import INFO, KINDS, image, make


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(("size", "tile"), [((75, 141), 48), ((17, 90), 32)])
@torch.inference_mode()
def test_tiles_give_what_the_whole_image_gives(
    options: dict[str, Any], size: tuple[int, int], tile: int
) -> None:
    net = make(**options)
    exact = copy.deepcopy(net).double()  # in single precision, sums over the whole image lose the last digits
    x = pad(to_float(to_batch(image(*size, net.image_channels))), STRIDE)
    for stage, reference in zip((net.main, *net.residual), (exact.main, *exact.residual), strict=True):
        assert isinstance(stage, Autoencoder) and isinstance(reference, Autoencoder)
        y, y_whole = stage.analyze(x - 0.5, tile), reference.g_a(x.double() - 0.5)
        torch.testing.assert_close(y, y_whole.float(), atol=1e-5, rtol=1e-5)
        q = stage.code(y, net.mask(y)[1])
        x_hat = stage.synthesize(q, tile)
        torch.testing.assert_close(x_hat, reference.decode(q.double()).float(), atol=1e-5, rtol=1e-5)
        assert x_hat.std() > 0.01
    if net.post and exact.post:
        polished, whole = net.post.polish(x_hat, x, tile), exact.post.polish(x_hat.double(), x.double())
        torch.testing.assert_close(polished, whole.float(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_a_file_of_one_tile_is_decoded_with_another(options: dict[str, Any]) -> None:
    net = make(**options)
    pixels = image(50, 70, net.image_channels)
    codecs = [LearnedCodec(net, INFO, tile=tile) for tile in (32, 48, 1000)]
    for codec in codecs:
        encoded = codec.encode(pixels)
        decoded = codec.decode(encoded.data)
        inner = encoded.inner()
        assert np.array_equal(decoded, encoded.reconstruct())
        assert inner and np.array_equal(decoded, inner.stages[-1].image)
        for other in codecs:
            assert np.abs(other.decode(encoded.data).astype(int) - decoded).max() <= 1


MEMORY = """
import resource, sys
import numpy as np, torch
from lic import allocator
from lic.codecs.base import CodecInfo
from lic.codecs.learned import LearnedCodec
from lic.models import build_model

allocator.tune()
net = build_model("residual_gn", width=32, bottleneck=16)
codec = LearnedCodec(net, CodecInfo("", "", learned=True, model=""), tile=256)
image = np.random.default_rng(0).integers(0, 256, (int(sys.argv[1]), 1024, 3), np.uint8)
small = codec.encode(image[:512])  # what one tile takes, and libraries
codec.decode(small.data)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert codec.decode(codec.encode(image).data).shape == image.shape
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / (image[512:].size / 3))
"""


@pytest.mark.slow
def test_memory_is_that_of_images_not_of_channels(run_python: Any) -> None:
    """A pixel more takes 12 bytes in each of a few images and 8 between the halves; in one piece, 1,000."""
    done = run_python("-c", MEMORY, "1536")
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 100
