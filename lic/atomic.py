"""Files that appear whole or not at all."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""What a disk says that takes no more."""


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that replaces it when the block ends without an error.

    Parent folders are made. On an error the temporary file is removed and ``path`` stays as it was. The
    content is on the disk before it gets the name: a power cut leaves no empty file under it.

    Raises:
        OSError: there can be no such file, or no room for it; it names ``path`` or the folder that cannot be
            made.
    """
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{target.name[:40]}."  # not all of it: names may be as long as the file system allows
    name = None
    try:
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=target.suffix, dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # mkstemp makes files private
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.replace(target)
    except OSError as error:
        if name is None or error.filename == name or (error.filename is None and error.errno in FULL):
            error.filename = str(target)  # what people asked for; write() names none
        raise
    finally:
        if name is not None:
            Path(name).unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike[str], data: bytes | memoryview) -> None:
    """Write a whole file atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a whole UTF-8 text file atomically; bytes of a file name that are no UTF-8 become escapes."""
    write_bytes(path, text.encode(errors="backslashreplace"))
