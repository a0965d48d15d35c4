"""Weights of other runs in a new one: whole networks or parts, to be trained on or frozen."""

from collections.abc import Mapping
from itertools import chain
from typing import Any

from hydra.utils import to_absolute_path
from omegaconf import DictConfig, OmegaConf
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from lic.errors import UserError
from lic.models.base import check_flag
from lic.models.image_upsampling import GeneratorUpsampler
from lic.store.model_file import open_model
from lic.store.rebuild import shapes
from lic.store.upsampling import NO_WEIGHTS, generator_options, open_generator


def start_as_configured(net: nn.Module, cfg: DictConfig, *, load: bool) -> None:
    """Do what ``start_from`` says, after ``upsample.weights`` and ``upsample.freeze`` for a generator inside.

    Args:
        net: the network.
        cfg: the configuration.
        load: see `start_from`.

    Raises:
        UserError: see `start_from`; or a generator inside has no run to start from.
    """
    if isinstance(up := getattr(net, "up", None), GeneratorUpsampler):
        run, freeze = (OmegaConf.select(cfg, f"upsample.{key}") for key in ("weights", "freeze"))
        if run is None:
            raise UserError(NO_WEIGHTS)
        check_flag("upsample.freeze", freeze)
        if load:
            generator = open_generator(to_absolute_path(str(run)))
            if shapes(generator.state_dict()) != shapes(up.generator.state_dict()):
                width, blocks = generator_options(generator).values()
                raise UserError(
                    f"The generator of {run} has other sizes than this model's; give upsample.width={width} "
                    f"upsample.blocks={blocks}."
                )
        start_from(net, {"run": str(run), "parts": {"up.generator": ""}, "freeze": freeze}, load=load)
    start_from(net, cfg.start_from, load=load)


def start_from(net: nn.Module, given: Any, *, load: bool) -> None:
    """Give a network weights that other runs have trained, and freeze those that shall stay.

    Of a frozen part batch normalisation is in evaluation mode, too, and nothing else: latents need noise.

    Args:
        net: the network.
        given: the option ``start_from``: a run, a checkpoint or a model file; or a mapping of ``run`` to it,
            ``parts`` to the names of some of the network's modules (default: all of it), or of these to their
            names in the other network ("" is all of that), and ``freeze`` to true; or a list of these.
        load: False where a checkpoint that is resumed holds the weights already.

    Raises:
        UserError: there is no such model, or its weights do not fit.
    """
    if given is None:
        return
    plain = OmegaConf.to_container(given, resolve=True) if OmegaConf.is_config(given) else given
    for entry in plain if isinstance(plain, list) and plain else [plain]:
        run, names, freeze = _parse(entry)
        if missing := [part for part in names if not _of(net.state_dict(), part)]:
            there = ", ".join(dict(net.named_children()))
            raise UserError(f"The network has no {missing[0]} to start from other weights; it has {there}.")
        if load:
            _load(net, run, names)
        for part in names if freeze else ():
            for parameter in _of(dict(net.named_parameters()), part).values():
                parameter.requires_grad_(False)
            for module in _of(dict(net.named_modules()), part).values():
                if isinstance(module, _BatchNorm):
                    module.eval()  # Lightning keeps it; its running statistics would still move
    if not any(parameter.requires_grad for parameter in net.parameters()):
        raise UserError("start_from freezes all of the network; leave out what is to be trained.")


def _parse(entry: Any) -> tuple[str, dict[str, str], bool]:
    """Of an entry in plain values: the run, own names of parts with those in the run, whether they stay."""
    match {"run": entry} if isinstance(entry, str) else entry:
        case {"run": str(run), **others} if run and set(others) <= {"parts", "freeze"}:
            parts, freeze = others.get("parts"), others.get("freeze", False)
            if isinstance(parts, list):
                parts = dict(zip(map(str, parts), parts, strict=True))
            names: Any = {"": ""} if parts is None else parts
            plain = isinstance(names, dict) and all(isinstance(text, str) for text in chain(*names.items()))
            if plain and names and isinstance(freeze, bool):
                return run, names, freeze
    raise UserError(
        f"start_from cannot be {entry}; give a run, or {{run: RUN, parts: [g_a, g_s], freeze: true}}, with "
        "one part or more, or none for all, and with freeze true or false; or a list of these."
    )


def _load(net: nn.Module, run: str, names: Mapping[str, str]) -> None:
    found = open_model(to_absolute_path(run)).weights
    weights: dict[str, Any] = {}
    for own, theirs in names.items():
        part, wanted = _of(found, theirs), _of(net.state_dict(), own)
        if different := sorted({name for name, _ in shapes(part).items() ^ shapes(wanted).items()}):
            name = different[0] or own
            raise UserError(
                f"{run} does not fit: {name} has another shape or type or is missing on one side; give a run "
                "of the same model, or start_from.parts that both have."
            )
        weights |= {".".join(filter(None, (own, name))): value for name, value in part.items()}
    net.load_state_dict(weights, strict=False)


def _of(weights: Mapping[str, Any], part: str) -> dict[str, Any]:
    """What belongs to a module of that name, by the names within it; everything without one."""
    if not part:
        return dict(weights)
    inside = {n.removeprefix(f"{part}."): value for n, value in weights.items() if n.startswith(f"{part}.")}
    return inside | ({"": weights[part]} if part in weights else {})
