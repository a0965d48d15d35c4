"""What is not of the package's families codes, decodes and is evaluated like them."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import lic
from lic.bitstream import Stream, StreamError, describe
from lic.codecs.base import CodecInfo, FileCodec
from lic.codecs.classical import PillowCodec
from lic.codecs.learned import LearnedCodec
from lic.codecs.networks import codec_of
from lic.data import ImageFolder, write_png
from lic.entropy import load_tables, tables, update_tables
from lic.errors import UserError
from lic.evaluation.evaluate import evaluate_settings
from lic.evaluation.points import collect
from lic.metrics.complexity import macs_per_pixel
from lic.models import MODELS, CompressionModel
from lic.store.load import load_codec
from lic.store.model_file import export

from ..outside import Gray, GrayThumbnail, Thumbnail, enlarged, image, save_half
from ..saved import save_run
from ..stranger.stranger import Half, HalfInJpeg

INFO = CodecInfo("outside", "", learned=True, model="outside")
SIZES = [(1, 1), (8, 8), (1, 70), (33, 47)]


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, kind in (("thumbnail", Thumbnail), ("half", Half)):
        monkeypatch.setitem(MODELS, name, kind)


@pytest.fixture
def gray() -> Gray:
    torch.manual_seed(0)
    net = Gray()
    with torch.no_grad():
        net.get_parameter("g_a.2.weight").mul_(30)
    update_tables(net)
    return net.eval()


@pytest.mark.parametrize("size", SIZES)
def test_a_network_without_latents_codes(size: tuple[int, int]) -> None:
    codec, pixels = codec_of(Thumbnail(), INFO), image(*size)
    encoded = codec.encode(pixels)
    decoded = codec.decode(encoded.data)
    assert np.array_equal(decoded, enlarged(pixels[::8, ::8], 8, *size))
    assert np.array_equal(decoded, encoded.reconstruct())
    assert math.isnan(encoded.estimate_bits()) and math.isnan(encoded.analysis_s) and codec.macs() == 0
    stream = Stream.unpack(encoded.data)
    assert (stream.latent_checksum, stream.options, stream.method, stream.channels) == (b"", b"", 0, 3)


def test_a_network_without_entropy_models_has_no_tables() -> None:
    net = Thumbnail()
    update_tables(net)
    assert tables(net) == {}
    load_tables(net, {})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"options": b"x"}, "options that its model does not know"),
        ({"method": 3}, "another coding method"),
        ({"latent_checksum": b"\x80\0"}, "has a checksum of latents"),
        ({"payloads": (b"xyz",)}, "other pixels than its size"),
    ],
)
def test_parts_that_a_family_does_not_write_are_refused(change: dict[str, object], words: str) -> None:
    codec = LearnedCodec(Thumbnail(), INFO)
    stream = Stream.unpack(codec.encode(image(9, 9)).data)
    with pytest.raises(StreamError, match=words):
        codec.decode(replace(stream, **change).pack())  # type: ignore[arg-type]


class _Second(Thumbnail):
    method = 2


class _Forgetful(Thumbnail):
    has_checksum = True


def test_a_network_says_its_method_once() -> None:
    codec = codec_of(_Second(), INFO)
    data = codec.encode(image(9, 9)).data
    assert Stream.unpack(data).method == 2 and codec.decode(data).shape == (9, 9, 3)


def test_no_file_is_written_that_its_own_network_refuses() -> None:
    with pytest.raises(StreamError, match="The stream has no checksum of latents"):
        codec_of(_Forgetful(), INFO).encode(image(9, 9))


def test_a_codec_around_another_need_not_ask_for_itself() -> None:
    codec = codec_of(Half(), INFO)
    stream = Stream.unpack(codec.encode(image(9, 9)).data)
    with pytest.raises(StreamError, match="another coding method"):
        codec.decode(replace(stream, method=3).pack())


def test_it_is_kept_and_loaded_like_the_others(tmp_path: Path) -> None:
    save_run(tmp_path / "run", Thumbnail(), {"name": "thumbnail"})
    export(tmp_path / "run", tmp_path / "model.lic-model")
    data = lic.load(tmp_path / "run").compress(image(20, 30))
    loaded = lic.load(tmp_path / "model.lic-model")
    assert np.array_equal(loaded.decompress(data, "numpy"), enlarged(image(20, 30)[::8, ::8], 8, 20, 30))
    assert list(loaded.settings.values()) == [loaded]


@pytest.mark.parametrize("size", SIZES)
def test_gray_in_a_colour_network_comes_back_gray(
    size: tuple[int, int], make_net: Callable[..., CompressionModel]
) -> None:
    codec = LearnedCodec(make_net(name="hyperprior", kernel_size=3, aux_kernel_size=3), INFO)
    pixels = image(*size, channels=1)
    encoded, colour = codec.encode(pixels), codec.encode(pixels.repeat(3, 2))
    decoded = codec.decode(encoded.data)
    assert decoded.shape == (*size, 1) and decoded.dtype == np.uint8
    assert np.array_equal(decoded, encoded.reconstruct())
    stream, as_colour = Stream.unpack(encoded.data), Stream.unpack(colour.data)
    assert stream.channels == 1 and replace(stream, channels=3) == as_colour, "the network saw the same"
    mean = codec.decode(colour.data).astype(float).mean(2, keepdims=True)
    assert np.array_equal(decoded, np.rint(mean)), "thirds are never halves"
    assert codec.decompress(encoded.data).mode == "L"
    assert codec.decompress(encoded.data, "tensor").shape == (1, *size)
    assert {entry.name: entry.value for entry in describe(encoded.data)}["channels"] == 1


@pytest.mark.parametrize("tile", [640, 16])
def test_a_network_of_gray_images(gray: Gray, tile: int) -> None:
    codec, pixels = LearnedCodec(gray, INFO, tile=tile), image(70, 50, 1)
    encoded = codec.encode(pixels)
    decoded = codec.decode(encoded.data)
    assert decoded.shape == (70, 50, 1) and np.array_equal(decoded, encoded.reconstruct())
    assert decoded.std() > 1, "a blank image proves nothing"
    assert Stream.unpack(encoded.data).channels == 1
    assert codec.macs() == macs_per_pixel(gray, channels=1) > 0
    x = torch.rand(2, 1, 30, 21)
    assert gray(x).x_hat.shape == x.shape, "any size is padded"


def test_latents_without_a_known_rate_promise_none(gray: Gray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gray, "likelihoods", lambda y, y_hat: {})
    assert math.isnan(codec_of(gray, INFO).encode(image(9, 9, 1)).estimate_bits())


@pytest.mark.parametrize("kind", [GrayThumbnail, Gray])
def test_colour_in_a_gray_network_is_refused(kind: type[CompressionModel]) -> None:
    codec = LearnedCodec(kind(), INFO)
    with pytest.raises(
        UserError, match=r"^The image is stored in colour and the model codes gray ones; [^\n]*\.$"
    ):
        codec.encode(image(5, 5))
    forged = Stream(codec.fingerprint, 5, 5, b"", (b"x",), channels=3)
    with pytest.raises(StreamError, match="colours that its model does not code"):
        codec.decode(forged.pack())


def test_each_setting_has_a_folder_and_a_point(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_png(tmp_path / "photos" / f"{name}.png", image(60, 90))
    save_half(tmp_path / "run")
    codec = load_codec(tmp_path / "run")
    assert isinstance(codec, HalfInJpeg) and list(codec.settings) == ["jpeg-30", "jpeg-60", "jpeg-90"]
    photos = ImageFolder(tmp_path / "photos")
    results = evaluate_settings(codec, photos, tmp_path / "run", "photos", pictures=[0])
    rates = [result.mean["bpp"] for result in results]
    assert rates == sorted(rates) and len(set(rates)) == 3
    assert [result.codec.setting for result in results] == ["quality 30", "quality 60", "quality 90"]
    points = {point.run.name: point.result.codec for point in collect([tmp_path / "run"])}
    assert points.keys() == set(codec.settings) and not (tmp_path / "run" / "test.json").exists()
    assert [points[setting] for setting in codec.settings] == [result.codec for result in results]
    for setting in points:
        assert (tmp_path / "run" / setting / "reconstructions" / "a.png").exists()
        data = (tmp_path / "run" / setting / "streams" / "a.lic").read_bytes()
        inner = codec.settings[setting].encode(image(60, 90)).data
        assert data == inner and np.array_equal(codec.decode(data), codec.settings[setting].decode(data))


def test_a_setting_has_the_settings_and_limits_of_its_codec() -> None:
    codec = codec_of(Half(), INFO, tile=99, max_pixels=100)
    for setting, one in codec.settings["jpeg-30"].settings.items():
        assert isinstance(one, HalfInJpeg) and (one.tile, one.max_pixels) == (99, 100)
        assert one.info == codec.settings[setting].info and one.info.moving == [*INFO.moving, "quality"]


def test_a_held_file_is_that_of_the_codec_it_holds() -> None:
    codec: FileCodec = codec_of(Half(), INFO)
    stream = Stream.unpack(codec.settings["jpeg-30"].encode(image(40, 40)).data)
    assert stream.payloads == (PillowCodec("jpeg", 30).encode(image(40, 40)[::2, ::2].copy()).data,)
    assert stream.method == 1 and not stream.latent_checksum
    with pytest.raises(UserError, match="not a readable JPEG"):
        codec.decode(replace(stream, payloads=(b"no JPEG",)).pack())
