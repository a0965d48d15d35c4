from pathlib import Path

import numpy as np
import pytest

from lic.data import cifar10, stl10
from lic.errors import UserError


def test_cifar10_planes_behind_a_label(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    (tmp_path / "cifar10").mkdir()
    for file, label in (("test_batch", 7), *((f"data_batch_{i}", i) for i in range(1, 6))):
        records = [bytes([label]) + image.transpose(2, 0, 1).tobytes() for image in images]
        (tmp_path / "cifar10" / f"{file}.bin").write_bytes(b"".join(records))
    test, train = cifar10(tmp_path, "test"), cifar10(tmp_path, "train")
    assert (
        len(test) == 3 and len(cifar10(tmp_path, "valid")) == 3 and len(train) == len(set(train.names)) == 12
    )
    assert test.names[2] == "test_batch-000002"
    assert all((test[i] == images[i]).all() and (train[9 + i] == images[i]).all() for i in range(3))
    with pytest.raises(IndexError):
        test[3]


def test_stl10_runs_down_the_columns(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    (tmp_path / "stl10").mkdir()
    (tmp_path / "stl10" / "test_X.bin").write_bytes(2 * image.transpose(2, 1, 0).tobytes())
    images = stl10(tmp_path, "test")
    assert len(images) == 2 and (images[1] == image).all()


def test_missing_and_damaged_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"test_X\.bin does not exist"):
        stl10(tmp_path, "test")
    (tmp_path / "cifar10").mkdir()
    for content in (b"", b"x" * 3074):
        (tmp_path / "cifar10" / "test_batch.bin").write_bytes(content)
        with pytest.raises(UserError, match="not made of records of 3073 bytes"):
            cifar10(tmp_path, "test")
