"""How a terminal shows tables and bars. Strings are shown letter for letter: a name is no markup."""

from collections.abc import Iterable
from typing import Any, TypeVar

import rich.console
from rich.box import SIMPLE_HEAD
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from lic.errors import visible

Item = TypeVar("Item")


class Console(rich.console.Console):
    """Standard output or standard error, on which brackets, colons and control characters mean nothing."""

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        super().__init__(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Rich's own way from any printed string to a text; here without markup."""
        return super().render_str(visible(text), **options)


def plain_table(title: str, caption: str | None = None) -> Table:
    """An empty table without a frame, from the left margin on."""
    return Table(
        title=title,
        title_justify="left",
        caption=caption,
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )


def progress(*columns: ProgressColumn, **options: Any) -> Progress:
    """Bars on standard error; ``columns`` follow each one's description, ``options`` are rich's."""
    description = TextColumn("{task.description}", markup=False)
    return Progress(description, *columns, console=Console(stderr=True), **options)


def track(items: Iterable[Item], description: str, **options: Any) -> Iterable[Item]:
    """The items, with a bar on standard error that says how many are done."""
    with progress(BarColumn(), TaskProgressColumn(), TimeRemainingColumn(True), **options) as bar:
        yield from bar.track(items, description=visible(description))
