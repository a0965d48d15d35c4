from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lic.data import BuiltinPhotos, ImageFolder, to_pil
from lic.errors import UserError

GRAY = ("camera", "coins", "grass")


def make(path: Path, value: int = 0, size: tuple[int, int] = (4, 6)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, 0, 0)).save(path)
    return path


def test_folder_is_recursive_sorted_and_sees_all_suffixes(tmp_path: Path) -> None:
    for value, name in enumerate(["b.PNG", "a/z.jpg", "a.webp", "A.bmp", "c.JPeG"]):
        make(tmp_path / name, value)
    for name in (".hidden.png", "__MACOSX/._b.png", ".cache/x.png"):
        make(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    images = ImageFolder(tmp_path)
    assert [p.relative_to(tmp_path).as_posix() for p in images.files] == [
        "A.bmp",
        "a/z.jpg",
        "a.webp",
        "b.PNG",
        "c.JPeG",
    ]
    assert images.names == ("A", "a-z", "a-2", "b", "c")
    assert len(images) == 5
    assert images[3].shape == (6, 4, 3) and images[0][0, 0, 0] == 3
    with pytest.raises(IndexError):
        images[5]


def test_names_are_unique_even_when_a_number_is_taken(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "a-2.png", "a/2.png", "a.bmp"):
        make(tmp_path / name)
    names = ImageFolder(tmp_path).names
    assert len(set(names)) == 5 and all("/" not in name for name in names)


def test_folders_without_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no image"):
        ImageFolder(tmp_path)
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(UserError, match="holds no image"):
        ImageFolder(tmp_path)
    with pytest.raises(UserError, match="is not a folder"):
        ImageFolder(tmp_path / "none")
    with pytest.raises(UserError, match="is not a folder"):
        ImageFolder(tmp_path / "a.txt")


def test_builtin_photos_are_there_and_distinct() -> None:
    valid, test = BuiltinPhotos("valid"), BuiltinPhotos("test")
    assert test.names == ("astronaut", "chelsea", "coffee", "motorcycle_left")
    assert not set(valid.names) & set(test.names)
    thumbnails = []
    for images in (valid, test):
        for i in range(len(images)):
            assert images[i].dtype == np.uint8 and images[i].shape[2] == (1 if images.names[i] in GRAY else 3)
            small = to_pil(images[i]).convert("RGB").resize((16, 16))
            thumbnails.append(np.asarray(small).astype(float).ravel())
    likeness = np.corrcoef(thumbnails)
    np.fill_diagonal(likeness, 0)
    assert likeness.max() < 0.9
