import hashlib
import io
import multiprocessing
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lic.data import published
from lic.data.download import download, unpack
from lic.data.published import PUBLISHED, Published, fetch
from lic.errors import UserError

Pack = Callable[[dict[str, bytes], Path], Path]
CONTENT = np.random.default_rng(0).bytes(100_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT; can break off, ignore ranges, and remembers what was asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.breaks_after: int | None = None
        self.knows_ranges = True
        self.ranges: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/photos.bin"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        self.server.ranges.append(asked)
        if not self.path.endswith("photos.bin"):
            self.send_error(404)
            return
        start = int(asked[6:-1]) if asked and self.server.knows_ranges else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : self.server.breaks_after])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_download(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "new" / "photos.bin"
    download(server.url, SHA256, target)
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["photos.bin"]
    download(server.url, SHA256, target)
    assert server.ranges == [None]


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_broken_transfer_is_resumed(server: Server, tmp_path: Path, knows_ranges: bool) -> None:
    target = tmp_path / "photos.bin"
    server.breaks_after = 30_000
    with pytest.raises(UserError, match="run again to go on"):
        download(server.url, SHA256, target)
    assert not target.exists()
    assert (tmp_path / "photos.bin.part").read_bytes() == CONTENT[:30_000]
    server.breaks_after, server.knows_ranges = None, knows_ranges
    download(server.url, SHA256, target)
    assert target.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=30000-"]
    assert not (tmp_path / "photos.bin.part").exists()


def test_a_complete_part_is_only_verified(server: Server, tmp_path: Path) -> None:
    (tmp_path / "photos.bin.part").write_bytes(CONTENT)
    download(server.url, SHA256, tmp_path / "photos.bin")
    assert (tmp_path / "photos.bin").read_bytes() == CONTENT


def test_wrong_checksum_is_refused_and_forgotten(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"SHA-256 {SHA256} in place of {'0' * 64}"):
        download(server.url, "0" * 64, tmp_path / "photos.bin")
    assert not list(tmp_path.iterdir())


def test_server_errors_are_sentences(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="answers 404"):
        download(server.url + "x", SHA256, tmp_path / "a")
    server.server_close()
    with pytest.raises(UserError, match="could not be fetched"):
        download("http://127.0.0.1:1/photos.bin", SHA256, tmp_path / "a")


def zipped(files: dict[str, bytes], path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def tarred(files: dict[str, bytes], path: Path) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_unpack(tmp_path: Path, pack: Pack) -> None:
    several = pack({"a.png": b"1", "sub/b.png": b"2"}, tmp_path / "several")
    unpack(several, tmp_path / "x" / "several-out")
    assert (tmp_path / "x" / "several-out" / "sub" / "b.png").read_bytes() == b"2"
    single = pack(
        {"top/a.png": b"1", "top/sub/b.png": b"2", "__MACOSX/top/._a.png": b""}, tmp_path / "single"
    )
    unpack(single, tmp_path / "single-out")
    assert (tmp_path / "single-out" / "sub" / "b.png").read_bytes() == b"2"
    assert {path.name for path in tmp_path.iterdir()} == {"several", "single", "single-out", "x"}


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("name", ["../out.png", "a/../../out.png", "/tmp/lic-out.png"])
def test_paths_that_lead_outside_are_refused(tmp_path: Path, pack: Pack, name: str) -> None:
    archive = pack({"a.png": b"1", name: b"2"}, tmp_path / "archive")
    try:
        unpack(archive, tmp_path / "deep" / "out")
    except UserError as error:
        assert "cannot be unpacked" in str(error)
        assert not (tmp_path / "deep" / "out").exists()
    else:  # tar's filter strips the leading slash of an absolute path
        assert pack is tarred and name.startswith("/")
    assert not (tmp_path / "deep" / "out.png").exists() and not (tmp_path / "out.png").exists()
    assert not Path("/tmp/lic-out.png").exists()


def test_damaged_archives_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no archive")
    whole = tarred({"a.png": CONTENT}, tmp_path / "whole").read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    for name in ("text", "cut"):
        with pytest.raises(UserError, match=f"{name} cannot be unpacked"):
            unpack(tmp_path / name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_fetch_unpacks_what_is_missing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = (Published(server.url, "some/a.bin", SHA256), Published(server.url, "some/b.bin", SHA256))
    monkeypatch.setitem(PUBLISHED, "some", files)
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "a.bin").write_bytes(b"mine")
    fetch("some", tmp_path)
    assert (tmp_path / "some" / "a.bin").read_bytes() == b"mine"
    assert (tmp_path / "some" / "b.bin").read_bytes() == CONTENT

    archive = zipped({"top/a.png": b"1"}, tmp_path / "archive.zip").read_bytes()
    monkeypatch.setattr(published, "download", lambda url, sha256, target: target.write_bytes(archive))
    monkeypatch.setitem(PUBLISHED, "more", (Published("http://x/more.zip", "more/train", SHA256),))
    (tmp_path / "more").mkdir()
    fetch("more", tmp_path)
    assert [path.name for path in (tmp_path / "more").rglob("*")] == ["train", "a.png"]


def test_processes_that_start_together_download_once(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the ranks of torchrun do: each would append to the same partial file."""
    monkeypatch.setitem(PUBLISHED, "some", (Published(server.url, "some/a.bin", SHA256),))
    context = multiprocessing.get_context("fork")
    barrier, errors = context.Barrier(4), context.Queue()
    processes = [context.Process(target=_fetch_at, args=(barrier, tmp_path, errors)) for _ in range(4)]
    for process in processes:
        process.start()
    assert [errors.get(timeout=60) for _ in processes] == 4 * [""]
    for process in processes:
        process.join(60)
    assert server.ranges == [None]
    assert (tmp_path / "some" / "a.bin").read_bytes() == CONTENT


def _fetch_at(barrier: Barrier, root: Path, errors: "Queue[str]") -> None:
    barrier.wait()
    try:
        fetch("some", root)
        errors.put("")
    except Exception as error:
        errors.put(repr(error))


def test_sets_without_address_or_checksum_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unpack it so that .*flickr2k/Flickr2K_HR holds the images"):
        fetch("flickr2k", tmp_path)
    with pytest.raises(UserError, match="data=folder is not downloaded"):
        fetch("folder", tmp_path)


def test_checksums_are_whole_and_distinct() -> None:
    sums = [part.sha256 for parts in PUBLISHED.values() for part in parts if part.sha256]
    assert len(set(sums)) == len(sums) == 33
    assert all(len(bytes.fromhex(sha256)) == 32 for sha256 in sums)


def test_kodak_checksums(photo_folder: Any) -> None:
    kodak = photo_folder("kodak")
    for part in PUBLISHED["kodak"]:
        assert hashlib.sha256((kodak / Path(part.target).name).read_bytes()).hexdigest() == part.sha256
