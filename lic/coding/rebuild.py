"""From a description, weights and tables to a network. Their file may come from anybody: all is checked."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lic.coding.codec import CodecInfo
from lic.entropy import load_tables
from lic.errors import UserError
from lic.losses import check_distortion, check_lambda
from lic.models import CompressionModel, build_model, describe_model

_LONGEST_TEXT = 1000
_RANDOM = (torch.ops.aten.uniform_.default, torch.ops.aten.normal_.default)


def is_plain(value: object) -> bool:
    """Whether people can be shown a value as it is: a number, or text without control characters."""
    if isinstance(value, str):
        return value.isprintable() and len(value) <= _LONGEST_TEXT
    return value is None or (isinstance(value, int | float) and abs(value) < 1e18)


@dataclass(frozen=True)
class Description:
    """What tells one trained codec from others.

    ``model`` are the keywords of `lic.models.build_model`, ``variant`` says what else a sweep varied.
    """

    model: dict[str, Any]
    lmbda: float
    distortion: str
    variant: str

    @classmethod
    def parse(cls, source: Any) -> "Description":
        """Read it from a run's configuration, or from what `plain` gave.

        Raises:
            UserError: it has something else than plain values, or lacks some.
        """
        try:
            model = {key: value for key, value in source["model"].items() if key != "_target_"}
            lmbda, distortion, variant = source["lambda"], source["distortion"], source.get("variant") or ""
            values = [*model, *model.values(), lmbda, distortion, variant]
            texts = [*model, model["name"], distortion, variant]
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError("It does not describe its model.") from error
        if not all(map(is_plain, values)) or not all(isinstance(text, str) for text in texts):
            raise UserError("It does not describe its model.")
        return cls(model, check_lambda(lmbda), check_distortion(distortion), variant)

    def plain(self) -> dict[str, Any]:
        """What `parse` reads, for JSON."""
        return {
            "model": self.model,
            "lambda": self.lmbda,
            "distortion": self.distortion,
            "variant": self.variant,
        }

    def info(self, net: CompressionModel) -> CodecInfo:
        """What reports call the codec."""
        variant = f", {self.variant}" if self.variant else ""  # makes another curve
        return CodecInfo(
            curve=f"{describe_model(**self.model)} ({self.distortion}{variant})",
            setting=f"λ = {self.lmbda:g}",
            learned=True,
            model=self.model["name"],
            upsample=self.model.get("upsample"),
            lmbda=self.lmbda,
            distortion=self.distortion,
            parameters=sum(p.numel() for p in net.parameters()),
        )


def rebuild_net(
    description: Description, weights: Mapping[str, Tensor], tables: Mapping[str, Tensor], size: int
) -> CompressionModel:
    """The network, on the CPU, that a file of ``size`` bytes holds; a forged one allocates little more.

    Raises:
        UserError: the parts do not fit each other, or some are not finite.
    """
    options = ", ".join(f"{key} {value}" for key, value in description.model.items())
    misfit = UserError(f"It does not fit the model it names ({options}); save or export it again.")
    try:
        tensors = [*weights.values(), *tables.values()]
        if not all(map(_is_ordinary, tensors)) or sum(t.nbytes for t in tensors) > size:
            raise misfit
        if not all(t.isfinite().all() for t in tensors):
            raise UserError("It holds numbers that are not finite; use an earlier checkpoint.")
        with _Within(sum(w.numel() for w in weights.values())):
            net = build_model(**description.model)
        if _shapes(net.state_dict()) != _shapes(weights):
            raise misfit
        net.load_state_dict(weights)
        load_tables(net, tables)
    except (RuntimeError, TypeError, AttributeError, OverflowError) as error:
        raise misfit from error
    return net


@contextmanager
def naming(file: Path) -> Iterator[None]:
    """Begin every `UserError` of the block with the file that it is about."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{file} cannot be used. {error}") from error


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}


def _is_ordinary(tensor: Tensor) -> bool:
    """Whether it is an ordinary tensor: a pickle can also make sparse, nested and placeless ones."""
    return tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_nested


class _Within(TorchDispatchMode):
    """Builds a network of at most ``numbers`` weights: one claimed to be larger is not allocated.

    Initial weights are not drawn, since those of a file replace them. The random state stays as it is.
    """

    def __init__(self, numbers: int):
        super().__init__()
        self.left = 2 * numbers  # what initialization computes with beside the weights

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _RANDOM:
            return args[0]
        if not any(isinstance(arg, Tensor) for arg in args):  # it makes a new one
            self.left -= func(*args, **kwargs | {"device": torch.device("meta")}).numel()
            if self.left < 0:
                raise RuntimeError("The file holds fewer weights than its model has.")
        return func(*args, **kwargs)
