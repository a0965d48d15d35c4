"""Downloads that resume, are verified, and appear whole; archives that unpack inside their folder."""

import hashlib
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from http.client import HTTPException
from pathlib import Path, PurePosixPath

from rich.progress import BarColumn, DownloadColumn, TransferSpeedColumn

from lic.console import progress
from lic.errors import UserError

_BLOCK = 1 << 20
_TIMEOUT = 60.0  # seconds without a byte


def download(url: str, sha256: str, target: Path) -> None:
    """Fetch a file, or the rest of it, and put it at ``target`` once its checksum is right.

    What has arrived waits in ``target`` + ``.part``; the next call asks the server for the rest only, and
    starts anew if the server does not serve ranges. An existing ``target`` is taken as it is.

    Raises:
        UserError: The server cannot be reached or refuses, the transfer breaks off, the disk is full, or the
            checksum is wrong (the partial file is then removed).
    """
    if target.exists():
        return
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _transfer(url, part)
    except urllib.error.HTTPError as error:
        raise UserError(f"{url} answers {error.code} {error.reason}; fetch {target} by hand.") from error
    except (OSError, HTTPException) as error:
        raise UserError(
            f"{url} could not be fetched ({error}); run again to go on where it stopped."
        ) from error
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        part.unlink()
        raise UserError(
            f"{url} has the SHA-256 {found} in place of {sha256}; run again, or fetch {target} by hand."
        )
    part.replace(target)


def _transfer(url: str, part: Path) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if have and error.code == 416:  # nothing is left to ask for
            return
        raise
    columns = BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with response, progress(*columns, transient=True) as bar:
        resumes = response.status == 206
        left = response.headers.get("Content-Length")
        total = int(left) + have * resumes if left else None
        task = bar.add_task(PurePosixPath(url).name, total=total, completed=have * resumes)
        with part.open("ab" if resumes else "wb") as file:
            while block := response.read(_BLOCK):
                file.write(block)
                bar.advance(task, len(block))
            if total is not None and file.tell() < total:
                raise ConnectionError(f"it broke off after {file.tell()} of {total} bytes")


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip or tar file into ``folder``, which appears when all of it is there.

    A single folder at the top of the archive is left out: its content becomes that of ``folder``.

    Raises:
        UserError: The file is no archive, is damaged, or holds a path that leads outside.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        everything = Path(temporary) / "all"
        try:
            if zipfile.is_zipfile(archive):
                _unzip(archive, everything)
            else:
                with tarfile.open(archive) as tar:
                    tar.extractall(everything, filter="data")
        except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
            raise UserError(
                f"{archive} cannot be unpacked ({error}); remove it and fetch it again."
            ) from error
        top = [path for path in everything.iterdir() if path.name != "__MACOSX"]
        (top[0] if len(top) == 1 and top[0].is_dir() else everything).rename(folder)


def _unzip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        for name in file.namelist():
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise zipfile.BadZipFile(f"{name} leads outside")
        file.extractall(folder)
