import errno
import os
from pathlib import Path
from typing import Any

import pytest

from lic import status
from lic.status import STATUS_FILE, read_status, write_status


def _full(*arguments: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_on_a_full_disk_no_old_state_remains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_status(tmp_path, status="running", config="λ")
    monkeypatch.setattr(status, "write_text", _full)
    write_status(tmp_path, status="failed", error=os.fsdecode(b"bad\xff: No space left on device"))
    assert read_status(tmp_path)["status"] == "failed"


def test_nothing_is_written_through_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other"
    other.write_text("another's")
    (tmp_path / STATUS_FILE).symlink_to(other)
    monkeypatch.setattr(status, "write_text", _full)
    with pytest.raises(OSError, match="No space left"):
        write_status(tmp_path, status="failed")
    assert other.read_text() == "another's"
