import json
import os
from pathlib import Path

import pytest

from lic.foreign import inside, is_plain_list, read_json
from lic.status import read_status


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A received folder beside a private file."""
    (tmp_path / "private.json").write_text('{"secret": 1}')
    folder = tmp_path / "received"
    (folder / "below").mkdir(parents=True)
    (folder / "a.json").write_text('{"a": 1}')
    (folder / "out.json").symlink_to(tmp_path / "private.json")
    (folder / "loop.json").symlink_to("loop.json")
    (folder / "away").symlink_to(tmp_path)
    (folder / "same.json").symlink_to("a.json")
    os.mkfifo(folder / "pipe.json")
    return folder


def test_what_lies_in_a_folder_is_read(folder: Path, tmp_path: Path) -> None:
    assert read_json(folder, "a.json") == read_json(folder, "same.json") == {"a": 1}
    (tmp_path / "alias").symlink_to(folder)
    assert read_json(tmp_path / "alias", "a.json") == {"a": 1}, "the folder itself is the user's to name"


@pytest.mark.parametrize(
    "name",
    [
        "absent.json", "out.json", "loop.json", "away/private.json", "../private.json", "pipe.json", "below",
        "a\0.json", "x" * 5000, "/dev/zero",
    ],
)  # fmt: skip
def test_nothing_else_is(folder: Path, name: str) -> None:
    assert inside(folder, name) is None
    with pytest.raises(ValueError, match="missing, no file, or a link"):
        read_json(folder, name)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 200_000, "nested"),
        ('"' + "x" * 3000 + '"', "more than 2,000 bytes"),
        ("{", "Expecting"),
        ("\xff", "utf-8"),
    ],
)
def test_what_cannot_be_read_is_a_value_error(folder: Path, text: str, words: str) -> None:
    (folder / "a.json").write_text(text, "latin-1")
    with pytest.raises(ValueError, match=words):
        read_json(folder, "a.json", 2000 if "x" in text else 1 << 20)


def test_a_status_from_elsewhere_is_none(tmp_path: Path) -> None:
    (tmp_path / "private.json").write_text(json.dumps({"status": "done", "cost": 1.0}))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "status.json").symlink_to(tmp_path / "private.json")
    assert read_status(tmp_path / "run") == {}
    (tmp_path / "private.json").rename(tmp_path / "status.json")
    assert read_status(tmp_path)["cost"] == 1.0
    (tmp_path / "status.json").write_text("[" * 200_000)
    assert read_status(tmp_path) == {}


@pytest.mark.parametrize(
    ("names", "few"),
    [
        ([], True),
        (["lambda", "lambda"], True),
        (["lambda"] * 1000, False),
        ([["lambda"]], False),
        ([5], False),
        (["a" * 101], False),
        ([""], False),
        ("lambda", False),
    ],
)
def test_a_list_of_names_is_short(names: object, few: bool) -> None:
    assert is_plain_list(names) is few
