"""The one exception that users see as a sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class UserError(ValueError):
    """Something the user gave cannot be used; the text is one sentence that says what to do.

    Entry points print it alone, without a traceback, and exit with a non-zero code. Faults of our own
    stay ``AssertionError`` and keep their traceback.
    """


@contextmanager
def naming_file(file: Path) -> Iterator[None]:
    """Begin every `UserError` of the block with the file that it is about."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{file} cannot be used. {error}") from error
