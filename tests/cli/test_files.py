"""What the arguments of `lic compress` and `decompress` mean, without any coding."""

import os
from pathlib import Path

import pytest

from lic.cli.files import Job, Kind, plan, read, writing
from lic.errors import UserError

PNG = Kind("image", lambda path: path.suffix == ".png")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "in/a.png", "in/b.png", "in/sub/a.png", "in/.x.png", "in/.y/c.png", "in/n.txt"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    return tmp_path


def jobs(sources: list[str], target: str, force: bool = False) -> list[tuple[str, str]]:
    return [(job.source, job.output) for job in plan(sources, target, PNG, ".lic", force)]


def test_a_file_becomes_a_file_or_goes_into_a_folder() -> None:
    assert jobs(["a.png"], "x.lic") == [("a.png", "x.lic")]
    assert jobs(["a.png"], "new/") == [("a.png", "new/a.lic")]
    assert jobs(["a.png"], "in") == [("a.png", "in/a.lic")]
    assert jobs(["in/n.txt"], "new/") == [("in/n.txt", "new/n.lic")], "what is named is taken"
    with pytest.raises(UserError, match=r"new does not end in \.lic"):
        jobs(["a.png"], "new")


def test_folders_keep_their_structure_and_hide_what_is_hidden() -> None:
    expected = [("in/a.png", "new/a.lic"), ("in/b.png", "new/b.lic"), ("in/sub/a.png", "new/sub/a.lic")]
    assert jobs(["in"], "new") == jobs(["in/"], "new/") == jobs(["./in/**/*.png"], "new") == expected
    assert jobs(["in"], "in") == [(source, source.replace(".png", ".lic")) for source, _ in expected]


@pytest.mark.parametrize("pattern", ["in/[a-b].png", "in/*", "in/?.*", "in/a**", "**/?.png"])
def test_patterns_mirror_what_is_below_their_fixed_part(pattern: str) -> None:
    base = "in/" if pattern.startswith("in/") else ""
    found = jobs([pattern], "new")
    assert ("in/a.png", f"new/{'' if base else 'in/'}a.lic") in found
    assert all(job[1] == "new/" + job[0].removeprefix(base).replace("png", "lic") for job in found)
    assert not any("n.txt" in job[0] or "/." in job[0] for job in found)


def test_a_pattern_of_one_file_still_wants_a_folder() -> None:
    assert jobs(["in/su*/*"], "x.lic") == [("in/sub/a.png", "x.lic/sub/a.lic")]


def test_a_name_that_looks_like_a_pattern_is_a_name() -> None:
    Path("b[1].png").touch()
    assert jobs(["b[1].png"], "x.lic") == [("b[1].png", "x.lic")]


def test_several_files_lose_their_folders() -> None:
    assert jobs(["a.png", "in/b.png"], "new") == [("a.png", "new/a.lic"), ("in/b.png", "new/b.lic")]


def test_standard_streams() -> None:
    assert jobs(["-"], "-") == [("-", "-")]
    assert jobs(["-"], "x.lic") == [("-", "x.lic")]
    assert jobs(["a.png"], "-") == [("a.png", "-")]


@pytest.mark.parametrize(
    ("sources", "target", "words"),
    [
        (["absent.png"], "x.lic", "absent.png does not exist"),
        (["a.png", "absent.png"], "new", "absent.png does not exist"),
        (["in/*.jpg"], "new", "matches no image"),
        (["in/.y"], "in/sub/a.png", "is a file; several"),
        (["empty"], "new", "empty holds no image"),
        (["a.png", "-"], "new", "cannot be read together"),
        (["in"], "-", "takes one file"),
        (["a.png", "in/b.png"], "-", "takes one file"),
        (["-"], "in", "give a file for what standard input holds"),
        (["a.png", "in/a.png"], "new", "a.png and in/a.png would both become new/a.lic"),
        (["a.png", "./a.png"], "new", "would both become"),
        (["in", "in/sub"], "new", "would both become new/a.lic"),
    ],
)
def test_what_cannot_be_meant_is_refused(sources: list[str], target: str, words: str) -> None:
    Path("empty").mkdir()
    with pytest.raises(UserError) as caught:
        jobs(sources, target, force=True)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_existing_outputs_need_force() -> None:
    Path("new").mkdir()
    Path("new/b.lic").touch()
    with pytest.raises(UserError, match=r"new/b\.lic exists; give --force"):
        jobs(["in"], "new")
    assert len(jobs(["in"], "new", force=True)) == 3
    Path("new/a.lic").mkdir()
    with pytest.raises(UserError, match=r"new/a\.lic is a folder"):
        jobs(["in"], "new", force=True)


def test_a_link_to_nothing_exists() -> None:
    Path("x.lic").symlink_to("absent")
    with pytest.raises(UserError, match=r"x\.lic exists; give --force"):
        jobs(["a.png"], "x.lic")
    assert jobs(["a.png"], "x.lic", force=True) == [("a.png", "x.lic")]


def test_devices_and_pipes_are_never_replaced() -> None:
    os.mkfifo("x.lic")
    with pytest.raises(UserError, match=r"x\.lic is no ordinary file"):
        jobs(["a.png"], "x.lic", force=True)


@pytest.mark.parametrize("place", ["streams", "originals", "reconstructions", "inner"])
def test_the_files_of_an_evaluation_are_never_replaced(place: str) -> None:
    for file in (f"run/{place}/a.lic", f"run/{place}/b.lic"):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).touch()
    assert len(jobs(["in/b.png"], f"run/{place}", force=True)) == 1
    Path("run/test.json").touch()
    Path("link").symlink_to(f"run/{place}")
    for target in (f"run/{place}", "link"):
        with pytest.raises(UserError, match=r"b\.lic belongs to an evaluation"):
            jobs(["in/b.png"], target, force=True)


def test_a_source_is_never_replaced(folder: Path) -> None:
    everything = Kind("file", lambda path: True)
    for target in ("a.png", f"{folder}/in/../a.png"):
        with pytest.raises(UserError, match=r"would replace a\.png"):
            plan(["a.png"], target, everything, ".png", force=True)
    assert plan(["a.png"], "b.png", everything, ".png", force=False) == [Job("a.png", "b.png")]


def test_closed_standard_streams_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the shell leaves them after <&- and >&-."""
    monkeypatch.setattr("sys.stdin", None)
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(UserError, match="Standard input is closed"):
        read("-")
    with pytest.raises(UserError, match="Standard output is closed"), writing("-"):
        pass
