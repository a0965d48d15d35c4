"""Weights of other runs in a new one: whole networks or parts, to be trained on or frozen."""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.utils import to_absolute_path
from omegaconf import ListConfig
from torch import nn

from lic.errors import UserError
from lic.models import net_weights
from lic.store.checkpoint import find_model, read_checkpoint
from lic.store.model_file import is_model_file, read_model


def start_from(net: nn.Module, given: Any, *, load: bool) -> None:
    """Give a network weights that other runs have trained, and freeze those that shall stay.

    Args:
        net: the network.
        given: the option ``start_from``: a run, a checkpoint or a model file; or a mapping of ``run`` to it,
            ``parts`` to the names of some of the network's modules (default: all of it) and ``freeze`` to
            true; or a list of these.
        load: False where a checkpoint that is resumed holds the weights already.

    Raises:
        UserError: there is no such model, or its weights do not fit.
    """
    for entry in given if isinstance(given, ListConfig | list) else [given] if given else []:
        options = {"run": entry} if isinstance(entry, str) else dict(entry)
        if set(options) - {"run", "parts", "freeze"} or not isinstance(options.get("run"), str):
            raise UserError(
                f"start_from cannot be {entry}; give a run, or {{run: RUN, parts: [g_a, g_s], freeze: true}}."
            )
        parts, own = list(options.get("parts") or []), net.state_dict()
        if missing := [part for part in parts if not _of(own, [part])]:
            there = ", ".join(dict(net.named_children()))
            raise UserError(f"The network has no {missing[0]} to start from other weights; it has {there}.")
        if load:
            _load(net, options["run"], parts)
        if options.get("freeze"):
            for parameter in _of(dict(net.named_parameters()), parts).values():
                parameter.requires_grad_(False)


def _load(net: nn.Module, run: str, parts: Sequence[str]) -> None:
    file = find_model(to_absolute_path(run))
    found = read_model(file)[0].state_dict() if is_model_file(file) else net_weights(read_checkpoint(file))
    weights, wanted = _of(found, parts), _of(net.state_dict(), parts)
    shapes = [{name: tensor.shape for name, tensor in x.items()} for x in (weights, wanted)]
    if different := sorted({name for name, _ in shapes[0].items() ^ shapes[1].items()}):
        raise UserError(
            f"{run} does not fit: {different[0]} has another shape or is missing on one side; give a run of "
            "the same model, or start_from.parts that both have."
        )
    net.load_state_dict(weights, strict=False)


def _of(weights: Mapping[str, Any], parts: Sequence[str]) -> dict[str, Any]:
    """Those that belong to some modules, by their names; all without any."""
    return {
        name: value
        for name, value in weights.items()
        if not parts or any(name == part or name.startswith(f"{part}.") for part in parts)
    }
