import io
import math
import random
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, features

from lic import plugins
from lic.codecs.base import FileCodec
from lic.codecs.classical import CODECS, PillowCodec, classical_codec
from lic.codecs.formats import FORMATS
from lic.data import BuiltinPhotos
from lic.data.images import Pixels
from lic.errors import UserError

SAVED: dict[str, dict[str, Any]] = {
    "jpeg": {"format": "JPEG", "quality": 50},
    "jpeg_444": {"format": "JPEG", "quality": 50, "subsampling": "4:4:4"},
    "jpeg2000": {
        "format": "JPEG2000", "quality_mode": "rates", "quality_layers": [24], "irreversible": True, "mct": 1
    },
    "webp": {"format": "WEBP", "quality": 50},
    "avif": {"format": "AVIF", "quality": 50, "max_threads": 1},
    "png": {"format": "PNG"},
    "bmp": {"format": "BMP"},
}  # fmt: skip
"""What Pillow is asked for by hand."""
QUALITY = ("jpeg", "jpeg_444", "webp", "avif")
LOSSY, LOSSLESS = (*QUALITY, "jpeg2000"), ("png", "bmp")
every = pytest.mark.parametrize("name", CODECS)


@pytest.fixture(scope="module")
def photo() -> Pixels:
    return BuiltinPhotos("test")[1][:123, :157]


def saved(name: str, image: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image).save(buffer, **SAVED[name])
    return buffer.getvalue()


def middle(name: str) -> int | None:
    return {"jpeg2000": 24, **dict.fromkeys(QUALITY, 50)}.get(name)


@every
def test_files_are_what_pillow_writes_and_reads(name: str, photo: Pixels) -> None:
    codec = PillowCodec(name, middle(name))
    encoded = codec.encode(photo)
    assert encoded.data == saved(name, photo)
    expected = np.asarray(Image.open(io.BytesIO(encoded.data)).convert("RGB"))
    decoded = codec.decode(encoded.data)
    assert np.array_equal(decoded, expected) and np.array_equal(decoded, encoded.reconstruct())
    assert np.abs(decoded.astype(int) - photo).mean() < 10
    assert (decoded == photo).all() == (name in LOSSLESS)
    assert math.isnan(encoded.estimate_bits())


@pytest.mark.parametrize("value", [5, 50, 95])
@pytest.mark.parametrize("name", QUALITY)
def test_gray_comes_back_gray(name: str, value: int, photo: Pixels) -> None:
    codec, gray = PillowCodec(name, value), photo[..., 1:2]
    encoded = codec.encode(gray)
    buffer = io.BytesIO()
    chroma = {"subsampling": "4:0:0"} if name == "avif" else {}  # none, which older Pillows are to be told
    Image.fromarray(gray[..., 0]).save(buffer, **SAVED[name] | {"quality": value} | chroma)
    mark = 8 if name == "webp" else 0
    assert len(encoded.data) == buffer.tell() + mark and encoded.data[8:][:99] == buffer.getvalue()[8:][:99]
    decoded = codec.decode(encoded.data)
    assert decoded.shape == gray.shape and np.array_equal(decoded, encoded.reconstruct())
    with Image.open(io.BytesIO(encoded.data)) as image:  # the mark is nothing to other readers
        seen = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(seen - decoded).max() <= 1
    assert np.abs(decoded.astype(int) - gray).mean() < {5: 20, 50: 6, 95: 3}[value]
    assert codec.decompress(encoded.data).mode == "L"


@pytest.mark.parametrize("name", [*LOSSLESS, "jpeg2000"])
def test_gray_needs_no_mark(name: str, photo: Pixels) -> None:
    codec, gray = classical_codec(name), photo[..., 1:2]
    data = codec.encode(gray).data
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == "L" and np.array_equal(np.asarray(image)[..., None], codec.decode(data))
    assert len(data) < len(codec.encode(photo).data)


@every
def test_a_gray_picture_in_colour_stays_one_in_colour(name: str, photo: Pixels) -> None:
    codec, picture = classical_codec(name), photo[..., 1:2].repeat(3, 2)
    assert codec.decode(codec.encode(picture).data).shape == picture.shape


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (1, 70), (70, 1), (17, 33)])
@every
def test_any_size_codes(name: str, size: tuple[int, int], channels: int, photo: Pixels) -> None:
    image = photo[: size[0], : size[1], :channels]
    codec = PillowCodec(name, 6 if name == "jpeg2000" else None)
    decoded = codec.decode(codec.encode(image).data)
    assert decoded.shape == image.shape and np.abs(decoded.astype(int) - image).mean() < 20
    assert name not in LOSSLESS or (decoded == image).all()


@pytest.mark.parametrize("name", LOSSY)
def test_a_curve_rises_with_its_settings(name: str, photo: Pixels) -> None:
    settings = classical_codec(name).settings
    codecs = list(settings.values())
    sizes = [len(codec.encode(photo).data) for codec in codecs]
    errors = [
        np.square(codec.decode(codec.encode(photo).data) - photo.astype(float)).mean() for codec in codecs
    ]
    assert len(codecs) == 12 and sizes == sorted(sizes) and errors == sorted(errors, reverse=True)
    assert len({codec.info.key for codec in codecs}) == len({codec.info.curve for codec in codecs}) == 1
    assert len({codec.info.setting for codec in codecs}) == 12
    assert not any(codec.info.learned for codec in codecs)
    for setting, codec in settings.items():
        assert setting == f"{name}-{codec.info.options[codec.info.moving[0]]}"
    assert np.array_equal(codecs[0].decode(data := codecs[9].encode(photo).data), codecs[9].decode(data))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_ratio_is_that_of_the_whole_file(channels: int) -> None:
    image = BuiltinPhotos("test")[1][..., :channels]
    for ratio in (8, 24, 48):
        assert image.size / len(PillowCodec("jpeg2000", ratio).encode(image).data) == pytest.approx(
            ratio, rel=0.03
        )


@pytest.mark.parametrize("name", LOSSLESS)
def test_without_loss_there_is_one_setting(name: str) -> None:
    codec = classical_codec(name)
    assert dict(codec.settings) == {name: codec}
    assert codec.info.setting == "lossless" and codec.info.moving == []


def test_curves_are_told_apart() -> None:
    codecs = [make() for make in CODECS.values()]
    assert len({codec.info.curve for codec in codecs}) == len({codec.info.key for codec in codecs}) == 7


@every
def test_the_library_and_its_version_are_said(name: str) -> None:
    library = str(classical_codec(name).info.options["library"])
    feature = next(key for key in FORMATS[name].libraries if features.check(key))
    said, version = library.rsplit(" ", 1)
    assert said == FORMATS[name].libraries[feature] and version == features.version(feature)


def test_threads_of_the_machine_change_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its defaults, an AVIF file of this image is another with two cores than with one."""
    rows, columns = np.mgrid[:520, :1040]
    noise = np.random.default_rng(0).normal(0, 8, rows.shape)
    waves = (128 + 100 * np.sin(rows / 14) * np.cos(columns / 17) + noise).clip(0, 255).astype(np.uint8)
    image = waves[..., None].repeat(3, 2)
    files, ours = set(), set()
    for count in (1, 2):
        monkeypatch.setattr("PIL.AvifImagePlugin._get_default_max_threads", lambda count=count: count)
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "AVIF", quality=50)
        files.add(buffer.getvalue())
        ours.add(PillowCodec("avif", 50).encode(image).data)
    assert len(files) > 1 and len(ours) == 1


@pytest.mark.parametrize("damage", ["text", "empty", "cut", "other format"])
@every
def test_other_files_are_refused(name: str, damage: str, photo: Pixels) -> None:
    data = classical_codec(name).encode(photo).data
    other = classical_codec("png" if name != "png" else "jpeg").encode(photo).data
    given = {"text": b"hello", "empty": b"", "cut": data[: len(data) // 2], "other format": other}[damage]
    with pytest.raises(UserError, match=f"^This is not a readable {FORMATS[name].label} file: [^<\n]*\\.$"):
        classical_codec(name).decode(given)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@every
def test_damaged_files_are_an_image_or_a_sentence(name: str, photo: Pixels) -> None:
    codec, rng = classical_codec(name), random.Random(name)
    intact = codec.encode(photo[:37, :53]).data
    refused = 0
    for _ in range(150):
        data = bytearray(intact)
        for _ in range(rng.choice((1, 4))):
            data[rng.randrange(min(len(data), rng.choice((64, 400, len(data)))))] = rng.randrange(256)
        try:
            codec.decode(bytes(data))
        except UserError as error:
            refused += 1
            assert str(error).endswith(".") and "\n" not in str(error) and len(str(error)) < 300
    assert refused


def test_a_bomb_is_refused(photo: Pixels) -> None:
    data = PillowCodec("png").encode(photo).data
    header = b"IHDR" + struct.pack(">II", 40_000, 5_000) + data[24:29]
    with pytest.raises(UserError, match=r"not a readable PNG file: .* could be decompression bomb .*\.$"):
        PillowCodec("png").decode(data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:])


@every
def test_another_shape_is_refused_before_its_pixels_are_read(
    name: str, photo: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = PillowCodec(name)
    for image in (photo, photo[..., :1]):
        data = codec.encode(image).data
        assert np.array_equal(codec.decode(data, image.shape), codec.decode(data))
        with monkeypatch.context() as patch:
            patch.setattr(Image.Image, "convert", None)
            for shape in ((123, 157, 4 - image.shape[2]), (157, 123, image.shape[2]), (1, 1, 1)):
                with pytest.raises(UserError, match=r"shape \(123, 157, [13]\) where \(\d+, \d+, [13]\) was"):
                    codec.decode(data, shape)


@pytest.mark.parametrize(
    ("name", "longest"), [("webp", 16383), ("jpeg", 65500), ("jpeg_444", 65500), ("avif", 32768)]
)
def test_the_largest_side(name: str, longest: int) -> None:
    codec = classical_codec(name)
    for size in ((1, longest), (longest, 1)):
        image = np.zeros((*size, 1), np.uint8)
        assert codec.decode(codec.encode(image).data).shape == image.shape
    with pytest.raises(
        UserError, match=f"^An image of {longest + 1}x1 pixels is too large for .* {longest};"
    ):
        codec.encode(np.zeros((1, longest + 1, 3), np.uint8))


@pytest.mark.parametrize("name", ["png", "bmp", "jpeg2000"])
def test_others_have_no_largest_side(name: str) -> None:
    codec = classical_codec(name)
    assert codec.decode(codec.encode(np.zeros((1, 70_000, 3), np.uint8)).data).shape == (1, 70_000, 3)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("bpg", 50, r"no 'bpg' for lic; choose one of jpeg, jpeg_444, jpeg2000, webp, avif, png, bmp\."),
        ("jpeg", 0, r"quality of jpeg must be a whole number from 1 to 95, not 0\."),
        ("webp", 96, r"from 1 to 95, not 96\."),
        ("avif", True, r"from 1 to 95, not True\."),
        ("jpeg2000", 1, r"ratio of jpeg2000 must be a whole number from 2 to 1000, not 1\."),
        ("png", 50, r"PNG is lossless: it has no setting 50; leave that out\."),
    ],
)
def test_bad_choices_are_refused(name: str, value: int, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        PillowCodec(name, value)


def test_a_pillow_without_a_format_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(features.modules, "avif")  # as Pillow before 11.3
    with pytest.raises(
        UserError, match=r"^Pillow [\d.]+ was built without AVIF; install .* or leave out avif"
    ):
        classical_codec("avif")
    monkeypatch.setattr(features, "check", lambda feature: feature != "webp")
    with pytest.raises(UserError, match=r"built without WebP"):
        classical_codec("webp")
    assert classical_codec("jpeg").info.curve == "JPEG 4:2:0"


class Own(PillowCodec):
    def __init__(self) -> None:
        super().__init__("png")


@pytest.mark.parametrize(
    ("offered", "sentence"),
    [
        (Own, r"settings of own, .* must begin with own, .*; 'png' does not\."),
        (dict, r"^own, which an installed package offers in lic.codecs, makes no FileCodec\."),
    ],
)
def test_what_another_package_offers_is_checked(
    offered: Any, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugins, "names", {"lic.codecs": ("own",)}.get)
    monkeypatch.setattr(plugins, "load", lambda group, name: offered)
    with pytest.raises(UserError, match=sentence):
        classical_codec("own")
    with pytest.raises(UserError, match=r"^Unknown codec 'bpg'; choose one of jpeg, .*, png, bmp, own\.$"):
        classical_codec("bpg")


def test_a_table_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CODECS, "mine", Own)
    assert isinstance(classical_codec("mine"), FileCodec)
