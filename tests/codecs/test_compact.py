"""A compact image in files of every kind."""

import io
import json
import math
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

from lic.bitstream import Stream, StreamError
from lic.codecs.base import CodecInfo
from lic.codecs.classical import PillowCodec
from lic.codecs.compact import MEASURED, METHODS, CompactCodec
from lic.codecs.formats import FORMATS
from lic.codecs.networks import codec_of
from lic.data import Pixels
from lic.data.images import to_batch, to_float, to_uint8
from lic.entropy.pixels import CODERS
from lic.entropy.symbols import Symbols
from lic.errors import UserError
from lic.models import CompactImage, build_model
from lic.store.description import Description
from lic.store.objective import Objective

LOSSLESS = (*CODERS, "png", "bmp")
LOSSY = tuple(name for name in METHODS if name not in LOSSLESS)


def codec(**options: Any) -> CompactCodec:
    described: dict[str, Any] = {"name": "icm_irm", "width": 4} | options
    torch.manual_seed(0)
    net = build_model(**described)
    objective = Objective({"distortion": "mse"}, f"stride {net.stride}", "mse", ["stride"])
    made = codec_of(net, Description(described, objective).info(net))
    assert isinstance(made, CompactCodec)
    return made


def image(height: int, width: int, channels: int = 3) -> Pixels:
    rows, columns = np.mgrid[:height, :width]
    waves = [128 + 100 * np.sin(rows / (9 + c)) * np.cos(columns / (13 - c)) for c in range(channels)]
    return np.stack(waves, -1).astype(np.uint8)


def compact(net: CompactImage, pixels: Pixels) -> Pixels:
    """By the network's own pass."""
    with torch.inference_mode():
        return to_uint8(net(to_float(to_batch(pixels))).compact)[0].permute(1, 2, 0).numpy()


def at(made: CompactCodec, name: str) -> CompactCodec:
    setting = made.settings[name]
    assert isinstance(setting, CompactCodec)
    return setting


def test_the_numbers_of_inner_coders_stay() -> None:
    """They are in files; new ones come behind."""
    assert {*METHODS, "avif"} == {*CODERS, *FORMATS} and len(METHODS) == 24
    assert [METHODS[i] for i in (0, 3, 6, 12, 17, 18, 20, 23)] == [
        "huffman", "huffman-left-runs", "adaptive-huffman", "range", "range-up-runs", "png", "jpeg", "webp",
    ]  # fmt: skip


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_coders_keep_the_compact_image(name: str, channels: int) -> None:
    made, pixels = codec(channels=channels), image(21, 34, channels)
    encoded = at(made, name).encode(pixels)
    stream = Stream.unpack(encoded.data)
    assert METHODS[stream.method] == name and len(stream.payloads) == 1
    small = compact(made.net, pixels)
    shape = (11, 17, channels)
    (payload,) = stream.payloads
    kept = CODERS[name].decode(payload, shape) if name in CODERS else PillowCodec(name).decode(payload, shape)
    assert np.array_equal(kept, small) and len(np.unique(small)) > 9
    decoded = made.decode(encoded.data)
    assert np.array_equal(decoded, encoded.reconstruct()), "a file says by itself what decodes it"
    assert np.array_equal(decoded, made.decode(made.encode(pixels).data)), "as any other lossless one"


@pytest.mark.parametrize("name", ["huffman", "huffman-left", "adaptive-huffman-up", "huffman-runs"])
def test_the_estimate_is_that_of_the_entropy_coder(name: str) -> None:
    made, pixels = codec(), image(260, 340)
    encoded = at(made, name).encode(pixels)
    small = compact(made.net, pixels)
    assert encoded.estimate_bits() == CODERS[name].estimate_bits(small)
    assert 1 < 8 * len(encoded.data) / encoded.estimate_bits() < 1.06
    assert math.isnan(at(made, "png").encode(pixels).estimate_bits())


@pytest.mark.parametrize("name", ["huffman", "jpeg-5"])
def test_values_are_those_of_the_compact_image_before_its_codec(name: str) -> None:
    made, pixels = codec(), image(21, 34)
    symbols, small = at(made, name).encode(pixels).symbols(), compact(made.net, pixels)
    assert symbols == Symbols.of(small) and symbols.distinct == len(np.unique(small)) > 9
    assert PillowCodec("png").encode(pixels).symbols() is None


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", LOSSY)
def test_lossy_files_are_decoded_without_options(name: str, channels: int) -> None:
    made = codec(channels=channels)
    pixels = np.random.default_rng(0).integers(0, 256, (90, 120, channels), np.uint8)
    names = [setting for setting in made.settings if setting.rpartition("-")[0] == name]
    if not FORMATS[name].library:
        pytest.skip(f"Pillow has no {name} here")
    sizes = []
    for setting in names:
        encoded = at(made, setting).encode(pixels)
        assert METHODS[Stream.unpack(encoded.data).method] == name
        decoded = made.decode(encoded.data)
        assert decoded.shape == pixels.shape and np.array_equal(decoded, encoded.reconstruct())
        sizes.append(len(encoded.data))
    assert len(sizes) == 12 and sizes[0] < sizes[-1]


@pytest.mark.parametrize("name", ["huffman", "png", "jpeg-80"])
def test_a_gray_image_of_a_network_of_colours_comes_back_gray(name: str) -> None:
    made, pixels = codec(), image(13, 9, 1)
    encoded = at(made, name).encode(pixels)
    assert made.decode(encoded.data).shape == (13, 9, 1)
    assert np.array_equal(made.decode(encoded.data), encoded.reconstruct())


def test_a_gray_network_keeps_a_file_of_one_channel() -> None:
    made = codec(channels=1)
    (payload,) = Stream.unpack(at(made, "png").encode(image(13, 9, 1)).data).payloads
    assert PillowCodec("png").decode(payload).shape == (7, 5, 1)


def test_static_huffman_is_the_networks_own_coder() -> None:
    made, pixels = codec(), image(20, 20)
    stream = Stream.unpack(made.encode(pixels).data)
    assert stream.method == made.net.method == 0 and made.info.choices == {"inner": "huffman"}
    assert stream.payloads == tuple(made.net.encode(pixels, 640).payloads)
    assert np.array_equal(made.net.decode(stream, 640), made.decode(made.encode(pixels).data))


def test_what_is_measured_is_among_the_settings() -> None:
    made = codec()
    assert tuple(made.measured) == MEASURED
    assert len({json.dumps(one.info.choices) for one in made.settings.values()}) == len(made.settings)


def test_strides_move_along_a_lossless_curve_and_qualities_along_a_lossy_one() -> None:
    two, three = codec(), codec(stride=3)

    def key(made: CompactCodec, name: str) -> str:
        return at(made, name).info.key

    assert key(two, "huffman") == key(three, "huffman") != key(two, "huffman-left")
    assert key(two, "jpeg-50") == key(two, "jpeg-80") != key(three, "jpeg-50")
    assert key(two, "jpeg-50") != key(two, "webp-50")
    info = at(two, "jpeg-50").info
    assert (info.setting, info.moving) == ("quality 50", ["quality"])
    assert info.curve == "icm_irm · width 4 (mse), stride 2, JPEG 4:2:0"
    assert {"inner": "jpeg", "quality": 50}.items() <= info.choices.items() and "library" in info.choices
    assert (at(two, "range").info.curve, two.info.setting) == (
        "icm_irm · width 4 (mse), range",
        "stride 2",
    )


@pytest.mark.parametrize(
    ("method", "payload", "words"),
    [
        (24, b"", "an inner coder that its model does not know"),
        (127, b"", "an inner coder that its model does not know"),
        (0, b"\x00", "cannot be decoded"),
        (18, b"PNG", "compact image cannot be read: This is not a readable PNG file"),
        (20, b"", "compact image cannot be read"),
    ],
)
def test_forged_files_are_refused(method: int, payload: bytes, words: str) -> None:
    made = codec()
    with pytest.raises(StreamError, match=words):
        made.decode(Stream(made.fingerprint, 20, 20, b"", (payload,), method=method).pack())


@pytest.mark.parametrize("name", ["png", "jpeg-50"])
def test_a_compact_image_of_another_size_is_refused(name: str) -> None:
    made = codec()
    encoded = at(made, name).encode(image(20, 20))
    stream = Stream.unpack(encoded.data)
    forged = Stream(made.fingerprint, 22, 20, b"", stream.payloads, method=stream.method)
    with pytest.raises(StreamError, match="shape"):
        made.decode(forged.pack())


@pytest.mark.parametrize("mode", ["P", "RGBA", "I;16"])
def test_kinds_of_pictures_that_nobody_writes_are_refused(mode: str) -> None:
    """Where they have the size that they should."""
    made, file = codec(), io.BytesIO()
    PIL.Image.new(mode, (10, 10)).save(file, "PNG")
    forged = Stream(made.fingerprint, 20, 20, b"", (file.getvalue(),), method=METHODS.index("png"))
    with pytest.raises(StreamError, match=r"another kind of image|shape"):
        made.decode(forged.pack())


def test_a_file_of_many_scans_is_refused_unread() -> None:
    """Each is decoded over the whole image."""
    made, file = codec(), io.BytesIO()
    PIL.Image.new("RGB", (10, 10), "teal").save(file, "JPEG", progressive=True)
    data = file.getvalue()
    last = data[data.rindex(b"\xff\xda") : -2]
    forged = data[:-2] + 100 * last + data[-2:]
    stream = Stream(made.fingerprint, 20, 20, b"", (forged,), method=METHODS.index("jpeg"))
    with pytest.raises(StreamError, match="more scans than an encoder writes"):
        made.decode(stream.pack())


@pytest.mark.parametrize("options", [b"\x01", b""])
def test_parts_that_nobody_writes_are_refused(options: bytes) -> None:
    made = codec()
    stream = Stream.unpack(made.encode(image(9, 9)).data)
    forged = Stream(
        stream.fingerprint, 9, 9, b"" if options else b"\x80\x00", stream.payloads, options=options
    )
    with pytest.raises(StreamError, match=r"options|checksum of latents"):
        made.decode(forged.pack())


def test_unknown_inner_coders_are_refused() -> None:
    made = codec()
    info = CodecInfo("", "", learned=True, model="icm_irm")
    with pytest.raises(UserError, match="Unknown inner coder 'zip'; choose one of huffman, "):
        CompactCodec(made.net, info, inner="zip")
    with pytest.raises(UserError, match="quality of jpeg must be"):
        CompactCodec(made.net, info, inner="jpeg", value=0)
