from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from torch import zeros
from torch.utils.data import TensorDataset

from lic.data import BuiltinPhotos, DeadLeaves, ImageData, ImageFolder
from lic.data.checks import check_images, check_names, check_patches
from lic.errors import UserError


class Own:
    """An image set of somebody's own."""

    def __init__(
        self, image: Any = None, names: tuple[Any, ...] = ("a", "b"), length: int | None = None
    ) -> None:
        self.image = np.zeros((4, 6, 3), np.uint8) if image is None else image
        self.names, self.length = names, len(names) if length is None else length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        return self.image


@pytest.mark.parametrize("images", [Own(), Own(np.zeros((1, 1, 1), np.uint8)), BuiltinPhotos("valid")])
def test_image_sets_pass(images: Any) -> None:
    assert check_images(images, "data.test") is images
    check_names(images, "data.test")


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (TensorDataset(zeros(3)), "data.test is a TensorDataset, which lacks what an image set has"),
        (["a.png"], "data.test is a list, which lacks"),
        (Own(names=()), "has 0 names for 0 images"),
        (Own(length=3), "has 2 names for 3 images"),
        (Own(zeros(3, 4, 4)), r"first image of data.test is a Tensor of torch.float32 \[3, 4, 4\]; give"),
        (Own(np.zeros((4, 4, 3))), r"is a ndarray of float64 \[4, 4, 3\]"),
        (Own(np.zeros((4, 4), np.uint8)), r"uint8 \[4, 4\]; give a set of uint8 arrays \[H, W, 3\]"),
        (Own(np.zeros((3, 4, 4), np.uint8)), r"uint8 \[3, 4, 4\]"),
        (Own(np.zeros((0, 4, 3), np.uint8)), r"uint8 \[0, 4, 3\]"),
        (Own("a.png"), "is a str"),
        (Own(names=("a", "x/b")), "an image called 'x/b', which no file can be called"),
        (Own(names=("..", "b")), "called '..', which"),
        (Own(names=("", "b")), "called ''"),
        (Own(names=("a\\b", "b")), r"called 'a\\\\b'"),
        (Own(names=(Path("a"), "b")), "called PosixPath"),
        (Own(names=("a", "ü" * 121)), "at most 240 bytes"),
        (Own(names=("a", "A")), "has 2 images called 'a'; give each a name of its own"),
    ],
)
def test_what_is_no_image_set_is_refused_before_the_work(images: Any, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as caught:
        _ = ImageData(test=cast(Any, lambda root: images), root=".").test_set
    assert "\n" not in str(caught.value)


def test_an_unreadable_first_image_is_not_the_checks_business(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"bad")
    assert len(check_images(ImageFolder(tmp_path), "data.train")) == 1


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (1, 1, 8, 8)])
def test_patches_pass(shape: tuple[int, ...]) -> None:
    check_patches(_source(np.zeros(shape, np.uint8)), 8)


@pytest.mark.parametrize(
    "patches",
    [
        zeros(1, 3, 8, 8),
        np.zeros((1, 8, 8, 3), np.uint8),
        np.zeros((1, 3, 8, 8)),
        np.zeros((3, 8, 8), np.uint8),
    ],
)
def test_other_patches_are_refused_before_the_training(patches: Any) -> None:
    with pytest.raises(UserError, match=r"patches of data.train are a .* give uint8 arrays \[N, 3, 8, 8\]"):
        ImageData(train=_source(patches), patch_size=8).prepare_data()


def _source(patches: Any) -> Any:
    class Source(DeadLeaves):
        def patches(self, key: tuple[int, int], items: range, size: int) -> Any:
            return patches

    return Source()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"channels": 2}, r"data.channels must be 1 \(gray\) or 3 \(colour\), not 2"),
        ({"channels": True}, "data.channels must be 1"),
        ({"batch_size": 0}, "data.batch_size must be a positive whole number, not 0"),
        ({"patch_size": True}, "data.patch_size must be a positive whole number, not True"),
        ({"epoch_batches": 0}, "data.epoch_batches must be a positive whole number or null, not 0"),
        ({"train_limit": 1.5}, "data.train_limit must be a positive whole number or null, not 1.5"),
        ({"vertical_flips": 1}, "data.vertical_flips must be true or false, not 1"),
        ({"rotations": "yes"}, "data.rotations must be true .*, any or false, not 'yes'"),
        ({"valid_share": 0}, "data.valid_share must be a share such as 0.2, below 0.9, or null, not 0"),
        ({"valid_share": 0.95}, "data.valid_share must be a share"),
        ({"valid_share": True}, "data.valid_share must be a share"),
        ({"valid_share": 0.2, "train": "a"}, "data.valid_share is of a folder that is split.*leave it out"),
        ({"test_size": 256}, r"data.test_size must be \[WIDTH,HEIGHT\] in pixels or null, not 256"),
        ({"test_size": [256, 0]}, r"or null, not \[256, 0\]"),
        ({"test_size": [1, 2, 3]}, r"or null, not \[1, 2, 3\]"),
        ({"test_size": "256"}, "or null, not '256'"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        ImageData(**options)
