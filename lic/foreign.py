"""Checks for files from untrusted folders: plain, bounded, and not led elsewhere by a link."""

import json
import os
import zipfile
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

LARGEST_JSON = 1 << 26
"""Bytes; the rows of about 100,000 images."""
_WANDB_LOG = "wandb/*run-*/logs/debug-core.log"
"""A link into W&B's cache, which stays where W&B was killed; nothing writes through it."""
_LONGEST_TEXT, _LONGEST_KEY, _LARGEST_NUMBER, _MOST_KEYS = 1000, 100, 1e18, 100

Plain = bool | float | int | str | None
"""What an option of a network or a part of an objective may be."""


def is_plain(value: object) -> bool:
    """Whether people can be shown a value as it is: a number, or text without control characters."""
    if isinstance(value, str):
        return value.isprintable() and len(value) <= _LONGEST_TEXT
    return value is None or (isinstance(value, int | float) and abs(value) < _LARGEST_NUMBER)


def is_plain_list(names: object) -> bool:
    """Whether these are a few short names."""
    if not (isinstance(names, list) and len(names) <= _MOST_KEYS):
        return False
    return all(isinstance(name, str) for name in names) and is_plain_table(dict.fromkeys(names))


def is_plain_table(table: object) -> bool:
    """Whether people can be shown a table as it is: a few plain values by short names."""
    return (
        isinstance(table, dict)
        and len(table) <= _MOST_KEYS
        and all(
            isinstance(key, str) and 0 < len(key) <= _LONGEST_KEY and is_plain(key) and is_plain(value)
            for key, value in table.items()
        )
    )


def inside(folder: Path, *parts: str) -> Path | None:
    """A regular file below a folder; None where there is none, or where a name or a link leads out."""
    file = folder.joinpath(*parts)
    try:
        if file.is_file() and file.resolve().is_relative_to(folder.resolve()):
            return file
    except (OSError, ValueError, RuntimeError):  # a name that no file can have, a loop of links
        pass
    return None


def leads_elsewhere(folder: Path, patterns: Sequence[str]) -> Path | None:
    """A link out of a folder or a device, with a name of these patterns or below one; not W&B's own link."""
    top = folder.resolve()
    for place in folder.iterdir() if folder.is_dir() else ():
        if not any(fnmatchcase(place.name, pattern) for pattern in patterns):
            continue
        for path in (place, *place.rglob("*")):
            if path.is_symlink():
                is_out = not Path(os.path.realpath(path)).is_relative_to(top)
                if is_out and not path.match(_WANDB_LOG):
                    return path
            elif path.exists() and not (path.is_file() or path.is_dir()):
                return path
    return None


def read_json(folder: Path, name: str, largest: int = LARGEST_JSON) -> Any:
    """The content of a JSON file of a folder, of at most ``largest`` bytes.

    Raises:
        ValueError: there is none, or not in this folder, or it cannot be read; the text says what is wrong.
    """
    file = inside(folder, name)
    if file is None:
        raise ValueError("it is missing, no file, or a link out of its folder")
    try:
        if file.stat().st_size > largest:
            raise ValueError(f"it has more than {largest:,} bytes")
        return json.loads(file.read_text("utf-8"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except OSError as error:
        raise ValueError(error.strerror) from error


def check_archive(path: Path) -> None:
    """Refuse archives that grow when they are read (torch writes none), or that rotted on a disk.

    torch's loader looks at no checksum.

    Raises:
        ValueError, OSError, zipfile.BadZipFile: it is one of these, or no archive.
    """
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
            raise ValueError("packed")
        if archive.testzip():
            raise ValueError("damaged")
