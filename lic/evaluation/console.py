"""How tables look on a console."""

from rich.box import SIMPLE_HEAD
from rich.table import Table


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
