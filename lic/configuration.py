"""Where the configuration lies that Hydra composes."""

from pathlib import Path

_PACKAGE = Path(__file__).parent
_INSTALLED, _CHECKOUT = _PACKAGE / "conf", _PACKAGE.parent / "conf"

CONF = str(_INSTALLED if _INSTALLED.is_dir() else _CHECKOUT)
"""Absolute path of ``conf/``: beside this package in a checkout, within it where a wheel is installed."""
