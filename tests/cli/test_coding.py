"""`lic compress` and `lic decompress`: what they write, what they refuse and how."""

import errno
import io
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import lic as library
from lic.cli import batch
from lic.data import read_image

from .conftest import Lic, Refused

pytestmark = pytest.mark.usefixtures("models", "photo")


class Pipe(io.TextIOWrapper):
    """A standard stream that keeps its bytes."""

    def __init__(self, data: bytes = b""):
        self.bytes = io.BytesIO(data)
        super().__init__(self.bytes, "utf-8", write_through=True)

    @property
    def content(self) -> bytes:
        return self.bytes.getvalue()


def test_there_and_back(lic: Lic, tmp_path: Path) -> None:
    code, out, err = lic("compress", "photo.png", "photo.lic", "--model", "run")
    size = (tmp_path / "photo.lic").stat().st_size
    assert (code, err) == (0, "") and f"photo.lic: {size:,} bytes" in out and "70x50" in out
    assert lic("decompress", "photo.lic", "back.png", "--model", "run/checkpoints/best.ckpt")[0] == 0
    data = (tmp_path / "photo.lic").read_bytes()
    codec = library.load(tmp_path / "run")
    assert data == codec.compress(Image.open(tmp_path / "photo.png")), "the library gives the same file"
    assert (read_image(tmp_path / "back.png") == codec.decompress(data, "numpy")).all()


def test_folders_there_and_back(lic: Lic, photos: Path, tmp_path: Path) -> None:
    code, out, _ = lic("compress", "photos", "streams", "-m", "run", "--jobs", "2")
    assert code == 0 and [line.split(":")[0] for line in out.splitlines()] == [
        f"streams/{name}.lic" for name in ("a", "b", "sub/a")
    ]
    assert torch.get_num_threads() == 1, "the setting is given back"
    assert lic("decompress", "streams/**/*.lic", "back", "-m", "run")[0] == 0
    found = sorted(str(path.relative_to(tmp_path / "back")) for path in (tmp_path / "back").rglob("*.*"))
    assert found == ["a.png", "b.png", "sub/a.png"]


def test_standard_streams(lic: Lic, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Pipe(photo.read_bytes()))
    monkeypatch.setattr(sys, "stdout", coded := Pipe())
    code, _, err = lic("compress", "-", "-", "-m", "run")
    assert code == 0 and err.startswith("-: ") and "70x50" in err
    monkeypatch.setattr(sys, "stdin", Pipe(coded.content))
    monkeypatch.setattr(sys, "stdout", decoded := Pipe())
    assert lic("decompress", "-", "-", "-m", "run")[0] == 0
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", Pipe(coded.content))
    lic("compress", "photo.png", "photo.lic", "-m", "run")
    assert (tmp_path / "photo.lic").read_bytes() == coded.content
    assert read_image(io.BytesIO(decoded.content)).shape == (50, 70, 3)
    assert lic("info", "-")[1].startswith("-:")


def test_one_bad_file_does_not_stop_the_others(lic: Lic, photos: Path, tmp_path: Path) -> None:
    (photos / "aa.png").write_text("not pixels")
    code, out, err = lic("compress", "photos", "streams", "-m", "run")
    assert code == batch.SOME_FAILED and len(out.splitlines()) == 3
    assert err.splitlines() == [
        "Error: photos/aa.png is not an image that Pillow can read; give a PNG, JPEG or WebP.",
        "1 of 4 files failed.",
    ]
    (tmp_path / "streams" / "b.lic").write_bytes(b"lic?")
    code, _, err = lic("decompress", "streams", "back", "-m", "run", "--jobs", "3")
    assert code == batch.SOME_FAILED and err.startswith("Error: streams/b.lic: The stream")
    assert (tmp_path / "back" / "sub" / "a.png").is_file() and not (tmp_path / "back" / "b.png").exists()


def test_json_is_all_that_stdout_gets(lic: Lic, photos: Path) -> None:
    (photos / "b.png").write_text("not pixels")
    code, out, err = lic("compress", "photos", "streams", "-m", "run", "--json")
    good, bad, _ = results = json.loads(out)
    assert code == batch.SOME_FAILED and "1 of 3" in err and len(results) == 3
    expected = {"file": "photos/a.png", "output": "streams/a.lic", "width": 70, "height": 50}
    assert good | expected | {"model": "run", "error": None} == good
    assert good["bpp"] == 8 * good["bytes"] / 3500 and good["seconds"] > 0
    assert bad["file"] == "photos/b.png" and "not an image" in bad["error"]

    code, out, err = lic("decompress", "streams/a.lic", "a.png", "-m", "run", "--json")
    assert (code, err) == (0, "") and json.loads(out)[0]["bytes"] == good["bytes"]
    code, out, _ = lic("decompress", "photos/notes.txt", "b.png", "-m", "run", "--json")
    assert code == batch.REFUSED and "not a lic stream" in json.loads(out)[0]["error"]


def test_version(lic: Lic) -> None:
    assert lic("--version") == (0, f"lic {library.__version__}\n", "")


def test_an_existing_file_is_kept(lic: Lic, tmp_path: Path) -> None:
    (tmp_path / "photo.lic").write_text("precious")
    code, _, err = lic("compress", "photo.png", "photo.lic", "--model", "run")
    assert code == 2 and "--force" in err and (tmp_path / "photo.lic").read_text() == "precious"
    assert lic("compress", "photo.png", "photo.lic", "--model", "run", "--force")[0] == 0


def test_damaged_streams_write_nothing(lic: Lic, refused: Refused, tmp_path: Path) -> None:
    lic("compress", "photo.png", "photo.lic", "--model", "run")
    data = (tmp_path / "photo.lic").read_bytes()
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 4
    for name, bad in {"cut": data[: len(data) // 2], "flipped": bytes(flipped), "text": b"hello"}.items():
        (tmp_path / name).write_bytes(bad)
        refused("decompress", name, "back.png", "--model", "run")


def test_each_stream_finds_its_model(lic: Lic, photo: Path, tmp_path: Path) -> None:
    for model in ("run", "other"):
        lic("compress", "photo.png", f"streams/{model}.lic", "-m", model)
        lic("decompress", f"streams/{model}.lic", f"{model}.png", "-m", model)
    code, out, _ = lic("decompress", "streams", "back", "-m", "run", "-m", "other", "--json")
    assert code == 0 and [result["model"] for result in json.loads(out)] == ["other", "run"]
    for model in ("run", "other"):
        assert (tmp_path / "back" / f"{model}.png").read_bytes() == (tmp_path / f"{model}.png").read_bytes()


def test_another_model_is_refused(lic: Lic, tmp_path: Path) -> None:
    fingerprints = [library.load(tmp_path / name).fingerprint.hex() for name in ("run", "other")]
    lic("compress", "photo.png", "photo.lic", "--model", "run")
    code, _, err = lic("decompress", "photo.lic", "back.png", "--model", "other")
    assert code == 2 and "another model" in err
    code, _, err = lic("decompress", "photo.lic", "back.png", "-m", "other", "-m", "other")
    assert code == 2 and all(name in err for name in fingerprints) and "(other)" in err


def test_a_target_chooses_among_models(lic: Lic, refused: Refused) -> None:
    sizes = {}
    for model in ("run", "other"):
        _, out, _ = lic("compress", "photo.png", f"{model}.lic", "-m", model, "--json")
        sizes[model] = json.loads(out)[0]
    assert sizes["run"]["bytes"] > sizes["other"]["bytes"], "the fixture gives two rates"
    both = ("compress", "photo.png", "x.lic", "--force", "-m", "run", "-m", "other")
    code, out, _ = lic(*both, "--target-bpp", str(sizes["other"]["bpp"]))
    assert code == 0 and "by other" in out
    _, out, _ = lic(*both, "--target-psnr", "0", "--json")
    assert json.loads(out)[0]["model"] == "other", "the smallest file is enough"
    for target in (("--target-bpp", "0.001"), ("--target-psnr", "99")):
        assert refused(*both, *target).startswith("Error: photo.png: ")


def test_a_process_says_what_a_picture_loses_and_no_more(run_python: Any, tmp_path: Path) -> None:
    Image.new("RGBA", (8, 8)).save(tmp_path / "clear.png")
    arguments = ("compress", "clear.png", "clear.lic", "-m", "run")
    done = run_python("-c", "from lic.cli import main; main()", *arguments)
    assert (done.returncode, done.stderr) == (0, "clear.png: transparency is composited on white.\n")


def test_a_full_disk_is_one_line(lic: Lic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")  # as write() raises it: it names no file
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(full))
    code, _, err = lic("compress", "photo.png", "x.lic", "-m", "run")
    assert code == 2 and err.startswith("Error: photo.png: x.lic cannot be written: No space left")
    assert not list(tmp_path.glob("*x*"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        (["--help"], "The output"),
        (["info", "run", "--json"], "The output"),
        (["compress", "photo.png", "-", "-m", "run"], "photo.png: Standard output"),
    ],
)
def test_a_full_standard_output_is_one_line(run_python: Any, arguments: list[str], start: str) -> None:
    full = "import os; os.dup2(os.open('/dev/full', os.O_WRONLY), 1); from lic.cli import main; main()"
    done = run_python("-c", full, *arguments)
    assert done.returncode == 2, done.stderr
    assert (
        done.stderr.startswith(f"Error: {start} cannot be written: No space") and done.stderr.count("\n") == 1
    )


def test_one_jobs_fault_is_a_traceback(lic: Lic, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("lic.data.read_image", broken)
    monkeypatch.chdir(photos.parent)
    monkeypatch.setattr(sys, "argv", ["lic", "compress", "photos", "streams", "-m", "run", "-j", "2"])
    with pytest.raises(ZeroDivisionError):
        library.cli.main()
    assert torch.get_num_threads() == 1


def test_an_interrupt_says_how_far_it_came(lic: Lic, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []

    def interrupted(file: str, **options: Any) -> Any:
        calls.append(file)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        return read_image(file, **options)

    monkeypatch.setattr("lic.data.read_image", interrupted)
    code, _, err = lic("compress", "photos", "streams", "-m", "run")
    assert code == 130 and "Interrupted by SIGINT. 1 of 3 files are done." in err


def test_an_interrupt_counts_what_other_jobs_did(
    lic: Lic, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def first_is_interrupted(file: str, **options: Any) -> Any:
        if file.endswith("photos/a.png"):
            while not (tmp_path / "streams" / "b.lic").exists():
                time.sleep(0.01)
            signal.raise_signal(signal.SIGINT)
        return read_image(file, **options)

    monkeypatch.setattr("lic.data.read_image", first_is_interrupted)
    code, _, err = lic("compress", "photos", "streams", "-m", "run", "--jobs", "2")
    written = len(list((tmp_path / "streams").rglob("*.lic")))
    assert code == 130 and written >= 1 and f"Interrupted by SIGINT. {written} of 3 files are done." in err


def test_a_bar_is_for_terminals(lic: Lic, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(Pipe):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    code, out, _ = lic("compress", "photos", "streams", "-m", "run")
    assert code == 0 and out.count("bpp") == 3
    assert "3/3" in terminal.content.decode()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["compress", "photo.png", "x.lic", "--model", "nowhere"], "nowhere does not exist"),
        (["compress", "absent.png", "x.lic", "--model", "run"], "absent.png does not exist"),
        (["compress", "text.png", "x.lic", "--model", "run"], "text.png"),
        (["compress", "photo.png", "x.lic", "--model", "photo.png"], "not a readable checkpoint"),
        (["compress", "photo.png", "x.lic", "-m", "run", "--tile", "7"], "at least 16 pixels"),
        (["compress", "photo.png", "x.lic", "-m", "run", "-m", "other"], "--target-bpp"),
        (["compress", "photo.png", "x.lic", "-m", "run", "--target-psnr", "30"], "Give one --model; or"),
        (["compress", "photo.png", "x.lic", "-m", "run", "-m", "other", "--target-bpp", "inf"], "a number"),
        (["compress", "photo.png", "-", "-m", "run", "--json"], "--json"),
        (["compress", "photo.png", "x.lic", "-m", "run", "--setting", "low"], "leave the setting out."),
        (["compress", "photo.png", "text.png/x.lic", "-m", "run"], "text.png/x.lic cannot be written: "),
        (["decompress", "absent.lic", "x.png", "--model", "run"], "absent.lic"),
        (["decompress", "text.png", "x.jpg", "--model", "run"], ".png"),
        (["decompress", "text.png", "x.png", "--model", "run", "--model", "other"], "not a lic stream"),
        (["compress", "photo.png", "x.lic", "-m", ""], "The argument '' is empty; give a name"),
        (["compress", "photo.png", "x.lic", "--model="], "The argument --model= is empty"),
        (["compress", "", "x.lic", "-m", "run"], "is empty"),
        (["info", ""], "is empty"),
        (["decompress", "wide.lic", "x.png", "-m", "run", "--max-pixels", "3499"], "--max-pixels"),
    ],
)
def test_bad_input_is_one_line(
    lic: Lic, refused: Refused, tmp_path: Path, arguments: list[str], words: str
) -> None:
    (tmp_path / "text.png").write_text("not pixels")
    if "wide.lic" in arguments:
        lic("compress", "photo.png", "wide.lic", "-m", "run")
    assert words in refused(*arguments)


@pytest.mark.parametrize("command", ["compress", "decompress"])
def test_a_single_name_is_told_that_two_are_needed(lic: Lic, command: str) -> None:
    code, _, error = lic(command, "coffee.png", "--model", "RUN")
    assert code == 2 and "SOURCE to read and TARGET to write" in error and error.count("\n") == 1
