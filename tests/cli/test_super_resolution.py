"""What `lic` does with a network that is no codec: little, and it says so."""

from pathlib import Path
from typing import Any

import pytest

import lic as package
from lic.errors import UserError
from lic.models import build_model
from lic.store.load import load_network
from lic.store.objective import Objective

from ..made_enlargements import save_enlargement
from ..saved import save_run
from .conftest import Lic, Refused

OPTIONS: dict[str, Any] = {"name": "srgan", "width": 4, "blocks": 1}


@pytest.fixture
def generator(tmp_path: Path) -> str:
    """The folder of a run."""
    save_run(
        tmp_path / "generator",
        build_model(**OPTIONS),
        OPTIONS,
        objective=Objective({"distortion": "mse"}, "MSE"),
    )
    return "generator"


def test_it_codes_nothing(refused: Refused, generator: str, models: tuple[str, str], photo: Path) -> None:
    (photo.parent / "x.lic").write_bytes(b"LIC")
    for command in (
        ("compress", "photo.png", "a.lic", "-m", generator),
        ("decompress", "x.lic", "a.png", "-m", generator),
        ("inspect", generator, "photo.png"),
        ("rate-control", models[0], generator, "photo.png", "--target-bpp", "1", "-o", "streams"),
    ):
        said = refused(*command)
        assert "A model=srgan codes no images to files: it enlarges images; measure it with" in said
    with pytest.raises(UserError, match="upsample=srgan"):
        package.load(photo.parent / generator)


def test_its_weights_are_exported(lic: Lic, generator: str, tmp_path: Path) -> None:
    assert lic("export", generator, "-o", "generator.lic-model")[0] == 0
    code, said, _ = lic("info", "generator.lic-model")
    assert code == 0 and "srgan" in said and "distortion" in said
    exported, info = load_network(tmp_path / "generator.lic-model")
    original, _ = load_network(tmp_path / generator)
    assert info.setting == "MSE"
    for name, value in original.state_dict().items():
        assert (exported.state_dict()[name] == value).all(), name


def test_reports_and_complexity(lic: Lic, tmp_path: Path) -> None:
    save_enlargement(tmp_path / "run")
    code, said, _ = lic("report", "run")
    assert code == 0 and "Super-resolution" in said and "Means over images" not in said
    assert "Super-resolution" in (tmp_path / "run" / "report.html").read_text("utf-8")
    code, said, _ = lic("complexity", "model=srgan", "model.width=4", "model.blocks=1")
    assert code == 0 and "24x24 input" in said and "1,549,462" in said and "2,218,176" in said
