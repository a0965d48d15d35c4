"""``.lic-model``: one trained codec in one file, to keep and to pass on. docs/model-files.md describes it.

The file is of the safetensors format, with all weights (``weights.*``) and tables (``tables.*``), and one
JSON text that describes them. Reading executes nothing, allocates little more than the file's size, and
ends with the fingerprint: what was read is what was written, to the last bit.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lic import __version__
from lic.atomic import replacing
from lic.bitstream import Entry
from lic.codecs.learned import fingerprint
from lic.entropy import tables
from lic.errors import UserError, naming_file
from lic.foreign import is_plain, read_json
from lic.models import Network, net_weights
from lic.status import read_status
from lic.store import MODEL_SUFFIX
from lic.store.checkpoint import find_model, net_of, read_checkpoint, setting
from lic.store.description import Description
from lic.store.objective import Objective
from lic.store.rebuild import check_tensors, rebuild_net

VERSION = 2
_KEY = "lic-model"  # of the JSON among safetensors' metadata
_LENGTH_BYTES = 8  # at the beginning, of the header that follows
_LARGEST_HEADER = 1 << 20
_RESULT_FILES = ("test.json", "super_resolution.json")
_DAMAGED = "It is not a model file of lic, or damaged; fetch or export it again."
_MEANINGS = {
    "steps": "of training",
    "validation_cost": "what the training monitored, of the validation images",
    "data": "what it was trained on",
    "seed": "of the training",
    "ema": "decay of the average that the weights are; none where they are the last step's",
    "precision": "of the training",
    "lic": "the version that exported it",
    "torch": "the version that exported it",
    "test_data": "what the means below were measured on",
}


def is_model_file(path: Path) -> bool:
    """Whether a file's content or name say that it is meant as a model file."""
    with path.open("rb") as file:
        start = file.read(_LENGTH_BYTES + 1)
    is_archive = start.startswith(b"PK")  # as checkpoints are
    return start[_LENGTH_BYTES:] == b"{" or (path.suffix == MODEL_SUFFIX and not is_archive)


def export(source: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Write the model file of a run (its best checkpoint), of a checkpoint, or of a model file once more.

    Raises:
        UserError: ``source`` is none of these, or damaged.
    """
    model = open_model(source)
    write_model(path, *model.rebuild(), model.training())


def write_model(
    path: str | os.PathLike[str],
    net: Network,
    description: Description,
    training: Mapping[str, Any],
) -> None:
    """Write a network and its tables, atomically. The same ones always give the same bytes.

    Args:
        path: of the file.
        net: the network, with up-to-date tables.
        description: what rebuilds it.
        training: where it comes from, plain values for people.
    """
    tensors = {f"weights.{name}": value for name, value in net.state_dict().items()}
    tensors |= {f"tables.{name}": value for name, value in tables(net).items()}
    content = {"version": VERSION, "fingerprint": fingerprint(net).hex(), **description.plain()}
    content["training"] = dict(training)
    data = save(
        {name: value.contiguous() for name, value in tensors.items()},
        {_KEY: json.dumps(content, ensure_ascii=False, allow_nan=False)},
    )
    with replacing(path) as temporary:
        temporary.write_bytes(data)  # save_file would not say in which way a disk refuses it
        read_model(temporary)  # nobody shall keep a file that cannot be read


def read_model(path: Path) -> tuple[Network, Description]:
    """The network in a model file, on the CPU, and what it is.

    Raises:
        UserError: the file is none of lic, of a newer version, or damaged.
    """
    net, description, _ = _read_model(path)
    return net, description


@dataclass(frozen=True)
class StoredModel:
    """What a run, a checkpoint or a model file holds.

    Args:
        weights: of the network, by name.
        rebuild: the network, on the CPU, and what it is; a `UserError` says that the parts do not fit.
        training: where it comes from, plain values for people.
        version: of the format of a model file; None of a checkpoint.
    """

    weights: Mapping[str, Tensor]
    rebuild: Callable[[], tuple[Network, Description]]
    training: Callable[[], Mapping[str, Any]]
    version: int | None = None


def open_model(source: str | os.PathLike[str]) -> StoredModel:
    """The model of a run (its best checkpoint), of a checkpoint or of a model file.

    Raises:
        UserError: ``source`` is none of these, or damaged.
    """
    file = find_model(source)
    if is_model_file(file):
        net, description, content = _read_model(file)
        return StoredModel(
            net.state_dict(), lambda: (net, description), lambda: content["training"], content["version"]
        )
    checkpoint = read_checkpoint(file)
    weights = net_weights(checkpoint)
    with naming_file(file):
        check_tensors(weights.values(), file.stat().st_size)
    return StoredModel(weights, partial(net_of, file, checkpoint), partial(_training, file, checkpoint))


def describe_model_file(source: str | os.PathLike[str]) -> list[Entry]:
    """The entries of a model file, or those that `export` would write.

    Raises:
        UserError: ``source`` is none of a model file, a run and a checkpoint, or damaged.
    """
    model = open_model(source)
    net, description = model.rebuild()
    return [
        *([Entry("version", "of the format", model.version)] if model.version else []),
        Entry("fingerprint", "names these weights, in the streams of a codec too", fingerprint(net).hex()),
        *(Entry(key, "option of the model", _printable(value)) for key, value in description.model.items()),
        *(
            Entry(key, "of what it was trained for", _printable(value))
            for key, value in description.objective.values.items()
        ),
        *(Entry(key, "what was varied", _printable(value)) for key, value in description.variant.items()),
        *(Entry(key, _MEANINGS.get(key, ""), _printable(value)) for key, value in model.training().items()),
    ]


def _read_model(path: Path) -> tuple[Network, Description, Mapping[str, Any]]:
    with naming_file(path):
        content = _read_content(path)
        description = Description.parse(content, content.get("objective"))
        parts: dict[str, dict[str, Tensor]] = {"weights": {}, "tables": {}}
        for key, tensor in _read_tensors(path):
            part, _, name = key.partition(".")
            if part not in parts:
                raise UserError(f"It holds {key!r:.99}, which lic does not know; export the model again.")
            parts[part][name] = tensor
        net = rebuild_net(description, parts["weights"], parts["tables"], path.stat().st_size)
        if (found := fingerprint(net).hex()) != content["fingerprint"]:
            raise UserError(
                f"It is damaged: its content has the fingerprint {found}, not {content['fingerprint']}; "
                "fetch or export it again."
            )
    return net, description, content


def _printable(value: Any) -> int | float | str:
    return value if isinstance(value, int | float) else str(value)


def _training(file: Path, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Where a checkpoint comes from, and how good it was if its run has measured it."""
    config = checkpoint["hyper_parameters"]["config"]
    cost = setting(checkpoint, "callbacks.Checkpoints.cost")
    judged = isinstance(cost, int | float) and cost >= 0  # a training that no value judges counts its steps
    values = {
        "steps": checkpoint.get("global_step"),
        "validation_cost": cost if judged else None,
        "data": setting(config, "data.name"),
        "seed": config.get("seed"),
        "ema": config.get("ema"),
        "precision": setting(config, "trainer.precision"),
        "lic": __version__,
        "torch": torch.__version__,
        **_test_means(file),
    }
    return {k: v for k, v in values.items() if v is not None and is_plain(k) and is_plain(v)}


def _test_means(file: Path) -> dict[str, Any]:
    """The means of the run's result, which are those of its best checkpoint once it is done."""
    run = file.parent.parent
    if file.name != "best.ckpt" or read_status(run).get("status") != "done":
        return {}
    for name in _RESULT_FILES:
        try:
            result = read_json(run, name)
            means = {f"test_{key}": value for key, value in result["mean"].items()}
            return {"test_data": result["data"]} | means
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return {}


def _read_tensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    try:
        with safe_open(path, "pt") as file:
            for key in file.keys():  # noqa: SIM118 - it is no mapping
                yield key, file.get_tensor(key)
    except SafetensorError as error:
        raise UserError(_DAMAGED) from error


def _read_content(path: Path) -> dict[str, Any]:
    """The JSON text of a model file, and that it has what every file has; version 1 is turned into 2."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if length > _LARGEST_HEADER:
            raise ValueError("header too large")
        with safe_open(path, "pt") as file:
            content = json.loads(file.metadata()[_KEY])
        if not isinstance(number := content["version"], int):
            raise ValueError("no version")
        if number == 1:
            content["objective"] = Objective.rate_distortion(content["lambda"], content["distortion"]).plain()
        if number in (1, VERSION):
            texts, values = [content["fingerprint"], *content["training"]], content["training"].values()
            if not all(isinstance(text, str) for text in texts) or not all(map(is_plain, [*texts, *values])):
                raise ValueError("not plain")
            return content
    except OSError as error:
        raise UserError(f"It cannot be read: {error.strerror}.") from error
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(_DAMAGED) from error
    raise UserError(f"It has format version {number}, this lic reads {VERSION}; install a newer lic.")
