"""From a description, weights and tables to a network. Their file may come from anybody: all is checked."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.random import fork_rng
from torch.utils._python_dispatch import TorchDispatchMode

from lic.entropy import load_tables
from lic.errors import UserError
from lic.models import Network, build_model, full_options
from lic.store.description import Description


def rebuild_net(
    description: Description, weights: Mapping[str, Tensor], tables: Mapping[str, Tensor], size: int
) -> Network:
    """The network, on the CPU, that a file of ``size`` bytes holds; a forged one allocates little more.

    Raises:
        UserError: the parts do not fit each other, or some are not finite.
    """
    options = ", ".join(f"{key} {value}" for key, value in description.model.items())
    misfit = UserError(f"It does not fit the model it names ({options}); save or export it again.")
    try:
        check_tensors([*weights.values(), *tables.values()], size)
        full_options(**description.model)  # another's package is imported now: what it makes is no weight
        with fork_rng(devices=[]), _WeightBudget(sum(w.numel() for w in weights.values())):
            net = build_model(**description.model)
        if shapes(net.state_dict()) != shapes(weights):
            raise misfit
        net.load_state_dict(weights)
        load_tables(net, tables)
    except (RuntimeError, TypeError, AttributeError, OverflowError) as error:
        raise misfit from error
    return net


def check_tensors(values: Collection[Any], size: int) -> None:
    """Refuse values of a file of ``size`` bytes that are no ordinary tensors, or hold no finite numbers.

    Raises:
        UserError: one is.
    """
    try:
        ordinary = all(map(_is_ordinary, values)) and sum(tensor.nbytes for tensor in values) <= size
        finite = ordinary and all(tensor.isfinite().all() for tensor in values)
    except RuntimeError:  # torch compares not all kinds of numbers
        ordinary = False
    if not ordinary:
        raise UserError("It holds something else than ordinary tensors; save or export it again.")
    if not finite:
        raise UserError("It holds numbers that are not finite; use an earlier checkpoint.")


def shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """Shape and type of each: weights fit a network that has the same."""
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}


def _is_ordinary(value: Any) -> bool:
    """Whether it is an ordinary tensor: a pickle can also make sparse, nested and placeless ones."""
    if not isinstance(value, Tensor):
        return False
    return value.layout == torch.strided and value.device.type == "cpu" and not value.is_nested


class _WeightBudget(TorchDispatchMode):
    """Builds a network of at most ``numbers`` weights: one claimed to be larger is not allocated.

    A network on the meta device, or of fake tensors, would allocate nothing at all. But the constructors of
    CompressAI's layers compute with tensors that they place on the CPU and fail beside such ones, and the
    weights of fake tensors cannot be swapped for channels-last ones.
    """

    def __init__(self, numbers: int):
        super().__init__()
        self.left = 2 * numbers  # constructors may also compute with tensors that they do not keep

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not _has_tensor(args):  # it makes a new one
            self.left -= func(*args, **kwargs | {"device": torch.device("meta")}).numel()
            if self.left < 0:
                raise RuntimeError("The file holds fewer weights than its model has.")
        return func(*args, **kwargs)


def _has_tensor(values: Iterable[Any]) -> bool:
    """Whether a tensor is among the arguments of an operation, or in a list there, as those of torch.cat."""
    return any(
        _has_tensor(value) if isinstance(value, list | tuple) else isinstance(value, Tensor)
        for value in values
    )
