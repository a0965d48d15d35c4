from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lic.bitstream import Stream
from lic.codecs import TILE
from lic.codecs.base import CodecInfo
from lic.codecs.learned import LearnedCodec
from lic.codecs.networks import codec_of
from lic.errors import UserError
from lic.layers import conv, tconv
from lic.models import TransformCoding, build_model, tiling
from lic.models.tiling import margin, scaled, tiles

INFO = CodecInfo("test", "", learned=True, model="test")


@pytest.mark.parametrize("size", [(5, 13), (16, 16), (17, 33), (40, 8)])
def test_tiles_cover_every_latent_once(size: tuple[int, int]) -> None:
    seen = np.zeros(size, int)
    grid = np.arange(size[0] * size[1]).reshape(size)
    cut = list(tiles(size, 8 * 16, 16, lambda: 3))
    assert len(cut) == -(-size[0] // 8) * -(-size[1] // 8)
    for tile in cut:
        seen[tile.place] += 1
        assert np.array_equal(grid[tile.seen][tile.kept], grid[tile.place])
        rows, columns = tile.seen
        assert rows.start == max(tile.place[0].start - 3, 0) and rows.stop <= tile.place[0].stop + 3
        assert columns.stop - columns.start <= 8 + 2 * 3
    assert (seen == 1).all()


def test_a_picture_of_one_tile_asks_for_no_margin() -> None:
    for height, width in ((1, 1), (8, 3), (2, 32), (64, 1)):
        (tile,) = tiles((height, width), 8 * 16, 16, lambda: pytest.fail("asked"))
        assert tile.seen == tile.kept == tile.place == (slice(0, height), slice(0, width))
    assert scaled(tile.place, 16) == (slice(0, 1024), slice(0, 16))


@pytest.mark.parametrize(
    ("net", "channels", "stride", "expected"),
    [
        (nn.Sequential(conv(3, 2, 5, 2), conv(2, 2, 5, 2)), 3, 4, 2),  # 2 + 2·2 = 6 pixels
        (nn.Sequential(conv(3, 2, 3, 2), conv(2, 2, 1, 2)), 3, 4, 1),  # 1 pixel
        (nn.Sequential(tconv(2, 2, 5), tconv(2, 3, 5)), 2, 1, 2),
        (nn.Sequential(conv(2, 2, 1), nn.PixelShuffle(1)), 2, 1, 0),
        (nn.Sequential(*(conv(2, 2, 5) for _ in range(20))), 2, 1, 40),
    ],
)
def test_margins_are_what_the_layers_see(net: nn.Module, channels: int, stride: int, expected: int) -> None:
    assert margin(net, channels, stride) == expected


@pytest.mark.parametrize("kernel_size", [3, 5, 9])
def test_margins_of_the_papers_transforms(make_net: Any, kernel_size: int) -> None:
    net = make_net(name="baseline", kernel_size=kernel_size, width=2)
    reach = kernel_size // 2 * (1 + 2 + 4 + 8)  # pixels
    assert margin(net.g_a, 3, 16) == -(-reach // 16)


class _Everything(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - x.mean())


class _Sign(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).sign()


class _Masked(nn.Module):
    """NaN passes beside the mask, and the comparison swallows what the mask saw of it."""

    def __init__(self, channels: int, kernel_size: int, stride: int):
        super().__init__()
        self.mask = nn.Sequential(conv(channels, channels, kernel_size), conv(channels, channels, 3))
        self.main = conv(channels, channels, 1, stride)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.main(x)
        return y * (self.mask(x) > 0)[..., :: self.stride, :: self.stride]


@pytest.mark.parametrize(
    ("channels", "kernel_size", "stride", "expected"),
    [(1, 5, 1, 3), (4, 7, 1, 4), (3, 5, 2, 2), (4, 41, 1, 21)],
)
@pytest.mark.parametrize("seed", range(5))
def test_margins_count_what_a_comparison_sees(
    channels: int, kernel_size: int, stride: int, expected: int, seed: int
) -> None:
    torch.manual_seed(seed)
    assert margin(_Masked(channels, kernel_size, stride), channels, stride) == expected


@pytest.mark.parametrize("kind", [_Everything, _Sign])
def test_what_cannot_be_cut_has_no_margin(kind: type[nn.Conv2d]) -> None:
    assert margin(kind(2, 2, 1), 2, 1) is None


def test_what_cannot_be_cut_is_taken_whole_up_to_a_limit() -> None:
    (tile,) = tiles((128, 128), 64, 16, lambda: None)  # 2048x2048 pixels
    assert tile.seen == tile.kept == tile.place == (slice(0, 128), slice(0, 128))
    with pytest.raises(UserError, match=r"takes 4,194,304 pixels .* has 4,227,072; give --tile 2064 "):
        tuple(tiles((129, 128), 64, 16, lambda: None))


def test_weights_without_numbers_are_refused() -> None:
    net = conv(2, 2, 1)
    nn.init.constant_(net.weight, torch.inf)
    with pytest.raises(UserError, match="not finite"):
        margin(net, 2, 1)


@pytest.fixture(scope="module")
def photo() -> Any:
    rows, columns = np.mgrid[:300, :410]
    noise = np.random.default_rng(0).integers(0, 60, (300, 410, 3))
    return (np.stack([rows // 2, columns // 3, 200 - rows // 3], -1) + noise).clip(0, 255).astype(np.uint8)


def test_tiles_give_what_the_whole_image_gives(make_net: Any, variant: dict[str, Any], photo: Any) -> None:
    """Symbols may only differ where a sum's last bit turns a rounding: hardly ever, and never unnoticed."""
    net: TransformCoding = make_net(**variant)
    whole, tiled = LearnedCodec(net, INFO), LearnedCodec(net, INFO, tile=net.stride * 4)
    y, y_whole = net.analyze(photo, 4 * net.stride), net.analyze(photo, TILE)
    torch.testing.assert_close(y, y_whole, atol=1e-4, rtol=1e-4)
    encoded = tiled.encode(photo)
    decoded = tiled.decode(encoded.data)
    assert np.array_equal(decoded, encoded.reconstruct())
    difference = np.abs(decoded.astype(int) - whole.decode(encoded.data))
    assert difference.max() <= 1 and (difference > 0).mean() < 1e-3
    assert len(Stream.unpack(encoded.data).payloads) == len(Stream.unpack(whole.encode(photo).data).payloads)


def test_a_network_with_statistics_of_the_whole_image_is_coded_whole(
    make_net: Any, photo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = make_net(name="baseline", kernel_size=3)
    net.g_a.insert(1, nn.GroupNorm(2, 8))
    net.g_s.insert(1, nn.GroupNorm(2, 8))
    whole, tiled = LearnedCodec(net, INFO), LearnedCodec(net, INFO, tile=64)
    data = whole.encode(photo).data
    assert tiled.encode(photo).data == data
    assert np.array_equal(tiled.decode(data), whole.decode(data))
    monkeypatch.setattr(tiling, "WHOLE", 300 * 400)
    for refused in (lambda: tiled.encode(photo), lambda: tiled.decode(data)):
        with pytest.raises(UserError, match=r"takes 120,000 pixels .* has 126,464; give --tile 368 "):
            refused()


def test_what_the_decoder_would_refuse_is_not_coded(
    make_net: Any, photo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = make_net(name="baseline", kernel_size=3)
    net.g_s.insert(1, nn.GroupNorm(2, 8))  # g_a can be cut into tiles
    monkeypatch.setattr(tiling, "WHOLE", 300 * 400)
    with pytest.raises(UserError, match=r"has 126,464; give --tile 368 \(tile=368 in Python\) or more"):
        LearnedCodec(net, INFO, tile=64).encode(photo)
    rescued = LearnedCodec(net, INFO, tile=368)
    encoded = rescued.encode(photo)
    assert np.array_equal(rescued.decode(encoded.data), encoded.reconstruct())


@pytest.mark.parametrize("name", ["hyperprior", "residual_gn"])
@pytest.mark.parametrize("tile", [0, -64, 15])
def test_an_impossible_tile_is_refused(name: str, tile: int) -> None:
    with pytest.raises(UserError, match="at least 16 pixels along a side"):
        codec_of(build_model(name, width=8), INFO, tile=tile)


@pytest.mark.parametrize("size", [(65, 1), (1, 200), (129, 130), (16, 17)])
def test_tiles_beyond_the_image_repeat_its_border(make_net: Any, size: tuple[int, int], photo: Any) -> None:
    net = make_net(name="fastdic", pixel_unshuffle=4, drop=False)
    image = photo[: size[0], : size[1]]
    tiled = LearnedCodec(net, INFO, tile=64)
    with torch.inference_mode():
        torch.testing.assert_close(net.analyze(image, 64), net.analyze(image, TILE), atol=1e-4, rtol=1e-4)
    assert tiled.decode(tiled.encode(image).data).shape == image.shape
