"""Python in three calls, on the codec that `lic.load` gives."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, assert_type

import numpy as np
import pytest
import torch
from PIL import Image

import lic
from lic.codecs.base import CodecInfo, FileCodec
from lic.codecs.classical import PillowCodec
from lic.data import Pixels
from lic.errors import UserError

from ..saved import save_run


@pytest.fixture(scope="module")
def codec(make_net: Any, tmp_path_factory: pytest.TempPathFactory) -> FileCodec:
    options = {"name": "hyperprior", "kernel_size": 3, "aux_kernel_size": 3, "width": 8}
    run = tmp_path_factory.mktemp("run")
    save_run(run, make_net(**options), options)
    return lic.load(run)


@pytest.fixture(scope="module")
def images() -> list[Pixels]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (40 + i, 70 - 3 * i, 3), dtype=np.uint8) for i in range(8)]


def test_one_picture_in_every_form_is_one_file(codec: FileCodec, images: list[Pixels]) -> None:
    image = images[0]
    data = codec.encode(image).data
    chw = torch.tensor(image).permute(2, 0, 1)
    assert codec.compress(Image.fromarray(image)) == codec.compress(image) == data
    assert codec.compress(chw) == codec.compress(chw / 255) == codec.compress(chw[None]) == data
    picture, array, tensor = (codec.decompress(data, into) for into in ("pil", "numpy", "tensor"))
    assert_type(codec.decompress(data), Image.Image)
    assert_type(codec.decompress(data, into="numpy"), Pixels)
    assert_type(codec.decompress(data, into="tensor"), torch.Tensor)
    assert isinstance(picture, Image.Image) and picture.mode == "RGB" and picture.size == (70, 40)
    assert isinstance(array, np.ndarray) and (array == codec.decode(data)).all()
    assert isinstance(tensor, torch.Tensor) and tensor.dtype == torch.uint8 and tensor.shape == (3, 40, 70)
    assert (np.asarray(picture) == array).all() and (tensor.permute(1, 2, 0).numpy() == array).all()


def test_bad_input_is_a_sentence(codec: FileCodec, images: list[Pixels]) -> None:
    with pytest.raises(UserError, match="lic cannot code this ndarray of float64"):
        codec.compress(images[0] / 255)
    data = codec.compress(images[0])
    with pytest.raises(UserError, match="'pil', 'numpy' or 'tensor'"):
        codec.decompress(data, into="list")  # type: ignore[call-overload]
    with pytest.raises(UserError):
        codec.decompress(data[:-1])


@pytest.mark.parametrize(
    "data",
    [None, 123, "x", [1], np.zeros(9, np.uint8), torch.zeros(9), np.float32(1), Image.new("L", (1, 1))],
)
def test_what_is_no_data_is_a_sentence(codec: FileCodec, data: Any) -> None:
    for any_codec in (codec, PillowCodec("jpeg", 80)):
        with pytest.raises(UserError, match=r"decode this \w+: give the whole file as bytes, bytearray or"):
            any_codec.decompress(data)


def test_every_kind_of_bytes_is_data(codec: FileCodec, images: list[Pixels]) -> None:
    data = codec.compress(images[0])
    expected = codec.decode(data)
    for same in (bytearray(data), memoryview(data), memoryview(b"".join(bytes([b, 0]) for b in data))[::2]):
        assert (codec.decompress(same, into="numpy") == expected).all()


def test_every_codec_has_the_calls(images: list[Pixels]) -> None:
    jpeg = PillowCodec("jpeg", 80)
    data = jpeg.compress(torch.tensor(images[0]).permute(2, 0, 1))
    assert (jpeg.decompress(data, "numpy") == jpeg.decode(jpeg.encode(images[0]).data)).all()
    assert jpeg.decompress(data, "tensor").shape == (3, 40, 70)


def test_threads_share_a_codec(codec: FileCodec, images: list[Pixels]) -> None:
    def there_and_back(image: Pixels) -> tuple[bytes, bytes]:
        data = codec.compress(image)
        return data, codec.decompress(data, into="numpy").tobytes()

    alone = [there_and_back(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(there_and_back, 4 * images)) == 4 * alone


def test_a_new_codec_needs_encode_and_decode_only(images: list[Pixels]) -> None:
    class Constant(FileCodec):
        suffix, info = ".c", CodecInfo("constant", "none", learned=False, model="constant")

        def encode(self, image: Pixels) -> Any:
            raise NotImplementedError

        def decode(self, data: bytes) -> Pixels:
            return np.full((2, 3, 3), data[0], np.uint8)

    assert np.asarray(Constant().decompress(b"\7")).tolist() == [[[7] * 3] * 3] * 2


def test_load_refuses_what_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere does not exist"):
        lic.load(tmp_path / "nowhere")
    assert not hasattr(lic, "lode")


def test_a_codec_says_what_it_is() -> None:
    assert repr(PillowCodec("jpeg", 50)) == "<PillowCodec JPEG 4:2:0, quality 50>"
