import json
import resource
from pathlib import Path

import pytest

from lic.atomic import replacing, write_text


def test_names_may_be_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    file = tmp_path / ("a" * 251 + ".lic")
    write_text(file, "whole")
    assert file.read_text() == "whole" and list(tmp_path.iterdir()) == [file]
    with pytest.raises(OSError) as caught:
        write_text(tmp_path / ("a" * 300), "too long")
    assert caught.value.filename is not None


def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limit[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            write_text(tmp_path / "a.txt", "x" * 11)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert caught.value.filename == str(tmp_path / "a.txt")
    assert list(tmp_path.iterdir()) == []


def test_bytes_that_are_no_text_become_escapes(tmp_path: Path) -> None:
    name = b"\xff".decode(errors="surrogateescape")
    write_text(tmp_path / "a.json", json.dumps(name, ensure_ascii=False))
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == name


def test_an_error_leaves_the_old_file_alone(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    write_text(file, "old")
    with pytest.raises(RuntimeError), replacing(file) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert file.read_text() == "old" and list(tmp_path.iterdir()) == [file]
