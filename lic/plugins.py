"""Additions by other installed packages: entry points, which lic finds by name.

A package says so in its pyproject.toml::

    [project.entry-points."lic.models"]
    toy = "package.module:Toy"

Files never decide what is imported: a name that they hold is looked up among lic's own and these.
"""

from functools import cache
from importlib.metadata import entry_points
from typing import Any

from lic.errors import UserError


@cache
def names(group: str) -> tuple[str, ...]:
    """Of all that installed packages offer in a group such as "lic.models", sorted."""
    return tuple(sorted({point.name for point in entry_points(group=group)}))


@cache
def load(group: str, name: str) -> Any:
    """The object that a package offers under a name.

    Raises:
        UserError: it cannot be imported.
    """
    point = next(point for point in entry_points(group=group) if point.name == name)
    try:
        return point.load()
    except Exception as error:  # anything may happen in another's package
        raise UserError(
            f"{point.value}, which an installed package offers as {name} in {group}, cannot be imported "
            f"({type(error).__name__}: {error}); mend or uninstall that package."
        ) from error
