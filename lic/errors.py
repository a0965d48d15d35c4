"""The one exception that users see as a sentence, and how a stranger's text is shown to them."""

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CONTROLS = {"Cc", "Cf", "Cs", "Zl", "Zp"}


class UserError(ValueError):
    """Something the user gave cannot be used; the text is one sentence that says what to do.

    Entry points print it alone, without a traceback, and exit with a non-zero code. Faults of our own
    stay ``AssertionError`` and keep their traceback.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(visible(sentence))


class LostProcessError(UserError):
    """Another process of the same training has ended, and this one cannot go on without it."""


def visible(text: str) -> str:
    """The same text with control characters but line ends spelt as Python would: a terminal obeys none."""
    return "".join(
        letter.encode("unicode_escape").decode()
        if letter != "\n" and unicodedata.category(letter) in _CONTROLS
        else letter
        for letter in text
    )


@contextmanager
def naming_file(file: Path) -> Iterator[None]:
    """Begin every `UserError` of the block with the file that it is about."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{file} cannot be used. {error}") from error
