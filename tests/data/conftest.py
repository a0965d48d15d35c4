"""What tests of image sets share."""

from pathlib import Path

import numpy as np
import pytest

from lic.data import write_png
from lic.data.images import Pixels


@pytest.fixture(autouse=True)
def _surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIC_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LIC_DATA", raising=False)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for i in range(12):
        folder = ("train", "valid", "test")[min(i % 6, 2)] if i < 6 else "train"
        write_png(
            tmp_path / "photos" / folder / f"{i}.png", rng.integers(0, 256, (24 + i, 40, 3), dtype=np.uint8)
        )
    return tmp_path / "photos"


@pytest.fixture
def pixels() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
