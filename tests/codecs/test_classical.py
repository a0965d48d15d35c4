import io
import math

import numpy as np
import pytest
from PIL import Image

from lic.codecs.classical import PillowCodec, classical_codecs
from lic.data import BuiltinPhotos
from lic.data.images import Pixels
from lic.errors import UserError


@pytest.fixture(scope="module")
def photo() -> Pixels:
    return BuiltinPhotos("test")[1][:123, :157]


@pytest.mark.parametrize("name", ["jpeg", "webp"])
def test_files_are_what_pillow_writes_and_reads(name: str, photo: Pixels) -> None:
    codec = PillowCodec(name, 50)
    encoded = codec.encode(photo)
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, name, quality=50)
    assert encoded.data == buffer.getvalue()
    expected = np.asarray(Image.open(io.BytesIO(encoded.data)).convert("RGB"))
    decoded = codec.decode(encoded.data)
    assert np.array_equal(decoded, expected) and np.array_equal(decoded, encoded.reconstruct())
    assert 0 < np.abs(decoded.astype(int) - photo).mean() < 10
    assert math.isnan(encoded.estimate_bits())


@pytest.mark.parametrize("quality", [5, 50, 95])
@pytest.mark.parametrize("name", ["jpeg", "webp"])
def test_gray_comes_back_gray(name: str, quality: int, photo: Pixels) -> None:
    codec, gray = PillowCodec(name, quality), photo[..., 1:2]
    encoded = codec.encode(gray)
    buffer = io.BytesIO()
    Image.fromarray(gray[..., 0]).save(buffer, name, quality=quality)
    mark = 8 if name == "webp" else 0
    assert len(encoded.data) == buffer.tell() + mark and encoded.data[8:][:99] == buffer.getvalue()[8:][:99]
    decoded = codec.decode(encoded.data)
    assert decoded.shape == gray.shape and np.array_equal(decoded, encoded.reconstruct())
    with Image.open(io.BytesIO(encoded.data)) as image:  # the mark is nothing to other readers
        seen = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(seen - decoded).max() <= 1
    assert np.abs(decoded.astype(int) - gray).mean() < {5: 20, 50: 6, 95: 3}[quality]
    assert codec.decompress(encoded.data).mode == "L"


@pytest.mark.parametrize("name", ["jpeg", "webp"])
def test_a_gray_picture_in_colour_stays_one_in_colour(name: str, photo: Pixels) -> None:
    codec, picture = PillowCodec(name, 50), photo[..., 1:2].repeat(3, 2)
    assert codec.decode(codec.encode(picture).data).shape == picture.shape


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (1, 70), (70, 1), (17, 33)])
@pytest.mark.parametrize("name", ["jpeg", "webp"])
def test_any_size_codes(name: str, size: tuple[int, int], channels: int, photo: Pixels) -> None:
    image = photo[: size[0], : size[1], :channels]
    codec = PillowCodec(name, 80)
    assert codec.decode(codec.encode(image).data).shape == image.shape


@pytest.mark.parametrize("name", ["jpeg", "webp"])
def test_a_curve_rises_with_quality(name: str, photo: Pixels) -> None:
    codecs = classical_codecs(name).values()
    sizes = [len(codec.encode(photo).data) for codec in codecs]
    errors = [
        np.square(codec.decode(codec.encode(photo).data) - photo.astype(float)).mean() for codec in codecs
    ]
    assert len(codecs) == 12 and sizes == sorted(sizes) and errors == sorted(errors, reverse=True)
    assert len({codec.info.curve for codec in codecs}) == 1
    assert len({codec.info.setting for codec in codecs}) == 12
    assert not any(codec.info.learned for codec in codecs)


@pytest.mark.parametrize("name", ["jpeg", "webp"])
@pytest.mark.parametrize("damage", ["text", "empty", "cut", "other format"])
def test_other_files_are_refused(name: str, damage: str, photo: Pixels) -> None:
    data = PillowCodec(name, 50).encode(photo).data
    other = PillowCodec({"jpeg": "webp", "webp": "jpeg"}[name], 50).encode(photo).data
    given = {"text": b"hello", "empty": b"", "cut": data[: len(data) // 2], "other format": other}[damage]
    with pytest.raises(UserError, match="not a readable"):
        PillowCodec(name, 50).decode(given)


@pytest.mark.parametrize(
    ("name", "quality", "sentence"),
    [
        ("bpg", 50, r"Unknown codec 'bpg'; choose codec=jpeg or codec=webp"),
        ("jpeg", 0, r"quality of jpeg must be from 1 to 95, not 0"),
        ("webp", 96, r"from 1 to 95, not 96"),
    ],
)
def test_bad_choices_are_refused(name: str, quality: int, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        PillowCodec(name, quality)
