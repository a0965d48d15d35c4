import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lic.errors import UserError
from lic.locking import in_turn, only_writer

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
        assert f"process {os.getpid()} " in (tmp_path / "run" / ".lock").read_text()


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
