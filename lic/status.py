"""``status.json``: what state a run's folder is in."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from lic.atomic import FULL, write_text
from lic.foreign import read_json

STATUS_FILE = "status.json"
SLOW_FILES = 60.0
"""Seconds in which a shared file system shows what another node wrote; NFS keeps folders so long."""
_LARGEST = 1 << 20  # bytes


def read_status(folder: Path) -> dict[str, Any]:
    """The content of a folder's ``status.json``; empty if it has none that can be read."""
    try:
        content = read_json(folder, STATUS_FILE, _LARGEST)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def last_written(folder: Path) -> os.stat_result | None:
    """What the system says of a folder's ``status.json``, which each word replaces; None if it has none."""
    try:
        return (folder / STATUS_FILE).stat()
    except OSError:
        return None


def say_how_far(folder: Path, **content: float) -> None:
    """Add to the state of a running job; what cannot be written must not end it."""
    status = read_status(folder)
    if status.get("status") == "running":
        with suppress(OSError):
            write_text(folder / STATUS_FILE, json.dumps(status | content) + "\n")


def write_status(folder: Path, **content: Any) -> None:
    """Replace a folder's ``status.json``; on a full disk in its own place, lest an old state remain."""
    file, text = folder / STATUS_FILE, json.dumps(content, ensure_ascii=False) + "\n"
    try:
        write_text(file, text)
    except OSError as error:
        if error.errno not in FULL or file.is_symlink() or not file.is_file():
            raise
        file.write_text(text, "utf-8", "backslashreplace")
