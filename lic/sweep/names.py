"""Names of sweeps, of their jobs' folders, and of the curves that their results lie on.

Light on purpose: Hydra needs them to compose a configuration, before anything heavy is loaded.
"""

import hashlib
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from lic.errors import UserError

_LONGEST_NAME = 120
_NAME = re.compile(rf"\w[\w.+-]{{0,{_LONGEST_NAME - 1}}}")
_OF_THE_FRAME = re.compile(r"[+~]*(hydra|sweep)\b")
"""Options that say how jobs are run, not what they are."""


def register_resolvers() -> None:
    """Names of folders and curves, for ``hydra.sweep.dir`` and ``hydra.sweep.subdir``.

    ``${sweep_name:NAME}`` is the name that people give (``sweep.name``), else made of the command's
    overrides, so that the same command finds its folder again;
    ``${job_name:${hydra.overrides.task},${swept_keys:}}`` of what differs between the jobs. What depends on
    the command is looked up once, see `look_up`.
    """
    OmegaConf.register_new_resolver("sweep_name", _sweep_name, use_cache=True, replace=True)
    OmegaConf.register_new_resolver("swept_keys", _swept_keys, use_cache=True, replace=True)
    OmegaConf.register_new_resolver("job_name", _job_name, replace=True)
    OmegaConf.register_new_resolver("variant", _variant, replace=True)


def look_up(config: DictConfig) -> None:
    """Resolve what depends on the command, in the process that starts the sweep.

    OmegaConf keeps it in the configuration, and Hydra hands it on to the jobs: in other processes, where a
    launcher may run them, the command is another.

    Raises:
        UserError: several values for what all jobs share.
    """
    for override in _parsed_command():
        if override.is_sweep_override() and _OF_THE_FRAME.match(override.get_key_element()):
            raise UserError(f"{override.input_line} is of the sweep as a whole; give it one value.")
    _ = config.hydra.sweep.dir
    OmegaConf.to_container(OmegaConf.create(["${swept_keys:}"], parent=config), resolve=True)


def lic_names_the_folders(config: DictConfig) -> bool:
    """Whether jobs' folders have the names of `register_resolvers`, not of ``hydra.sweep.subdir=…``."""
    return str(OmegaConf.to_container(config.hydra.sweep)["subdir"]).startswith("${job_name:")  # type: ignore[call-overload, index]


def check_different(jobs: Sequence[Sequence[str]]) -> None:
    """Refuse jobs that would have one folder.

    Raises:
        UserError: there are some, or there is no job.
    """
    if not jobs:
        raise UserError("The sweep has no job: one of its choices matches nothing.")
    named, swept = dict[str, Sequence[str]](), _swept_keys()
    for job in jobs:
        name = _job_name(job, swept)
        other = named.setdefault(name, job)
        if other is not job:
            raise UserError(
                f"Two jobs would have the folder {name}: {' '.join(other)}, and {' '.join(job)}; give each "
                "value once, and values that differ in letters or digits."
            )


def _parsed_command() -> list[Override]:
    overrides = [a for a in sys.argv[1:] if "=" in a and not a.startswith("-")]
    return OverridesParser.create().parse_overrides(overrides)


def _command() -> list[Override]:
    return [o for o in _parsed_command() if not _OF_THE_FRAME.match(o.get_key_element())]


def _sweep_name(given: str | None) -> str:
    if given is None:
        return _folder_name(o.input_line or "" for o in _command())
    if not _NAME.fullmatch(str(given)):
        raise UserError(
            f"sweep.name={given} is no plain name for a folder below multirun/; use letters, digits "
            f"and . _ + - (at most {_LONGEST_NAME}), and begin with none of the signs."
        )
    return str(given)


def _swept_keys() -> list[str]:
    return [o.get_key_element() for o in _command() if o.is_sweep_override()]


def _job_name(overrides: Sequence[str], swept: Sequence[str]) -> str:
    """The swept overrides; all of them where a sweeper of its own varies others."""
    own = [override for override in overrides if not _OF_THE_FRAME.match(override)]
    return _folder_name([o for o in own if o.split("=")[0] in swept] or own)


def _variant(overrides: Sequence[str], swept: Sequence[str]) -> dict[str, Any]:
    """The overrides that a sweep varies, by their keys: numbers, flags, and others as they were written."""
    parsed = OverridesParser.create().parse_overrides([o for o in overrides if o.split("=")[0] in swept])
    values = {o.get_key_element(): (o.value(), o.get_value_element_as_str()) for o in parsed}
    return {k: value if isinstance(value, int | float) else text for k, (value, text) in values.items()}


def _folder_name(overrides: Iterable[str]) -> str:
    """A folder name that needs no quoting in a shell or in a Hydra override."""
    text = ",".join(overrides)
    name = re.sub(r"[^\w.+-]+", "_", text.replace("=", "-")).strip("_.") or "default"
    if len(name) > _LONGEST_NAME:
        name = f"{name[:_LONGEST_NAME]}_{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    return name
