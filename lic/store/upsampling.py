"""Models with another up-sampler than they were trained with, and the generators that it may hold."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lic.codecs.learned import fingerprint
from lic.errors import UserError
from lic.layers.upsample import chosen
from lic.models import ICMIRM, Network, SRResNet, build_model, full_options
from lic.models.image_upsampling import IMAGE_UPSAMPLERS, GeneratorUpsampler
from lic.store import MODEL_SUFFIX
from lic.store.description import Description
from lic.store.model_file import open_model, write_model

NO_WEIGHTS = (
    "upsample=srgan needs a trained generator; train one with `python train.py model=srgan`, and give its "
    "run as upsample.weights=RUN."
)
_OF_TRAININGS = {"width": None, "blocks": None, "freeze": True}
"""Options of ``upsample=srgan`` that only a training takes, with their defaults."""
_WITH_ITS_OWN = ("validation_cost", "test_")
"""How the names begin of what was measured of a model with the up-sampler that it had."""

_log = logging.getLogger(__name__)


def open_generator(source: str | Path) -> SRResNet:
    """The generator of a run of ``model=srgan``, of its checkpoint or of its model file.

    Raises:
        UserError: ``source`` is none of these, or damaged.
    """
    net, description = open_model(source).rebuild()
    if type(net) is not SRResNet:
        raise UserError(
            f"{source} is of model={description.model['name']}, which is no generator; give a run of "
            "model=srgan as upsample.weights."
        )
    return net


def generator_options(generator: SRResNet) -> dict[str, Any]:
    """The options of a model with this generator inside, by their names there."""
    options = full_options(**json.loads(generator.architecture))
    return {f"generator_{key}": options[key] for key in ("width", "blocks")}


def exchange_upsamplers(sources: Sequence[Path], folder: Path, upsample: Mapping[str, Any]) -> list[Path]:
    """Model files of the same networks with another up-sampler of images between them.

    Each is a model of its own, with its own architecture, fingerprint and label: streams of the one cannot be
    decoded with the other. All is checked before the first is written.

    Args:
        sources: runs, checkpoints or model files.
        folder: gets ``model.lic-model``, or of several ``model-1.lic-model``, …
        upsample: the choice, as ``conf/upsample`` has it, ``weights`` of which name a generator.

    Raises:
        UserError: there is no source, one has no such up-sampler, or the choice is none.
    """
    name, given = upsample["name"], upsample.get("weights")
    chosen(IMAGE_UPSAMPLERS, name)
    if not sources:
        raise UserError("upsample= takes the place of a model's up-sampler; give the model, too: ckpt=RUN.")
    if odd := [key for key, value in _OF_TRAININGS.items() if upsample.get(key, value) != value]:
        raise UserError(
            f"upsample.{odd[0]} is of trainings, and the generator of an evaluation is that of "
            "upsample.weights; leave it out."
        )
    if name == "srgan" and given is None:
        raise UserError(NO_WEIGHTS)
    generator = None if given is None else open_generator(given)
    made = [_exchanged(source, name, generator) for source in sources]
    stems = ["model"] if len(made) == 1 else [f"model-{number}" for number in range(1, len(made) + 1)]
    files = [folder / f"{stem}{MODEL_SUFFIX}" for stem in stems]
    for source, file, parts in zip(sources, files, made, strict=True):
        write_model(file, *parts)
        _log.info("%s with upsample=%s: %s is the model of its streams.", source, name, file)
    return files


def _exchanged(
    source: Path, name: str, generator: SRResNet | None
) -> tuple[Network, Description, Mapping[str, Any]]:
    """What a model file holds."""
    model = open_model(source)
    net, description = model.rebuild()
    if not isinstance(net, ICMIRM):
        raise UserError(
            f"{source} is of model={description.model['name']}, which takes no up-sampler of images; leave "
            "upsample= out, or give a run of model=icm_irm."
        )
    options = {key: value for key, value in description.model.items() if not key.startswith("generator_")}
    options |= {"upsample": name, **(generator_options(generator) if generator else {})}
    other = build_model(**options)
    assert isinstance(other, ICMIRM)
    for own, theirs in ((other.com, net.com), (other.rec, net.rec)):
        own.load_state_dict(theirs.state_dict())
    variant = {k: v for k, v in description.variant.items() if k.lstrip("+").partition(".")[0] != "upsample"}
    if generator:
        assert isinstance(other.up, GeneratorUpsampler)
        other.up.generator.load_state_dict(generator.state_dict())
        variant["upsample.weights"] = fingerprint(generator).hex()  # one curve for each generator
    training = {k: v for k, v in model.training().items() if not k.startswith(_WITH_ITS_OWN)}
    return other.eval(), replace(description, model=options, variant=variant), training
