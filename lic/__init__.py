"""lic: train, sweep, compare and ship learned image codecs."""

from typing import TYPE_CHECKING, Any

from lic import _torchvision

if TYPE_CHECKING:
    from lic.store.load import load_codec as load

__all__ = ["__version__", "load"]

__version__ = "0.1.0"

_torchvision.install()


def __getattr__(name: str) -> Any:
    if name == "load":  # on demand: torch takes a second to import
        from lic.store.load import load_codec

        return load_codec
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
