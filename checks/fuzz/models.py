"""Attacks on the readers of model files and of checkpoints."""

import dataclasses
import io
import json
import math
import random
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save

from checks.fuzz.forging import EXTREMES, mutate, net_and_description
from lic.bitstream import Stream
from lic.codecs import learned
from lic.codecs.networks import codec_of
from lic.entropy import tables
from lic.errors import UserError
from lic.store.checkpoint import net_of, read_checkpoint
from lic.store.model_file import describe_model_file, read_model, write_model
from lic.store.rebuild import rebuild_net

VALUES: tuple[Any, ...] = (*EXTREMES, -1, 0.5, -math.inf, math.nan, None, True, "", "\x1b", [], {}, "8")


class ModelFiles:
    """Reads forged model files, and decodes with those that are accepted."""

    def __init__(self, name: str):
        net, self.description = net_and_description(name)
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "forged.lic-model"
        write_model(self.path, net, self.description, {"steps": 3, "data": "builtin"})
        self.valid = self.path.read_bytes()
        image = np.random.default_rng(0).integers(0, 256, (40, 80, 3), np.uint8)
        self.stream = Stream.unpack(codec_of(net, self.description.info(net)).encode(image).data)
        self.image = image

    def forge(self, rng: random.Random) -> bytes:
        """See `Target`."""
        return rng.choice((self._bytes, self._header, self._content, self._numbers))(rng)

    def read(self, data: bytes) -> str:
        """See `Target`."""
        self.path.write_bytes(data)
        describe_model_file(self.path)
        net, description = read_model(self.path)
        codec = codec_of(net, description.info(net), tile=64)
        stream = dataclasses.replace(self.stream, fingerprint=codec.fingerprint)
        codec.decode(stream.pack())
        codec.decode(codec.encode(self.image).data)
        return "a model"

    def _bytes(self, rng: random.Random) -> bytes:
        return mutate(rng, self.valid, self.valid)

    def _header(self, rng: random.Random) -> bytes:
        header, numbers = self._take_apart()
        return _with_length(mutate(rng, json.dumps(header).encode(), b'{"dtype":"F64"}'), numbers)

    def _content(self, rng: random.Random) -> bytes:
        header, numbers = self._take_apart()
        content = json.loads(header["__metadata__"]["lic-model"])
        place = rng.choice((content, content["model"], content["training"]))
        place[rng.choice([*place, "x"])] = rng.choice(VALUES)
        header["__metadata__"]["lic-model"] = json.dumps(content)
        return _with_length(json.dumps(header).encode(), numbers)

    def _numbers(self, rng: random.Random) -> bytes:
        """Other numbers, and the fingerprint that fits them."""
        tensors = load(self.valid)
        for _ in range(rng.choice((1, 1, 2, 5))):
            flat = tensors[rng.choice(list(tensors))].flatten()
            place = rng.randrange(len(flat)) if rng.random() < 0.7 else slice(None)
            if flat.is_floating_point():
                flat[place] = rng.choice((0.0, -1.0, 1e-30, 1e9, -1e30, 3e38))
            else:
                flat[place] += rng.choice((-1, 1, 7, 2**14, -(2**14)))
        weights = {k.removeprefix("weights."): v for k, v in tensors.items() if k.startswith("weights.")}
        others = {k.removeprefix("tables."): v for k, v in tensors.items() if k.startswith("tables.")}
        header, _ = self._take_apart()
        content = json.loads(header["__metadata__"]["lic-model"])
        try:
            net = rebuild_net(self.description, weights, others, len(self.valid))
            content["fingerprint"] = learned.fingerprint(net).hex()
        except UserError:
            pass  # `read` will say what is wrong
        return save(tensors, {"lic-model": json.dumps(content)})

    def _take_apart(self) -> tuple[dict[str, Any], bytes]:
        end = 8 + int.from_bytes(self.valid[:8], "little")
        return json.loads(self.valid[8:end]), self.valid[end:]


class Checkpoints:
    """Reads forged checkpoints."""

    def __init__(self, name: str):
        net, description = net_and_description(name)
        checkpoint = {
            "state_dict": {f"net.{key}": value for key, value in net.state_dict().items()},
            "hyper_parameters": {"config": description.plain()},
            "objective": description.objective.plain(),
            "entropy_tables": tables(net),
        }
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        self.valid = buffer.getvalue()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "forged.ckpt"

    def forge(self, rng: random.Random) -> bytes:
        """See `Target`."""
        if rng.random() < 0.2:
            return mutate(rng, self.valid, self.valid)
        forged = io.BytesIO()  # an archive whose checksums fit
        with zipfile.ZipFile(io.BytesIO(self.valid)) as old, zipfile.ZipFile(forged, "w") as new:
            names = old.namelist()
            pickled = next(name for name in names if name.endswith("data.pkl"))
            victim = rng.choice((pickled, rng.choice(names)))
            for name in names:
                content = old.read(name)
                new.writestr(name, mutate(rng, content, content) if name == victim else content)
        return forged.getvalue()

    def read(self, data: bytes) -> str:
        """See `Target`."""
        self.path.write_bytes(data)
        net_of(self.path, read_checkpoint(self.path))
        return "a model"


def _with_length(header: bytes, numbers: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header + numbers
