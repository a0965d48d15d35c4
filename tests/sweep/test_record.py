"""What is kept of a sweep's command, and what is believed of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from lic.sweep.record import SWEEP_FILE, Record, read_record

MADE: dict[str, Any] = {
    "program": "train",
    "arguments": ["-m", "lambda=5,10"],
    "directory": "/home/me",
    "folder": "/home/me/multirun/x",
    "jobs": {"lambda-5": "12_0", "lambda-10": None},
}


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = Record("eval", ("-m", "lambda=5,10"), "/home/me", str(tmp_path), {"λ": "12", "b": None})
    made.save()
    read = read_record(tmp_path)
    assert read == made
    assert read and read.is_of(tmp_path) and not read.is_of(tmp_path.parent)


@pytest.mark.parametrize(
    "odd",
    [
        {"program": "os.system"},
        {"program": ["train"]},
        {"arguments": "lambda=5"},
        {"arguments": [5]},
        {"directory": None},
        {"directory": "a\0b"},
        {"jobs": ["lambda-5"]},
        {"jobs": {"../other": "12"}},
        {"jobs": {"/etc": "12"}},
        {"jobs": {"..": None}},
        {"jobs": {"lambda-5": "12; rm -r ."}},
        {"jobs": {"lambda-5": "--user=me"}},
        {"jobs": {"lambda-5": 12}},
        {"more": 1},
    ],
)
def test_what_lic_did_not_write_is_not_believed(tmp_path: Path, odd: dict[str, Any]) -> None:
    (tmp_path / SWEEP_FILE).write_text(json.dumps(MADE))
    assert read_record(tmp_path)
    (tmp_path / SWEEP_FILE).write_text(json.dumps(MADE | odd))
    assert read_record(tmp_path) is None


@pytest.mark.parametrize("content", ["", "[]", "{", "null", '{"program": "train"}'])
def test_a_broken_record_is_none(tmp_path: Path, content: str) -> None:
    assert read_record(tmp_path) is None
    (tmp_path / SWEEP_FILE).write_text(content)
    assert read_record(tmp_path) is None
