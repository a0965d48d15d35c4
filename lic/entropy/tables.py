"""Tables: integers that coding needs besides weights, derived from them once and then kept with them.

They are no part of a state dict: they are not trained, and their sizes may change with the weights.
Another machine would derive them a little differently, so a codec is its weights plus its `tables`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from lic.errors import UserError


class TableError(UserError):
    """The tables of a file cannot be those of its model."""


class Tabled(ABC):
    """A module with tables: buffers named by ``table_types``, which are saved as those types."""

    table_types: Mapping[str, torch.dtype]

    @abstractmethod
    def update_tables(self) -> None:
        """Derive the tables from what is learned."""

    @abstractmethod
    def check_tables(self, tables: Mapping[str, Tensor]) -> None:
        """Refuse tables, named as in ``table_types``, with which coding would not be exact or not be safe.

        Raises:
            TableError: they cannot be those of this module.
        """


def register_tables(module: nn.Module, names: Iterable[str], dtype: torch.dtype) -> None:
    """Give ``module`` its tables, empty and outside of its state dict."""
    for name in names:
        module.register_buffer(name, torch.empty(0, dtype=dtype), persistent=False)


def update_tables(net: nn.Module) -> None:
    """Derive all tables of ``net`` from its weights."""
    for _, module in _tabled(net):
        module.update_tables()


def tables(net: nn.Module) -> dict[str, Tensor]:
    """All tables of ``net``, on the CPU, by name."""
    return {
        f"{prefix}.{name}": getattr(module, name).to("cpu", dtype).contiguous()
        for prefix, module in _tabled(net)
        for name, dtype in module.table_types.items()
    }


def load_tables(net: nn.Module, saved: Mapping[str, Tensor]) -> None:
    """Give ``net`` the tables that `tables` returned, as they are.

    Raises:
        TableError: tables are missing, left over, of other types, or impossible.
    """
    if saved.keys() != tables(net).keys():
        raise TableError("The entropy tables do not fit the model; save the model again with this lic.")
    for prefix, module in _tabled(net):
        own = {name: saved[f"{prefix}.{name}"] for name in module.table_types}
        for name, dtype in module.table_types.items():
            if own[name].dtype != dtype:
                raise TableError(f"The table {prefix}.{name} holds {own[name].dtype}, not {dtype}.")
        module.check_tables(own)
    for prefix, module in _tabled(net):
        for name in module.table_types:
            value = saved[f"{prefix}.{name}"].to(getattr(module, name), copy=True)
            setattr(module, name, in_fast_layout(value))


def check_shape(name: str, table: Tensor, shape: tuple[int, ...]) -> None:
    """Refuse a table of another shape with a `TableError`."""
    if tuple(table.shape) != shape:
        raise TableError(f"The table {name} has the shape {tuple(table.shape)}, not {shape}.")


def in_fast_layout(table: Tensor) -> Tensor:
    """Weights in the layout that `lic.models.build_model` gives to all of them."""
    return table.contiguous(memory_format=torch.channels_last if table.ndim == 4 else torch.contiguous_format)


def _tabled(net: nn.Module) -> Iterator[tuple[str, Tabled]]:
    """Entropy models come before what is derived from their tables: families declare them in this order."""
    return ((name, module) for name, module in net.named_modules() if isinstance(module, Tabled))
