import logging
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lic import tracking
from lic.errors import UserError

from .wandb_server import KEY, Server


@pytest.fixture
def wandb_server() -> Iterator[Server]:
    """A server at which runs begin and end well, until it is told to answer otherwise."""
    with Server() as server:
        yield server


@pytest.fixture(autouse=True)
def no_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A user without any W&B configuration, whatever the machine has."""
    import wandb

    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    tracking._say_offline.cache_clear()
    wandb.teardown()
    yield
    wandb.teardown()


def test_without_an_account_it_is_offline_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert [tracking.wandb_mode(), tracking.wandb_mode()] == ["offline", "offline"]
    (message,) = caplog.messages
    assert "offline" in message and "wandb login" in message and "\n" not in message


@pytest.mark.parametrize("mode", ["offline", "online", "disabled"])
def test_the_environment_decides(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    monkeypatch.setenv("WANDB_MODE", mode)
    assert tracking.wandb_mode() == mode
    assert caplog.messages == []


def test_a_continued_run_goes_on_under_its_id(tmp_path: Path) -> None:
    first = tracking.run_id(tmp_path)
    assert tracking.run_id(tmp_path) == first and tracking.run_id(tmp_path / "..") != first


@pytest.mark.parametrize("odd", ["", "../../x", "a" * 9, "0123456\u0667", "ABCDEFGH"])
def test_an_id_that_lic_did_not_make_is_replaced(tmp_path: Path, odd: str) -> None:
    (tmp_path / tracking.ID_FILE).write_text(odd)
    made = tracking.run_id(tmp_path)
    assert made != odd and tracking.run_id(tmp_path) == made


RUN = """
import os, signal, sys, time
from pathlib import Path
from lic import tracking

def children():
    tasks = Path("/proc/self/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]

here = Path(sys.argv[1])
begin = lambda: tracking.run_logger("lic", str(here), id=tracking.run_id(here), name="x")
logger = begin()
log = lambda first: [logger.log_metrics({"x": i}, step=i) for i in range(first, first + 3)]
log(0)
"""


@pytest.fixture
def training(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run what goes on after the first values of a run, which is told what it may wait for: two seconds."""

    def run(then: str, **environment: str) -> subprocess.CompletedProcess[str]:
        settings = {"PYTHONPATH": str(Path(__file__).parents[1]), "WANDB_FINISH_TIMEOUT": "2"}
        return subprocess.run(
            [sys.executable, "-c", RUN + then, str(tmp_path)],
            check=False,
            capture_output=True,
            text=True,
            timeout=200,
            env=os.environ | settings | {"WANDB_INIT_TIMEOUT": "2"} | environment,
        )

    return run


@pytest.mark.slow
def test_a_training_outlives_wandb(training: Any) -> None:
    """Schedulers send SIGTERM to all processes of a job, W&B's own among them; the next job has its own."""
    done = training(
        "assert children(); [os.kill(child, signal.SIGTERM) for child in children()]; time.sleep(2); log(3)\n"
        "tracking.finish_run(0); logger = begin(); log(0); tracking.finish_run(0); print('went on')",
        WANDB_MODE="offline",
    )
    assert done.returncode == 0 and "went on" in done.stdout, done.stderr
    assert done.stderr.count("W&B takes no more values") >= 1 and "Traceback" not in done.stderr, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("answers", ["never", "500"])
def test_without_a_server_a_run_is_recorded_offline(
    training: Any, wandb_server: Server, tmp_path: Path, answers: str
) -> None:
    wandb_server.answers = answers
    done = training("tracking.finish_run(0); print('went on')", **wandb_server.account)
    assert done.returncode == 0 and "went on" in done.stdout, done.stderr
    (said,) = re.findall(r"^W&B cannot be reached .* is recorded offline.*$", done.stderr, re.MULTILINE)
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    assert said.endswith(f"to upload it: wandb sync {folder}") and next(folder.glob("*.wandb"))


@pytest.mark.slow
@pytest.mark.parametrize("answers", ["well", "never", "500"])
def test_at_its_end_a_run_waits_for_no_server_for_ever(
    training: Any, wandb_server: Server, tmp_path: Path, answers: str
) -> None:
    then = (
        "from urllib.request import urlopen\n"
        f"urlopen(os.environ['WANDB_BASE_URL'] + '/from-now-on/{answers}')\n"
        "start = time.monotonic(); log(3); print('logged', time.monotonic() - start)\n"
        "tracking.finish_run(0); print('ended', time.monotonic() - start)"
    )
    done = training(then, **wandb_server.account, WANDB_INIT_TIMEOUT="60")
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    logged, ended = (float(line.split()[1]) for line in done.stdout.splitlines())
    assert logged < 2 and ended < 60, "it waits as long as it is told, and for its own process"
    (folder,) = (tmp_path / "wandb").glob("run-*")
    told = f"W&B has not taken the whole run; to upload the rest: wandb sync {folder}"
    assert (told in done.stderr) == (answers != "well"), done.stderr


@pytest.mark.slow
def test_what_the_server_refuses_is_a_sentence(training: Any, wandb_server: Server) -> None:
    wandb_server.answers = "401"
    done = training("", **wandb_server.account)
    assert "UserError: W&B refuses the run (" in done.stderr and "returned error 401" in done.stderr


def test_an_id_is_no_link(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("01234567")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / tracking.ID_FILE).symlink_to(tmp_path / "other")
    assert tracking.run_id(tmp_path / "run") != "01234567"
    assert (tmp_path / "other").read_text() == "01234567"


@pytest.mark.slow
def test_both_parts_of_a_run_are_one_at_wandb(tmp_path: Path) -> None:
    """Offline, each has a folder of its own, which W&B joins by their id when they are uploaded."""
    code = (
        "import sys; from pathlib import Path; from lic import tracking;"
        "here = Path(sys.argv[1]); logger = tracking.run_logger('lic', str(here), id=tracking.run_id(here));"
        "logger.experiment.finish()"
    )
    for _ in range(2):
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)],
            check=True,
            env=os.environ | {"WANDB_MODE": "offline", "PYTHONPATH": str(Path(__file__).parents[1])},
        )
    ids = {folder.name.rpartition("-")[2] for folder in (tmp_path / "wandb").glob("offline-run-*")}
    assert ids == {tracking.run_id(tmp_path)}


def test_a_run_lands_in_its_folder_wherever_the_service_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W&B's own process takes relative names from where it was started."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    for place in ("first", "second"):
        (tmp_path / place).mkdir()
        monkeypatch.chdir(tmp_path / place)
        tracking.start_run(Path("run"), project="lic").finish()
        assert len(list((tmp_path / place).glob("run/wandb/offline-run-*/run-*.wandb"))) == 1, place


def test_an_unknown_mode_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "ofline")
    with pytest.raises(UserError, match="online, offline"):
        tracking.wandb_mode()


def test_a_key_in_the_environment_or_netrc_means_online(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import wandb

    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert tracking.wandb_mode() == "online"
    monkeypatch.delenv("WANDB_API_KEY")
    wandb.teardown()
    (tmp_path / "netrc").write_text(f"machine api.wandb.ai\n  login user\n  password {KEY}\n")
    assert tracking.wandb_mode() == "online"


def test_no_server_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        assert tracking.wandb_mode() == "online"
        server.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody has called
            server.accept()


def test_an_impossible_key_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "short")
    with pytest.raises(UserError, match="wandb login"):
        tracking.wandb_mode()


def test_importing_tracking_is_cheap() -> None:
    code = "import lic.tracking, sys; print({'wandb', 'torch', 'plotly'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def test_names_are_no_longer_than_the_server_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    asked: list[dict[str, str]] = []
    monkeypatch.setattr(wandb, "init", lambda **options: asked.append(options))
    for end in "ab":
        tracking.start_run(tmp_path, project="lic", name="x" * 140 + end, group="short")
    first, second = (options["name"] for options in asked)
    assert len(first) == len(second) == 128 and first != second
    assert asked[0]["group"] == "short"
