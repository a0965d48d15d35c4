import hashlib
import json
import logging
import multiprocessing
import pickle
from collections import Counter
from collections.abc import Callable
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from lic.data import CachedImages, ImageFolder, Pixels, read_image, write_png
from lic.data.derived import Union
from lic.data.images import with_channels
from lic.errors import UserError
from lic.foreign import LARGEST_JSON


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for i, shape in enumerate([(40, 50, 3), (32, 32, 3), (60, 33, 3)]):
        write_png(tmp_path / "photos" / f"{i}.png", rng.integers(0, 256, shape, dtype=np.uint8))
    return tmp_path / "photos"


def test_patches_are_crops_and_half_are_mirrored(photos: Path) -> None:
    patches = CachedImages(ImageFolder(photos), 32).patches((0, 0), range(400), 32)
    assert patches.shape == (400, 3, 32, 32) and patches.dtype == np.uint8
    windows = {}
    for path in photos.iterdir():
        image = read_image(path).transpose(2, 0, 1)
        for y in range(image.shape[1] - 31):
            for x in range(image.shape[2] - 31):
                crop = image[:, y : y + 32, x : x + 32]
                windows[crop.tobytes()] = path.name, y, x, False
                windows[crop[:, :, ::-1].tobytes()] = path.name, y, x, True
    seen = [windows[patch.tobytes()] for patch in patches]
    assert 150 < sum(mirrored for *_, mirrored in seen) < 250
    assert {name for name, *_ in seen} == {"0.png", "1.png", "2.png"}
    corners = {(y, x) for name, y, x, _ in seen if name == "0.png"}
    assert {y for y, _ in corners} == set(range(9)) and {x for _, x in corners} == set(range(19))


def test_patches_stay_what_they_were(photos: Path) -> None:
    """Numbers and pixels of a training must not change; gray photos among colour ones are repeated."""
    write_png(photos / "gray.png", np.random.default_rng(1).integers(0, 256, (45, 47, 1), dtype=np.uint8))
    patches = CachedImages(ImageFolder(photos), 32).patches((3, 7), range(16, 32), 32)
    assert hashlib.sha256(patches.tobytes()).hexdigest()[:16] == "a5e3739adfcc7823"


def test_gray_patches_are_the_luma_of_those_in_colour(photos: Path, cache: Path) -> None:
    write_png(photos / "gray.png", np.random.default_rng(1).integers(0, 256, (45, 47, 1), dtype=np.uint8))
    colour = CachedImages(ImageFolder(photos), 32).patches((3, 7), range(40), 32)
    gray = CachedImages(ImageFolder(photos), 32, channels=1).patches((3, 7), range(40), 32)
    assert gray.shape == (40, 1, 32, 32)
    for a, b in zip(colour, gray, strict=True):
        assert np.array_equal(with_channels(a.transpose(1, 2, 0), 1)[..., 0], b[0])
    assert 0 < sum((patch[0] == patch[1]).all() for patch in colour) < 40, "some are of the gray one"
    (file,) = cache.glob("*.gray")
    (other,) = cache.glob("*.rgb")
    assert 3 * file.stat().st_size == other.stat().st_size


def _turns(patch: Pixels) -> list[bytes]:
    flipped = [patch, patch[:, :, ::-1]]
    return [np.rot90(p, k, (1, 2)).tobytes() for p in flipped for k in range(4)]


@pytest.mark.parametrize("horizontal", [True, False])
@pytest.mark.parametrize(
    ("vertical", "rotations"), [(False, False), (True, False), (False, True), (True, True)]
)
def test_crops_stay_where_they_are_however_they_are_turned(
    photos: Path, horizontal: bool, vertical: bool, rotations: bool
) -> None:
    images = ImageFolder(photos)
    plain = CachedImages(images, 24, horizontal_flips=False).patches((1, 2), range(400), 24)
    source = CachedImages(
        images, 24, horizontal_flips=horizontal, vertical_flips=vertical, rotations=rotations
    )
    turned = source.patches((1, 2), range(400), 24)
    counts = Counter(_turns(a).index(b.tobytes()) for a, b in zip(plain, turned, strict=True))
    # four turns, then four mirrored ones; a vertical flip is a mirrored half turn
    single = {(False, False): {0}, (True, False): {0, 4}, (False, True): {0, 6}, (True, True): {0, 2, 4, 6}}
    mirrored = horizontal or vertical
    kinds = set(range(8 if mirrored else 4)) if rotations else single[horizontal, vertical]
    assert set(counts) == kinds
    assert all(abs(count - 400 / len(kinds)) < 5 * (400 / len(kinds)) ** 0.5 for count in counts.values())
    assert np.array_equal(source.patches((1, 2), range(100, 103), 24), turned[100:103])


def test_patches_turned_by_any_angle_depend_on_their_place_alone(photos: Path) -> None:
    """As with all else; and they are neither crops nor turned by right angles, where there is room."""
    source = CachedImages(ImageFolder(photos), 24, rotations="any")
    patches = source.patches((1, 2), range(60), 24)
    assert np.array_equal(source.patches((1, 2), range(20, 23), 24), patches[20:23])
    again = pickle.loads(pickle.dumps(source)).patches((1, 2), range(60), 24)
    assert np.array_equal(again, patches), "in another process, too"
    right = CachedImages(ImageFolder(photos), 24, rotations=True).patches((1, 2), range(60), 24)
    assert not any(np.array_equal(a, b) for a, b in zip(patches, right, strict=True))
    assert len({patch.tobytes() for patch in patches}) == 60


def test_an_image_of_a_patchs_size_is_turned_by_right_angles_alone(photos: Path) -> None:
    for name in ("0", "2"):
        (photos / f"{name}.png").unlink()
    images = ImageFolder(photos)  # 32x32
    tilted, right = (
        CachedImages(images, 32, vertical_flips=True, rotations=one).patches((1, 2), range(60), 32)
        for one in ("any", True)
    )
    assert np.array_equal(tilted, right)


def test_a_tilted_patch_shows_nothing_but_its_image(tmp_path: Path) -> None:
    """A ramp stays a ramp, as steep as before."""
    rows, columns = np.mgrid[:70, :80]
    ramp = np.stack([100 + rows, 100 + columns, 100 + (rows + columns) // 2], -1)
    write_png(tmp_path / "ramps" / "a.png", ramp.astype(np.uint8))
    patches = CachedImages(ImageFolder(tmp_path / "ramps"), 32, rotations="any").patches(
        (0, 0), range(200), 32
    )
    assert patches.min() >= 99, "nothing is black"
    down, right = (np.diff(patches[:, :2].astype(float), axis=a).mean((2, 3)) for a in (2, 3))
    np.testing.assert_allclose(np.hypot(down, right), 1, atol=0.03)
    angles = np.degrees(np.arctan2(right[:, 0], down[:, 0])) % 360
    assert all(np.histogram(angles, 8, (0, 360))[0] > 10), "of all directions"


def test_the_parts_of_a_union_are_decoded_once_for_all(
    photos: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(2)
    for i in range(2):
        write_png(tmp_path / "more" / f"{i}.png", rng.integers(0, 256, (50, 40, 3), dtype=np.uint8))
    parts = ImageFolder(photos), ImageFolder(tmp_path / "more")
    for part in parts:
        CachedImages(part, 32)
    with monkeypatch.context() as patch:
        patch.setattr(ImageFolder, "__getitem__", lambda *_: pytest.fail("decoded again"))
        images = CachedImages(Union(parts), 32)
    assert len(images) == 5 and len(list(cache.glob("*.rgb"))) == 2
    for name in ("0", "1", "2"):  # the same images in one folder give the same crops
        (tmp_path / "all").mkdir(exist_ok=True)
        (tmp_path / "all" / f"a{name}.png").write_bytes((photos / f"{name}.png").read_bytes())
    for name in ("0", "1"):
        (tmp_path / "all" / f"b{name}.png").write_bytes((tmp_path / "more" / f"{name}.png").read_bytes())
    together = CachedImages(ImageFolder(tmp_path / "all"), 32)
    assert np.array_equal(images.patches((0, 1), range(50), 32), together.patches((0, 1), range(50), 32))


def test_a_union_with_a_part_that_has_nothing_to_read(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "bad.png").write_bytes(b"bad")
    images = CachedImages(Union([ImageFolder(tmp_path / "bad"), ImageFolder(photos)]), 32)
    alone = CachedImages(ImageFolder(photos), 32)
    assert np.array_equal(images.patches((0, 1), range(9), 32), alone.patches((0, 1), range(9), 32))


class LongNames(ImageFolder):
    """As many bytes of names as 1.5 million images have."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.names = tuple(name.ljust(LARGEST_JSON // 2, "x") for name in self.names)


def test_the_index_may_be_as_large_as_the_set(
    photos: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    CachedImages(LongNames(photos), 32)
    monkeypatch.setattr(LongNames, "__getitem__", lambda *_: pytest.fail("decoded again"))
    assert len(CachedImages(LongNames(photos), 32)) == 3
    assert not caplog.records


def test_images_are_decoded_once(photos: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    CachedImages(ImageFolder(photos), 32)
    files = sorted(cache.iterdir())
    assert [path.suffix for path in files] == [".json", ".lock", ".rgb"]
    assert files[2].stat().st_size == sum(3 * h * w for h, w in [(40, 50), (32, 32), (60, 33)])
    with monkeypatch.context() as patch:
        patch.setattr(ImageFolder, "__getitem__", lambda *_: pytest.fail("decoded again"))
        CachedImages(ImageFolder(photos), 24)
    write_png(photos / "3.png", np.zeros((32, 32, 3), np.uint8))
    assert len(CachedImages(ImageFolder(photos), 32)) == 4
    assert len(list(cache.glob("*.rgb"))) == len(list(cache.glob("*.json"))) == 2


def test_unusable_images_are_named_and_skipped_each_time(
    photos: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (photos / "bad.png").write_bytes((photos / "0.png").read_bytes()[:200])
    write_png(photos / "tiny.png", np.zeros((31, 90, 3), np.uint8))
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert len(CachedImages(ImageFolder(photos), 32)) == 3
        assert [record.getMessage() for record in caplog.records] == [
            "Skipped 1 of 5 training images, smaller than the patches of 32 pixels: tiny",
            "Skipped 1 of 5 training images, unreadable: bad",
        ]


def test_refused_when_no_image_is_left(photos: Path) -> None:
    (photos / "bad.png").write_bytes(b"bad")
    with pytest.raises(UserError, match=r"None of the 4 training images .* 1 are unreadable, 3 too small"):
        CachedImages(ImageFolder(photos), 64)


def test_all_images_unreadable(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"bad")
    with pytest.raises(UserError, match="None of the 1 training images"):
        CachedImages(ImageFolder(tmp_path), 8)


def test_unwritable_cache(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LIC_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(UserError, match="LIC_CACHE"):
        CachedImages(ImageFolder(photos), 32)


def test_an_interrupted_build_leaves_nothing(
    photos: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("lic.data.cache.write_text", interrupt)
        with pytest.raises(KeyboardInterrupt):
            CachedImages(ImageFolder(photos), 32)
    assert not list(cache.glob("*.json"))
    assert len(CachedImages(ImageFolder(photos), 32)) == 3


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def _drop_a_shape(file: Path) -> None:
    index = json.loads(file.read_text())
    file.write_text(json.dumps(index | {"shapes": index["shapes"][1:]}))


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [
        (".rgb", _cut),
        (".rgb", Path.unlink),
        (".json", _cut),
        (".json", _drop_a_shape),
        (".json", lambda file: file.write_text("")),
        (".json", lambda file: file.write_text("[" * 200_000)),
        (".json", lambda file: file.write_bytes(b"\xff\0")),
        (".json", lambda file: file.write_text('{"names": [], "shapes": [], "unreadable": ["a"]}')),
        (".json", lambda file: file.write_text('{"names": 3, "shapes": [[1, "a"]], "unreadable": null}')),
    ],
)
def test_a_damaged_cache_is_made_anew(
    photos: Path, cache: Path, caplog: pytest.LogCaptureFixture, suffix: str, damage: Callable[[Path], object]
) -> None:
    expected = CachedImages(ImageFolder(photos), 32).patches((0, 0), range(8), 32)
    (victim,) = cache.glob(f"*{suffix}")
    whole = victim.read_bytes()
    damage(victim)
    with caplog.at_level(logging.WARNING):
        images = CachedImages(ImageFolder(photos), 32)
    assert (images.patches((0, 0), range(8), 32) == expected).all()
    (record,) = caplog.records
    assert "is damaged; it is made anew" in record.getMessage()
    assert victim.read_bytes() == whole and len(list(cache.iterdir())) == 3
    caplog.clear()
    CachedImages(ImageFolder(photos), 32)
    assert not caplog.records


def test_a_pickled_cache_carries_no_pixels(photos: Path) -> None:
    images = CachedImages(ImageFolder(photos), 32)
    expected = images.patches((0, 0), range(4), 32)
    data = pickle.dumps(images)
    assert len(data) < 2000
    assert (pickle.loads(data).patches((0, 0), range(4), 32) == expected).all()


class Counted(ImageFolder):
    decoded: ClassVar[list[int]] = []

    def __getitem__(self, index: int) -> Pixels:
        self.decoded.append(index)
        return super().__getitem__(index)


def _build_at(barrier: Barrier, photos: Path, sums: "Queue[tuple[int, int]]") -> None:
    barrier.wait()
    images_of = Counted(photos)
    images = CachedImages(images_of, 32)
    sums.put((int(images.patches((0, 0), range(64), 32).astype(int).sum()), len(images_of.decoded)))


def test_of_ten_processes_one_builds(photos: Path, cache: Path) -> None:
    rng = np.random.default_rng(1)
    for i in range(20):
        write_png(photos / f"more{i}.png", rng.integers(0, 256, (128, 128, 3), dtype=np.uint8))
    context = multiprocessing.get_context("fork")
    barrier, sums = context.Barrier(10), context.Queue()
    processes = [context.Process(target=_build_at, args=(barrier, photos, sums)) for _ in range(10)]
    for process in processes:
        process.start()
    found = [sums.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
    images = CachedImages(Counted(photos), 32)
    assert len(images) == 23
    assert [total for total, _ in found] == [
        int(images.patches((0, 0), range(64), 32).astype(int).sum())
    ] * 10
    assert sorted(decoded for _, decoded in found) == [0] * 9 + [23]
    assert len(list(cache.iterdir())) == 3
