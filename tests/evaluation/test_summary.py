from pathlib import Path

import pytest
from omegaconf import DictConfig

from lic.evaluation import summary
from lic.evaluation.summary import add_classical

from .conftest import MakeRun, jpeg, learned


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path]]:
    """What would be measured, and where to."""
    calls: list[tuple[str, Path]] = []

    def images_of(cfg: DictConfig) -> tuple[list[None], str]:
        return [], "photos"

    def evaluate_classical(name: str, images: list[None], folder: Path, data: str) -> None:
        calls.append((name, folder))

    monkeypatch.setattr(summary, "images_of", images_of)
    monkeypatch.setattr(summary, "evaluate_classical", evaluate_classical)
    return calls


def configure(folder: Path, *classical: str) -> None:
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "config.yaml").write_text(f"classical: [{', '.join(classical)}]\n")


def test_every_job_of_a_sweep_may_ask_for_classical_codecs(
    make_run: MakeRun, tmp_path: Path, measured: list[tuple[str, Path]]
) -> None:
    for job, asked in (("a", ["jpeg"]), ("b", ["jpeg", "webp"])):
        configure(make_run(f"sweep/{job}", learned(job, 5), 0.3, 30), *asked)
    add_classical(tmp_path / "sweep")
    target = tmp_path / "sweep" / "classical" / "photos"
    assert measured == [("jpeg", target), ("webp", target)]


def test_models_in_folders_of_one_evaluation_have_its_configuration(
    make_run: MakeRun, tmp_path: Path, measured: list[tuple[str, Path]]
) -> None:
    configure(tmp_path / "eval", "jpeg")
    configure(tmp_path, "webp")  # not of this evaluation
    for number in (1, 2):
        make_run(f"eval/model-{number}", learned("net", number), 0.3, 30)
    add_classical(tmp_path / "eval")
    assert [name for name, _ in measured] == ["jpeg"]


def test_classical_codecs_ask_for_none(
    make_run: MakeRun, tmp_path: Path, measured: list[tuple[str, Path]]
) -> None:
    configure(tmp_path / "eval", "webp")
    make_run("eval/jpeg-50", jpeg(50), 0.8, 31)
    add_classical(tmp_path / "eval")
    assert measured == []
