import logging.config
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import ConfigKeyError

from lic import entry, train
from lic.atomic import write_text
from lic.entry import user_message
from lic.errors import UserError


def _raise(error: BaseException) -> None:
    raise error


def test_a_users_mistake_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    with pytest.raises(SystemExit) as stop:
        entry.run(lambda: _raise(UserError("Give a folder.")))
    assert stop.value.code == 2
    assert capsys.readouterr() == ("", "Error: Give a folder.\n")


def test_our_faults_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    with pytest.raises(ZeroDivisionError):
        entry.run(lambda: 1 / 0)


def test_who_asks_for_it_gets_the_traceback_of_a_users_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(UserError):
        entry.run(lambda: _raise(UserError("Give a folder.")))


def test_an_interrupt_is_no_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    with pytest.raises(SystemExit) as stop:
        entry.run(lambda: signal.raise_signal(signal.SIGINT))
    assert stop.value.code == 130 and capsys.readouterr().err == "Interrupted by SIGINT.\n"


def test_sentences_are_found_below_what_hydra_wraps_around_them() -> None:
    wrapped = HydraException("Error in call to target")
    wrapped.__cause__ = UserError("Give a folder.")
    assert entry.user_message(wrapped) == "Give a folder."
    assert entry.user_message(HydraException("Could not\n   find it")) == "Could not find it"
    assert (
        entry.user_message(ConfigKeyError("Key 'lamda' is not in struct")) == "Key 'lamda' is not in struct"
    )
    for fault in (ValueError("no"), AssertionError(), KeyboardInterrupt()):
        assert entry.user_message(fault) is None


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["codec=jpeg,webp", "data=kodak"], ["codec=[jpeg,webp]", "data=kodak"]),
        (["codec=jpeg"], ["codec=[jpeg]"]),
        (["codec=[jpeg]"], ["codec=[jpeg]"]),
        (["-m", "codec=jpeg,webp"], ["-m", "codec=jpeg,webp"]),
        (["codec=jpeg,webp", "--multirun"], ["codec=jpeg,webp", "--multirun"]),
    ],
)
def test_lists_are_written_without_brackets(arguments: list[str], expected: list[str]) -> None:
    assert entry.lists_in(arguments, "codec") == expected
    assert sys.argv != expected


def test_an_unwritable_place_is_one_line_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError) as caught:
        write_text(tmp_path / "file" / "out.json", "{}")
    message = user_message(caught.value)
    assert message and message.startswith(f"{tmp_path / 'file'}: File exists; check the path")
    with pytest.raises(IsADirectoryError) as folder:
        write_text(tmp_path, "{}")
    assert "Is a directory" in (user_message(folder.value) or "")


def test_a_log_that_cannot_begin_is_one_line_too(tmp_path: Path) -> None:
    """As Hydra opens that of a job, before the job."""
    (tmp_path / "train.log").mkdir()
    file = {"class": "logging.FileHandler", "filename": str(tmp_path / "train.log")}
    with pytest.raises(ValueError, match="handler") as caught:
        logging.config.dictConfig({"version": 1, "incremental": False, "handlers": {"file": file}})
    message = user_message(caught.value)
    assert message and message.startswith(f"{tmp_path / 'train.log'}: Is a directory; check the path")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    ("last", "sentence"),
    [
        (
            "pass",
            "The output cannot be written: No space left on device; free some space, or write elsewhere.",
        ),
        ("print('.' * 10**6)", "The output cannot be written: No space left on device"),
        ("sys.exit(0)", "The output cannot be written: No space left on device"),
        ("raise UserError('Give a folder.')", "Give a folder."),
    ],
)
def test_a_full_disk_is_one_line(run_python: Any, last: str, sentence: str) -> None:
    """Also where only the flush at the end meets it, and not again as the interpreter ends."""
    code = f"""
import os, sys
from lic import entry, train
from lic.errors import UserError
os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
def main():
    print("result")
    {last}
entry.run(main)
"""
    done = run_python("-c", code, PYTHONUNBUFFERED="")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert done.stderr.startswith(f"Error: {sentence}")


def test_a_reader_that_went_away_hides_no_error(run_python: Any) -> None:
    code = """
import os, sys
from lic import entry, train
from lic.errors import UserError
reader, writer = os.pipe()
os.dup2(writer, 1)
os.close(reader)
def main():
    print("result")
    raise UserError("Give a folder.")
entry.run(main)
"""
    done = run_python("-c", code, PYTHONUNBUFFERED="")
    assert (done.returncode, done.stderr) == (2, "Error: Give a folder.\n")


def test_a_fault_of_ours_keeps_its_traceback() -> None:
    assert user_message(KeyError("x")) is None
    try:
        raise FileNotFoundError(2, "No such file", "x")
    except FileNotFoundError:
        try:
            raise KeyError("y")
        except KeyError as error:
            assert user_message(error) is None


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["lamda=5"], "There is no option 'lamda'; see --help for those there are."),
        (
            ["model.kernal_size=5"],
            "The chosen model has no option 'kernal_size'; see --help, or choose another model.",
        ),
        (
            ["model=scale_hyperprior", "model.pixel_unshuffle=2"],
            "The chosen model has no option 'pixel_unshuffle'; see --help, or choose another model.",
        ),
        (
            ["experiment=cai2019/nosuch"],
            "There is no experiment=cai2019/nosuch; choose one of applsci2020/",
        ),
        (
            ["model=nosuch"],
            "There is no model=nosuch; choose one of baseline, comcnn_reccnn, fastdic, hyperprior",
        ),
    ],
)
def test_misspelt_options_are_one_sentence(overrides: list[str], sentence: str, repository: Path) -> None:
    with (
        initialize_config_dir(str(repository / "conf"), version_base="1.3"),
        pytest.raises(HydraException) as caught,
    ):
        compose("train", overrides)
    message = user_message(caught.value)
    assert message and message.startswith(sentence) and "\n" not in message and "_base," not in message


@pytest.mark.parametrize(
    ("given", "parsed"),
    [
        ("a=1 -m b=2,3", "-m a=1 b=2,3"),
        ("a=1 --cfg job ~c", "--cfg job a=1 ~c"),
        ("-cd folder=x a=1", "-cd folder=x a=1"),
        ("a=1 --config-dir here -m +b=2", "--config-dir here -m a=1 +b=2"),
        ("", ""),
    ],
)
def test_flags_may_stand_after_overrides(given: str, parsed: str) -> None:
    assert entry.flags_first(given.split()) == parsed.split()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("-m lambda=5,10 --cfg job", "--cfg shows one configuration, and -m makes several"),
        ("lambda=5 -m model=vgg", "There is no model=vgg; choose one of baseline, comcnn_reccnn"),
        (
            "-m hydra/launcher=slrum",
            "There is no hydra/launcher=slrum; choose one of basic, joblib, local, slurm",
        ),
        ("-m sweep.name=../x", "sweep.name=../x is no plain name for a folder below multirun/"),
        ("-m sweep.detach=true", "add hydra/launcher=slurm or local."),
    ],
)
def test_commands_that_cannot_be_are_one_sentence(
    arguments: str,
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments.split()])
    with pytest.raises(SystemExit) as stop:
        train.run()
    error = capsys.readouterr().err
    assert stop.value.code == 2 and sentence in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("launcher", "package"),
    [
        ("slurm", "hydra-submitit-launcher"),
        ("local", "hydra-submitit-launcher"),
        ("submitit_local", "hydra-submitit-launcher"),
        ("joblib", "hydra-joblib-launcher"),
        ("ray", "hydra-ray-launcher"),
    ],
)
def test_a_launcher_that_is_not_installed_is_named_with_the_command_that_installs_it(
    run_python: Any, launcher: str, package: str
) -> None:
    alone = "import sys; sys.modules['hydra_plugins'] = None; from lic import train; train.run()"
    done = run_python("-c", alone, "-m", f"hydra/launcher={launcher}", "lambda=5,10")
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert f"hydra/launcher={launcher}" in done.stderr and f"pip install {package}." in done.stderr


@pytest.mark.parametrize(
    "folder",
    ["/runs/a-1.5", "/a,b=1", "/run (1)", "/[x]{y}", "/it's", "/#1", "/Höhe", "/a\\b", "/a\\'b", "/end\\",
     "/'\\", "/$HOME ${x}", "/\\${x}", "/~*?", "/a b\tc"],
)  # fmt: skip
def test_a_quoted_value_is_read_as_it_was(folder: str) -> None:
    (override,) = OverridesParser.create().parse_overrides([f"hydra.run.dir={entry.quoted(folder)}"])
    assert OmegaConf.create({"value": override.value()}).value == folder


def test_help_offers_nothing_that_is_no_choice(capsys: pytest.CaptureFixture[str]) -> None:
    said = "model:\n  _target_: _x\n\nalone: _base\ndata/a: _base, b, _c, d_e\nlast: a, _base\nseed: 0\n"
    entry._helped(lambda: print(said, end=""))
    assert capsys.readouterr().out == "model:\n  _target_: _x\n\ndata/a: b, d_e\nlast: a\nseed: 0\n"


def test_help_offers_no_base_files(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "--help"])
    with pytest.raises(SystemExit) as stop:
        train.run()
    assert not stop.value.code
    text = capsys.readouterr().out
    assert "\ndata: builtin, cifar10" in text and not re.search(r"\b_(base|patches)\b", text)


@pytest.mark.parametrize(
    ("environment", "first"),
    [
        ({}, True),
        ({"LOCAL_RANK": "0", "NODE_RANK": "0"}, True),
        ({"NODE_RANK": "1"}, False),
        ({"LOCAL_RANK": "0", "NODE_RANK": "1"}, False),
        ({"LOCAL_RANK": "1", "NODE_RANK": "0"}, False),
        ({"RANK": "4", "LOCAL_RANK": "0", "GROUP_RANK": "1"}, False),
        ({"SLURM_PROCID": "8"}, False),
    ],
)
@pytest.mark.slow
def test_who_is_first_of_all_nodes(run_python: Any, environment: dict[str, str], first: bool) -> None:
    done = run_python("-c", "from lic.entry import is_main_process; print(is_main_process())", **environment)
    assert done.stdout.strip() == str(first), done.stderr
