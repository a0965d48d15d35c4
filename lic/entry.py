"""How a command ends: with its result, or with one sentence and an exit code that is not zero."""

import errno
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path
from typing import NoReturn, TypeGuard

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from lic import allocator, interruption
from lic.atomic import FULL
from lic.configuration import CONF
from lic.errors import UserError

_FULL_ERROR = "HYDRA_FULL_ERROR"
_NO_CHOICE = re.compile(r"Could not override '(\w+)'\. No match in the defaults list")
_NO_KEY = re.compile(r"Could not override '([\w.]+)'.* is not in struct")
_NO_OPTION = re.compile(
    r"Could not find '([\w/]+)' Available options in '([\w/]+)': (.*?) Config search path"
)
_NO_BASE = re.compile(r"In 'hydra/launcher/(\w+)': Could not load 'hydra/launcher/submitit_")
_GROUP = re.compile(r"^(?P<name>[\w/]+): (?P<choices>\w+(?:, \w+)*)\n", re.MULTILINE)
_PLAIN = re.compile(r"[\w./:+-]+", re.ASCII)
_FLAGS_WITH_VALUE = {
    *("-c", "--cfg", "-p", "--package", "-cp", "--config-path", "-cn", "--config-name"),
    *("-cd", "--config-dir", "-sc", "--shell-completion", "--experimental-rerun", "-i", "--info"),
}
_LAUNCHERS = {
    "submitit": "hydra-submitit-launcher",
    "joblib": "hydra-joblib-launcher",
    "ray": "hydra-ray-launcher",
}
_COMPOSITION = (HydraException, OmegaConfBaseException)
_ENVIRONMENT = FULL | {
    *(errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG),
}


def run(main: Callable[[], object]) -> None:
    """Run a command; print a user's mistake as one line and exit with 2, a signal with 130 or 143.

    Faults of ours keep their traceback. So does everything when HYDRA_FULL_ERROR=1 is set.
    """
    wants_traceback = os.environ.get(_FULL_ERROR, "0") not in ("", "0")
    allocator.tune()
    os.environ[_FULL_ERROR] = "1"  # Hydra then raises instead of printing and exiting
    try:
        try:
            with interruption.handled():
                main()
        except (SystemExit, UserError):
            _flush()
            raise
        _flush()
    except interruption.Interrupted as stop:
        print(stop, file=sys.stderr)
        sys.exit(stop.exit_code)
    except BrokenPipeError:  # `--help | head`: the reader has seen enough
        drop_output()
    except Exception as error:
        if _is_full_output(error):
            drop_output()
        if wants_traceback or (message := user_message(error)) is None:
            raise
        end(message)
    finally:
        if not wants_traceback:
            del os.environ[_FULL_ERROR]


def run_hydra(main: Callable[[], object]) -> None:
    """`run` for a command whose words are Hydra's; flags may stand after overrides, too."""
    sys.argv[1:] = flags_first(sys.argv[1:])
    flags = {argument.partition("=")[0] for argument in sys.argv[1:] if argument.startswith("-")}
    if flags & {"-m", "--multirun"} and flags & {"-c", "--cfg"}:
        end("--cfg shows one configuration, and -m makes several; leave one of them out.")
    run(partial(_helped, main) if flags & {"-h", "--help"} else main)


def _helped(main: Callable[[], object]) -> None:
    """Hydra's help without the files that only hold what others share: they are no choice."""
    try:
        with redirect_stdout(StringIO()) as text:
            main()
    finally:  # Hydra exits after its help
        print(_GROUP.sub(_offered, text.getvalue()), end="")


def _offered(group: re.Match[str]) -> str:
    """The line of a group of choices without those that are none; nothing if none is left."""
    choices = [choice for choice in group["choices"].split(", ") if not choice.startswith("_")]
    return f"{group['name']}: {', '.join(choices)}\n" if choices else ""


def flags_first(arguments: Sequence[str]) -> list[str]:
    """The same arguments with the overrides at the end: Hydra's parser takes no flag after them."""
    is_override = [
        not argument.startswith("-") and before not in _FLAGS_WITH_VALUE
        for before, argument in zip(["", *arguments], arguments, strict=False)
    ]
    return [a for wanted in (False, True) for a, o in zip(arguments, is_override, strict=True) if o is wanted]


def quoted(value: str) -> str:
    """A text as the value of an override: in quotes, where Hydra or OmegaConf would read it otherwise."""
    if _PLAIN.fullmatch(value):
        return value
    escaped = re.sub(r"(\\*)('|\$\{)", r"\1\1\\\2", value)
    return "'" + re.sub(r"(\\+)$", r"\1\1", escaped) + "'"


def _flush() -> None:
    """Meet a full disk while there is a way to say so."""
    try:
        if sys.stdout:  # it is None where the shell closed it
            sys.stdout.flush()
    except BrokenPipeError:
        drop_output()


def end(message: str) -> NoReturn:
    """Leave with a sentence for the user and exit code 2."""
    print(f"Error: {message}", file=sys.stderr)
    sys.exit(2)


def drop_output() -> None:
    """Give up standard output, which takes no more, lest the interpreter try once again as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def is_main_process() -> bool:
    """False in the processes that train beside the first, on any node; only that one writes and speaks."""
    from lightning.fabric.plugins.environments.lightning import LightningEnvironment
    from lightning.pytorch.utilities import rank_zero_only  # reads what launchers set, but for NODE_RANK

    first_of_node = rank_zero_only.rank == 0  # type: ignore[attr-defined]
    return bool(first_of_node) and LightningEnvironment().node_rank() == 0


def lists_in(argv: list[str], key: str) -> list[str]:
    """Make ``key=a,b`` the list that people mean by it; in a sweep it stays Hydra's list of jobs."""
    if {"-m", "--multirun"} & set(argv):
        return argv
    start = f"{key}="
    return [f"{start}[{a.removeprefix(start)}]" if a.startswith(start) and "[" not in a else a for a in argv]


def user_message(error: BaseException) -> str | None:
    """The sentence for a user behind an exception, or None if the fault is ours."""
    for cause in _causes(error):
        if isinstance(cause, UserError):
            return str(cause)
    if isinstance(error, ValueError) and isinstance(error.__cause__, OSError):
        error = error.__cause__  # of a log that Hydra cannot begin
    if isinstance(error, OSError) and error.filename and error.errno in _ENVIRONMENT:
        return f"{error.filename}: {error.strerror}; check the path, its permissions and the free space."
    if _is_full_output(error):
        return f"The output cannot be written: {error.strerror}; free some space, or write elsewhere."
    return _composition_message(error) if isinstance(error, _COMPOSITION) else None


def _is_full_output(error: BaseException) -> TypeGuard[OSError]:
    """As write() raises it: without a name."""
    return isinstance(error, OSError) and error.errno in FULL and error.filename is None


def _choices(group: str) -> list[str]:
    """What a group of lic's own has in folders below its own, which Hydra does not name."""
    folder = Path(CONF) / group
    files = [file.relative_to(folder) for file in folder.rglob("*.yaml") if not file.name.startswith("_")]
    return [file.with_suffix("").as_posix() for file in files]


def _composition_message(error: BaseException) -> str:
    parts = [str(e) for e in (error, error.__cause__) if isinstance(e, _COMPOSITION)]
    text = "; ".join(" ".join(part.split()) for part in parts)
    if match := _NO_CHOICE.search(text):
        return f"The chosen model takes no {match[1]}=; leave the choice out or choose another model."
    if match := _NO_KEY.search(text):
        group, _, option = match[1].partition(".")
        if group in ("model", "upsample") and option:
            return f"The chosen {group} has no option {option!r}; see --help, or choose another {group}."
        added = "; with a + before it, it is added" if group == "hydra" else ""
        return f"There is no option {match[1]!r}{added}; see --help for those there are."
    if match := _NO_OPTION.search(text):
        group, name = match[2], match[1].removeprefix(f"{match[2]}/")
        known = {*match[3].split(), *_choices(group)}
        choices = ", ".join(sorted(choice for choice in known if not choice.startswith("_")))
        package = _LAUNCHERS.get(name.partition("_")[0]) if group == "hydra/launcher" else None
        install = f", or pip install {package}" if package else ""
        return f"There is no {group}={name}; choose one of {choices}{install}."
    if match := _NO_BASE.search(text):
        return f"hydra/launcher={match[1]} needs pip install {_LAUNCHERS['submitit']}."
    return text


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
