import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from filelock import SoftFileLock

from lic import locking
from lic.errors import UserError
from lic.evaluation.evaluate import CLASSICAL, STREAMS
from lic.evaluation.result import PICTURES
from lic.locking import HOLDER_FILE, WRITTEN, in_turn, only_writer
from lic.store.checkpoint import CHECKPOINTS
from lic.training.logs import METRICS_FILE

HOLD = """
import sys, time
from pathlib import Path
from lic.locking import only_writer
with only_writer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that writes ``tmp_path / "run"``."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_writer_is_told_who_the_first_is(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    for _ in range(2):  # asking does not make the holder forgotten
        with pytest.raises(UserError) as refusal, only_writer(tmp_path / "run"):
            pass
        assert f"run is being written by process {holder.pid} on {socket.gethostname()};" in str(
            refusal.value
        )
    with only_writer(tmp_path / "other"):
        pass


def test_a_dead_writers_folder_is_taken_over(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with only_writer(tmp_path / "run"):
        assert f"process {os.getpid()} " in (tmp_path / "run" / HOLDER_FILE).read_text()


def test_a_folder_can_be_written_again(tmp_path: Path) -> None:
    for _ in range(2):
        with only_writer(tmp_path):
            pass


def test_work_that_all_may_do_waits_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file, order = tmp_path / "new" / ".lock", []
    begun = threading.Event()

    def wait() -> None:
        begun.set()
        with in_turn(file, "decodes"):
            order.append("second")

    with in_turn(file, "decodes"):
        thread = threading.Thread(target=wait)
        with caplog.at_level("INFO"):
            thread.start()
            assert begun.wait(10)
            while "waiting" not in caplog.text:
                assert thread.is_alive()
                time.sleep(0.01)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    assert f"Another process decodes; waiting for it ({file})." in caplog.text


def test_the_lock_of_a_system_without_flock_keeps_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There, the lock is a file that says who made it, and others look whether that process lives."""
    monkeypatch.setattr("filelock.FileLock", SoftFileLock)
    with only_writer(tmp_path):
        assert (tmp_path / ".lock").read_text().splitlines()[0] == str(os.getpid())


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("checkpoints", ""),
        ("streams", "no such folder"),
        ("classical/photos", ""),
        ("train.log", "no such file"),
        (".hydra/config.yaml", "file"),
        ("model-1/streams", ""),
    ],
)
def test_nothing_is_written_through_a_strangers_link(tmp_path: Path, link: str, target: str) -> None:
    (tmp_path / "file").write_text("precious")
    place = tmp_path / "received" / link
    place.parent.mkdir(parents=True)
    place.symlink_to(tmp_path / target)
    refusal = pytest.raises(UserError, match=f"{link} is a link out of its folder")
    with refusal, only_writer(tmp_path / "received"):
        pass
    assert not (tmp_path / "received" / ".lock").exists()


def test_other_links_stay(tmp_path: Path) -> None:
    """W&B makes some within its folder, and a run may lie beside anything."""
    run = tmp_path / "run"
    (run / "wandb" / "run-1").mkdir(parents=True)
    (run / "wandb" / "latest-run").symlink_to("run-1")
    (run / "wandb" / "loop").symlink_to("loop")
    (run / "data").symlink_to("/usr")
    (tmp_path / "alias").symlink_to(run)
    with only_writer(tmp_path / "alias"):
        pass
    with pytest.raises(UserError, match="data is a link"), only_writer(run, ["*"]):
        pass


def test_all_that_a_run_writes_is_looked_at() -> None:
    assert {CHECKPOINTS, STREAMS, CLASSICAL, *PICTURES, METRICS_FILE} < set(WRITTEN)


def test_a_look_at_who_holds_a_lock_takes_none(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    run = tmp_path / "run"
    assert locking.holder(run) == (holder.pid, socket.gethostname()) and locking.is_held(run)
    assert not locking.is_held(tmp_path) and locking.holder(tmp_path) is None
    holder.kill()
    holder.wait()
    assert not locking.is_held(run)
    with only_writer(run):
        assert locking.is_held(run)


@pytest.mark.parametrize(
    "said", ["process 1 on elsewhere", "process -1 on here", "process 1", "\x00", "1 2 3 4"]
)
def test_odd_words_about_a_holder_are_nobody(tmp_path: Path, said: str) -> None:
    (tmp_path / HOLDER_FILE).write_text(said)
    (tmp_path / locking.LOCK_FILE).touch()
    assert not locking.is_held(tmp_path)


@pytest.mark.parametrize(
    ("link", "is_refused"),
    [
        ("wandb/offline-run-1-a/logs/debug-core.log", False),
        ("wandb/run-1-a/logs/debug-core.log", False),
        ("wandb/run-1-a/logs/debug.log", True),
        ("wandb/run-1-a/debug-core.log", True),
        ("checkpoints/run-1-a/logs/debug-core.log", True),
        ("wandb", True),
    ],
)
def test_the_link_that_a_killed_wandb_leaves_keeps_nobody_from_going_on(
    tmp_path: Path, link: str, is_refused: bool
) -> None:
    (tmp_path / "cache").mkdir()
    place = tmp_path / "run" / link
    place.parent.mkdir(parents=True)
    place.symlink_to(tmp_path / "cache")
    with (
        pytest.raises(UserError, match="is a link out") if is_refused else nullcontext(),
        only_writer(tmp_path / "run"),
    ):
        pass
