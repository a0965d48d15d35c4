import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lic import tracking
from lic.errors import UserError

KEY = "0123456789" * 4


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


@pytest.mark.slow
def test_a_training_outlives_wandb(tmp_path: Path) -> None:
    """Schedulers send SIGTERM to all processes of a job, W&B's own among them."""
    code = (
        "import os, signal, sys, time; from pathlib import Path; from lic import tracking; import wandb;"
        "logger = tracking.run_logger('lic', sys.argv[1]); tasks = Path('/proc/self/task').iterdir();"
        "children = [int(c) for t in tasks for c in (t / 'children').read_text().split()];"
        "assert children; [os.kill(child, signal.SIGTERM) for child in children]; time.sleep(2);"
        "[logger.log_metrics({'x': i}, step=i) for i in range(3)]\n"
        "with tracking.as_far_as_wandb_lives(): wandb.finish()\n"
        "print('went on')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"WANDB_MODE": "offline", "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert "went on" in done.stdout, done.stderr
    assert done.stderr.count("W&B takes no more values") >= 1, done.stderr


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
