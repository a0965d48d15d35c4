"""Configurations of a sweep's jobs: those that differ in numbers alone are composed once.

Hydra reads all of its files again for each job, in a tenth of a second. A number chooses no file, and takes
the place of another number as well as that one did.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from hydra._internal.core_plugins import basic_sweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from omegaconf import DictConfig, OmegaConf, open_dict

from lic.sweep.names import check_different, lic_names_the_folders

_KNOWN = Plugins.instance().class_name_to_class
_NAME = f"{basic_sweeper.__name__}.BasicSweeper"
_BASE: Any = _KNOWN[_NAME]  # not the module's, which Hydra loads twice


class Sweeper(_BASE):
    """Hydra's own, which looks at one of the jobs that differ in numbers alone before it launches all."""

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Compose whatever may fail to be composed.

        Raises:
            UserError: two jobs would have one folder, or there is none.
        """
        if lic_names_the_folders(self.config):
            check_different(batch)
        kinds = {_kind(overrides): overrides for overrides in batch}
        super().validate_batch_is_legal(list(kinds.values()))


def take_over() -> None:
    """Have Hydra use this sweeper in place of its own."""
    _KNOWN[_NAME] = Sweeper


class Compositions:
    """The jobs' configurations without Hydra's part.

    Args:
        loader: Hydra's.
        sweep: the configuration of the command.
    """

    def __init__(self, loader: ConfigLoader, sweep: DictConfig) -> None:
        self._loader, self._sweep = loader, sweep
        self._known: dict[tuple[str, ...], DictConfig] = {}

    def __getitem__(self, overrides: Sequence[str]) -> DictConfig:
        """Of the job with these overrides; good until the next is asked for."""
        kind = _kind(overrides)
        if kind not in self._known:
            composed = self._loader.load_sweep_config(self._sweep, list(overrides))
            with open_dict(composed):
                del composed["hydra"]
            self._known[kind] = composed
        own = self._known[kind]
        for override in map(_parsed, overrides):
            if _is_number(override) and not override.is_hydra_override():
                OmegaConf.update(own, override.key_or_group, override.value())
        return own


def _kind(overrides: Sequence[str]) -> tuple[str, ...]:
    """The overrides, but for the values of those that are numbers."""
    parsed = map(_parsed, overrides)
    return tuple(
        f"{one.get_key_element()}={type(one.value())}" if _is_number(one) else text
        for text, one in zip(overrides, parsed, strict=True)
    )


def _is_number(override: Override) -> bool:
    is_plain = override.package is None and not override.is_delete()
    return is_plain and isinstance(override.value(), int | float)


@cache
def _parsed(override: str) -> Override:
    return OverridesParser.create().parse_override(override)
