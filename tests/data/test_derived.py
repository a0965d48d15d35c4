import itertools
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from lic.data import BuiltinPhotos, DeadLeaves, ImageFolder
from lic.data.derived import Changed, Subset, Union, folder_part, sample, split_folder
from lic.data.images import resized
from lic.errors import UserError


def make(path: Path, value: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 6), (value, 0, 0)).save(path)
    return path


def folder(root: Path, names: str, first: int = 0) -> ImageFolder:
    for value, name in enumerate(names, first):
        make(root / f"{name}.png", value)
    return ImageFolder(root)


def test_a_union_keeps_order_and_numbers_names_that_occur_again(tmp_path: Path) -> None:
    parts = (
        folder(tmp_path / "one", "abc"),
        folder(tmp_path / "two", "Ad", 10),
        folder(tmp_path / "x", "a", 20),
    )
    images = Union(parts)
    assert len(images) == 6 and images.names == ("a", "b", "c", "A-2", "d", "a-3")
    assert [int(images[i][0, 0, 0]) for i in range(6)] == [0, 1, 2, 10, 11, 20]
    assert images.files == tuple(file for part in parts for file in part.files)
    for index in (-1, 6):
        with pytest.raises(IndexError):
            images[index]


def test_a_union_has_files_only_where_all_parts_have_them(tmp_path: Path) -> None:
    images = Union([folder(tmp_path, "a"), DeadLeaves(2, 8)])
    assert not hasattr(images, "files")
    assert images.names == ("a", "leaves-0000", "leaves-0001") and images[2].shape == (8, 8, 3)


def test_samples_hold_smaller_ones_and_some_of_every_part(tmp_path: Path) -> None:
    images = folder(tmp_path / "one", "abcdefghijklmnopqrstuvwxyz")
    samples = [sample(images, count).names for count in (3, 9, 26, 99)]
    assert [len(names) for names in samples] == [3, 9, 26, 26]
    assert all(set(a) < set(b) or a == b for a, b in itertools.pairwise(samples))
    assert list(samples[1]) == sorted(samples[1]) and samples[2] == images.names
    again = sample(folder(tmp_path / "two", "zyxwvutsrqponmlkjihgfedcba"), 3)
    assert again.names == samples[0], "by the names alone"
    assert [file.stem for file in again.files] == list(again.names)
    both = sample(Union([images, folder(tmp_path / "other", "0123456789")]), 18)
    assert {name.isdigit() for name in both.names} == {True, False}


def test_of_a_set_in_few_files_a_part_needs_them_all() -> None:
    class InOneFile(DeadLeaves):
        files = (Path("all.bin"),)

    part = Subset(InOneFile(4, 8), [3, 1])
    assert part.files == (Path("all.bin"),) and part.names == ("leaves-0003", "leaves-0001")
    assert np.array_equal(part[0], DeadLeaves(4, 8)[3])


def test_changed_images_keep_their_names() -> None:
    photos = BuiltinPhotos("test")
    images = Changed(photos, lambda image: resized(image, (30, 20)))
    assert images.names == photos.names and len(images) == len(photos)
    assert np.array_equal(images[2], resized(photos[2], (30, 20)))


@pytest.mark.parametrize("count", [3, 10, 60])
def test_split_is_deterministic_disjoint_and_complete(tmp_path: Path, count: int) -> None:
    for i in range(count):
        make(tmp_path / "one" / f"{i}.png", i)
        make(tmp_path / "two" / f"{i}.png", i)
    parts = split_folder(ImageFolder(tmp_path / "one"))
    assert [part.names for part in parts] == [
        part.names for part in split_folder(ImageFolder(tmp_path / "two"))
    ]
    names = [name for part in parts for name in part.names]
    assert sorted(names) == sorted(ImageFolder(tmp_path / "one").names)
    assert all(1 <= len(part) <= max(2, count // 6) for part in parts[1:])
    assert parts[1][0][0, 0, 0] == int(parts[1].names[0])


def test_split_of_a_folder_stays_when_images_are_added(tmp_path: Path) -> None:
    for i in range(60):
        make(tmp_path / f"{i}.png")
    before = split_folder(ImageFolder(tmp_path))
    for i in range(60, 80):
        make(tmp_path / f"{i}.png")
    after = split_folder(ImageFolder(tmp_path))
    assert all(set(a.names) <= set(b.names) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_the_share_of_validation_is_as_asked_and_moves_no_test_image(tmp_path: Path, share: float) -> None:
    for i in range(400):
        (tmp_path / f"{i}.png").touch()
    images = ImageFolder(tmp_path)
    train, valid, test = split_folder(images, share)
    assert 0.7 * share < len(valid) / 400 < 1.4 * share
    assert test.names == split_folder(images)[2].names and len(train) + len(valid) + len(test) == 400


def test_a_folder_and_its_share_for_validation(tmp_path: Path) -> None:
    folder(tmp_path / "photos" / "sub", "abcdefghijklmnopqrstuvwxyz")

    def part(name: Literal["train", "valid"], share: float) -> set[str]:
        return set(folder_part(tmp_path, "photos", name, share).names)

    for share, valid in ((0.0, 1), (0.2, 5), (1.0, 25)):
        assert len(part("valid", share)) == valid
        assert part("train", share) == set(ImageFolder(tmp_path / "photos").names) - part("valid", share)
    assert part("valid", 0.2) < part("valid", 0.5)
    make(tmp_path / "alone" / "a.png")
    with pytest.raises(UserError, match="alone holds one image, too few for training and validation"):
        folder_part(tmp_path, "alone", "train", 0.2)


def test_split_of_two_images_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "a.png")
    make(tmp_path / "b.png")
    with pytest.raises(UserError, match="too few to split"):
        split_folder(ImageFolder(tmp_path))
