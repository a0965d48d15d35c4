"""How a command ends: with its result, or with one sentence and an exit code that is not zero."""

import os
import re
import sys
from collections.abc import Callable, Iterator

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from lic.errors import UserError

_FULL_ERROR = "HYDRA_FULL_ERROR"
_NO_CHOICE = re.compile(r"Could not override '(\w+)'\. No match in the defaults list")


def run(main: Callable[[], object]) -> None:
    """Run a Hydra application; print a user's mistake as one line and exit with 2.

    Faults of ours keep their traceback. So does everything when HYDRA_FULL_ERROR=1 is set.
    """
    wants_traceback = os.environ.get(_FULL_ERROR, "0") not in ("", "0")
    os.environ[_FULL_ERROR] = "1"  # Hydra then raises instead of printing and exiting
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Interrupted; the same command with ckpt_path=last in the run's folder continues a training.")
    except Exception as error:
        if wants_traceback or (message := user_message(error)) is None:
            raise
        print(f"Error: {message}", file=sys.stderr)
        sys.exit(2)


def user_message(error: BaseException) -> str | None:
    """The sentence for a user behind an exception, or None if the fault is ours."""
    for cause in _causes(error):
        if isinstance(cause, UserError):
            return str(cause)
    if not isinstance(error, HydraException | OmegaConfBaseException):
        return None
    parts = [str(e) for e in (error, error.__cause__) if isinstance(e, HydraException | OmegaConfBaseException)]
    text = "; ".join(" ".join(part.split()) for part in parts)
    if match := _NO_CHOICE.search(text):
        return f"The chosen model takes no {match[1]}=; leave the choice out or choose another model."
    return text


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
