import csv
import errno
import json
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import InterpolationResolutionError

from lic.data import write_png
from lic.locking import only_writer
from lic.status import STATUS_FILE, read_status, write_status
from lic.sweep.names import register_resolvers
from lic.sweep.record import Record
from lic.sweep.summary import SweepSummary

NARROW = ("model=baseline", "model.width=4", "model.kernel_size=3", "distortion=mse")
QUICK = ("trainer=debug", "trainer.accelerator=cpu", "logger=csv", "data=folder", "data.root=photos")
PATCHES = ("data.patch_size=32", "data.batch_size=2")


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The folders that a command's sweep and one of its jobs get."""
    register_resolvers()

    def resolve(command: str, job: str) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["train.py", *command.split()])
        register_resolvers()
        cfg = OmegaConf.create(
            {"sweep": "${sweep_name:null}", "job": "${job_name:${task},${swept_keys:}}", "task": job.split()}
        )
        return cfg.sweep, cfg.job

    return resolve


@pytest.mark.parametrize(
    ("command", "job", "expected"),
    [
        (
            "-m model=resnet3x3_4 upsample=subpixel lambda=5,10",
            "model=resnet3x3_4 upsample=subpixel lambda=10",
            ("model-resnet3x3_4_upsample-subpixel_lambda-5_10", "lambda-10"),
        ),
        (
            "-m model=hyperprior,baseline model.kernel_size=3,5 lambda=0.015",
            "model=baseline model.kernel_size=3 lambda=0.015",
            (
                "model-hyperprior_baseline_model.kernel_size-3_5_lambda-0.015",
                "model-baseline_model.kernel_size-3",
            ),
        ),
        # Hydra's own settings do not move a sweep to another folder.
        ("-m hydra/launcher=slurm lambda=5,10", "lambda=5", ("lambda-5_10", "lambda-5")),
        # Nor do those that say how it is run.
        ("-m lambda=5,10 sweep.detach=true", "lambda=5 sweep.detach=true", ("lambda-5_10", "lambda-5")),
        ("-m lambda=5 sweep.detach=true", "lambda=5 sweep.detach=true", ("lambda-5", "lambda-5")),
        ("--multirun", "", ("default", "default")),
        # A sweeper of its own varies what the command does not name.
        ("-m hydra/sweeper=optuna", "optimizer.lr=0.1", ("default", "optimizer.lr-0.1")),
        ("-m lambda=range(1,4)", "lambda=2", ("lambda-range_1_4", "lambda-2")),
        (
            "-m data.root=/photos/a,/photos/b",
            "data.root=/photos/b",
            ("data.root-_photos_a_photos_b", "data.root-_photos_b"),
        ),
    ],
)
def test_folders_are_named_after_the_command(
    names: Any, command: str, job: str, expected: tuple[str, str]
) -> None:
    assert names(command, job) == expected


@pytest.mark.parametrize("name", ["faults", "2", "λ-5_10", "a.b+c", "x" * 120])
def test_people_may_name_a_sweep(names: Any, name: str) -> None:
    assert OmegaConf.create({"a": name, "b": "${sweep_name:${a}}"}).b == name


@pytest.mark.parametrize("name", ["../x", "/x", ".x", "-x", "", "a b", "a/b", "x" * 121, "a,b"])
def test_but_not_a_place_elsewhere(names: Any, name: str) -> None:
    with pytest.raises(InterpolationResolutionError, match="no plain name"):
        _ = OmegaConf.create({"a": name, "b": "${sweep_name:${a}}"}).b


def test_long_names_are_cut_and_stay_different(names: Any) -> None:
    first, second = (
        names(f"-m data.root={'x' * 200} lambda={lmbda},3", f"lambda={lmbda}")[0] for lmbda in (1, 2)
    )
    assert first != second and max(len(first), len(second)) < 140


@pytest.mark.parametrize("content", ["", "{", "[1", "\xff"])
def test_a_status_that_cannot_be_read_is_none(tmp_path: Path, content: str) -> None:
    assert read_status(tmp_path) == {}
    (tmp_path / STATUS_FILE).write_text(content, "latin-1")
    assert read_status(tmp_path) == {}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four photos: one becomes the validation set, one the test set."""
    rng = np.random.default_rng(0)
    for i in range(4):
        coarse = rng.integers(0, 256, (6, 9, 3)).astype(np.uint8)
        write_png(tmp_path / "photos" / f"{i}.png", coarse.repeat(9, 0).repeat(9, 1)[: 50 - i])
    return tmp_path / "photos"


def _weights(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


@pytest.mark.usefixtures("photos")
def test_a_sweep_with_a_failing_job_from_its_first_to_its_last_command(
    repository: Path, run_python: Any, tmp_path: Path
) -> None:
    sweep_command = (repository / "train.py", "-m", *NARROW, *QUICK, *PATCHES, "lambda=0.01,-1,0.02")
    first = run_python(*sweep_command)

    assert first.returncode == 3, first.stderr
    (folder,) = (tmp_path / "multirun").iterdir()
    jobs = {name: folder / f"lambda-{name}" for name in ("0.01", "-1", "0.02")}
    status = {name: read_status(job)["status"] for name, job in jobs.items()}
    assert status == {"0.01": "done", "-1": "failed", "0.02": "done"}
    error = (jobs["-1"] / "error.txt").read_text()
    assert "lambda must be a positive number, not -1" in error and "\n" not in error.strip()
    assert f"Failed: {jobs['-1'].relative_to(tmp_path)}" in first.stderr
    assert "1 of 3 jobs failed" in first.stderr and "Traceback" not in first.stderr

    for name in ("0.01", "0.02"):
        job = jobs[name]
        (row,) = json.loads((job / "test.json").read_text())["rows"]
        assert row["bytes"] == (job / "streams" / f"{row['file']}.lic").stat().st_size
        assert row["bpp"] == pytest.approx(8 * row["bytes"] / (row["width"] * row["height"]))
        assert (job / "metrics.csv").exists() and (job / "checkpoints" / "best.ckpt").exists()
        assert not (job / "error.txt").exists()
    with (folder / "rd.csv").open() as file:
        points = list(csv.DictReader(file))
    assert sorted(float(point["lambda"]) for point in points) == [0.01, 0.02]
    report = (folder / "report.html").read_text()
    assert "JPEG" in report and "λ = 0.02" in report
    assert len(list((folder / "classical" / "photos").glob("jpeg-*/test.json"))) == 12
    assert (folder / "classical" / "rd.csv").read_text().count("JPEG") == 12

    # The same command again runs the failed job alone, and nothing that a stranger has put beside it.
    shutil.copytree(jobs["0.01"], folder / "stranger")
    config = {"data": {"_target_": "os.mkdir", "path": str(tmp_path / "ran")}, "classical": ["webp"]}
    (folder / "stranger" / ".hydra" / "config.yaml").write_text(json.dumps(config))
    before = {
        name: (jobs[name] / "checkpoints" / "last.ckpt").stat().st_mtime_ns for name in ("0.01", "0.02")
    }
    again = run_python(*sweep_command)
    assert again.returncode == 3 and "1 of 4 jobs failed" in again.stderr
    assert not (tmp_path / "ran").exists() and not (folder / "classical" / "photos" / "webp-50").exists()
    after = {name: (jobs[name] / "checkpoints" / "last.ckpt").stat().st_mtime_ns for name in before}
    assert after == before
    assert again.stdout.count("is done; skipped") == 2

    # What came before in the process leaves no trace in a job.
    alone = run_python(
        repository / "train.py", *NARROW, *QUICK, *PATCHES, "lambda=0.02", "hydra.run.dir=alone"
    )
    assert alone.returncode == 0, alone.stderr
    third, single = _weights(jobs["0.02"]), _weights(tmp_path / "alone")
    assert third.keys() == single.keys()
    assert all(torch.equal(third[name], single[name]) for name in third)
    assert (tmp_path / "alone" / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["model=vgg"], "vgg"),
        (["model=baseline", "upsample=tconv"], "The chosen model takes no upsample=; leave the choice out"),
        (["model=resnet3x3_4", "lamda=5"], "lamda"),
        (
            ["model=hyperprior", "model.width=4", "model.pixel_unshuffle=2", "data.patch_size=192"],
            "patches of 192 are no multiple of that; give data.patch_size=256",
        ),
        (["lambda=abc"], "lambda must be a positive number, not 'abc'"),
    ],
)
def test_bad_input_is_one_line_without_a_traceback(
    repository: Path, run_python: Any, arguments: list[str], sentence: str
) -> None:
    done = run_python(repository / "train.py", *arguments)
    assert done.returncode == 2
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("Error: ") and sentence in lines[0], done.stderr
    assert "Traceback" not in done.stdout


def test_a_sweep_of_trainings_without_files_ends_well(tmp_path: Path, caplog: Any) -> None:
    """Not every network is a codec; where some are, what they left is summed up."""
    cfg = OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}})
    for name in ("lr-1", "lr-2"):
        (tmp_path / name).mkdir()
    write_status(tmp_path / "lr-1", status="done", cost=1.0)
    SweepSummary().on_multirun_end(cfg)
    assert not caplog.records and not (tmp_path / "report.html").exists()
    write_status(tmp_path / "lr-2", status="failed", error="x")
    with pytest.raises(SystemExit) as end:
        SweepSummary().on_multirun_end(cfg)
    assert end.value.code == 3


def test_jobs_that_never_began_are_named_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They left a queue, and no folder."""
    cfg = OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}})
    (tmp_path / "lr-1").mkdir()
    write_status(tmp_path / "lr-1", status="done", cost=1.0)
    Record("train", (), str(tmp_path), str(tmp_path), {"lr-1": "7_0", "lr-2": "7_1"}).save()
    with pytest.raises(SystemExit) as end:
        SweepSummary().on_multirun_end(cfg)
    assert end.value.code == 3
    said = capsys.readouterr().err
    assert f"Failed: {tmp_path}/lr-2: it did not finish" in said and "1 of 2 jobs failed" in said


def test_a_job_that_another_process_runs_has_not_died(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a launcher's worker does whose command was killed."""
    cfg = OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}})
    with only_writer(tmp_path / "lr-1"):
        write_status(tmp_path / "lr-1", status="running")
        with pytest.raises(SystemExit) as end:
            SweepSummary().on_multirun_end(cfg)
    assert end.value.code == 3
    assert f"Failed: {tmp_path}/lr-1: another process is running it" in capsys.readouterr().err


def test_a_full_disk_hides_no_job(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither one that could not even say that it failed, nor by a summary for which there is no room."""

    def full(folder: Path, *arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(folder / "report.html"))

    monkeypatch.setattr("lic.report.summary.summarize", full)
    cfg = OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}})
    (tmp_path / "lr-1").mkdir()
    write_status(tmp_path / "lr-1", status="done", cost=1.0)
    (tmp_path / "lr-1" / "test.json").write_text("{}")
    for exit_code in (1, 3):
        with pytest.raises(SystemExit) as end:
            SweepSummary().on_multirun_end(cfg)
        assert end.value.code == exit_code
        assert (
            "summary of the jobs failed: " in caplog.text and "No space left on device; check" in caplog.text
        )
        said = capsys.readouterr().err
        assert f"`lic report {tmp_path}` tries again" in said and "Traceback" not in said + caplog.text
        assert (f"Failed: {tmp_path}/lr-2: it did not finish" in said) == (exit_code == 3)
        (tmp_path / "lr-2" / ".hydra").mkdir(parents=True, exist_ok=True)


def test_jobs_in_another_process_know_what_the_sweep_varies(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As submitit starts them: from the pickled configuration of the sweep, with a command of their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py", "-m", "model=baseline", "optimizer.lr=0.1,0.2"])
    register_resolvers()
    with initialize_config_dir(str(repository / "conf"), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        sweep = loader.load_configuration("train", sys.argv[2:], RunMode.MULTIRUN)
        callback = SweepSummary()
        callback.on_multirun_start(sweep)
        sweep = pickle.loads(pickle.dumps(sweep))
        monkeypatch.setattr(sys, "argv", ["submitit", "a=1,2"])
        job = loader.load_sweep_config(sweep, ["model=baseline", "optimizer.lr=0.2"])
        monkeypatch.setattr(HydraConfig.instance(), "cfg", job)
        assert job.variant == {"optimizer.lr": 0.2}
        assert job.hydra.sweep.subdir == "optimizer.lr-0.2"
        assert job.hydra.sweep.dir == sweep.hydra.sweep.dir == "multirun/model-baseline_optimizer.lr-0.1_0.2"
        callback.on_run_end(sweep)
