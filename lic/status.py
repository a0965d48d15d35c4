"""``status.json``: what state a run's folder is in."""

import json
from pathlib import Path
from typing import Any

from lic.atomic import write_text

STATUS_FILE = "status.json"


def read_status(folder: Path) -> dict[str, Any]:
    """The content of a folder's ``status.json``; empty if it has none that can be read."""
    try:
        content = json.loads((folder / STATUS_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_status(folder: Path, **content: Any) -> None:
    """Replace a folder's ``status.json``."""
    write_text(folder / STATUS_FILE, json.dumps(content, ensure_ascii=False) + "\n")
