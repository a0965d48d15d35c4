"""Attacks the readers of streams, model files and checkpoints with files that nobody wrote.

    python benchmarks/fuzz.py --streams 200000 --models 10000

Every reply must be the picture (or the model), or a `UserError`. Anything else is a fault: another exception,
a crash, an answer that takes longer than ``--seconds``, more memory than ``--megabytes`` above what the
process had. The input of each kind of fault is kept under ``--folder``, and the exit code is 1.

The files are valid ones, mutated: bytes flipped, inserted, deleted, cut off, spliced with another file's;
header fields at their extremes and beyond; payloads exchanged. An attacker can compute checksums, so most
forged streams carry right ones, and some the right checksum of the latents too, so that the decoder goes on
to the synthesis; some forged models the right fingerprint. Each target runs in a process of its own, which
may die.
"""

import argparse
import dataclasses
import faulthandler
import io
import json
import math
import mmap
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import lic  # noqa: F401 - makes torchvision importable

# isort: split
import numpy as np
import torch
from safetensors.torch import load, save

from lic.bitstream import MAX_PIXELS, Stream
from lic.bitstream.container import FIELDS, MAGIC, VERSION
from lic.bitstream.fields import Field, Raw
from lic.coding import learned
from lic.coding.checkpoint import net_of, read_checkpoint
from lic.coding.learned import LearnedCodec
from lic.coding.model_file import describe_model_file, read_model, write_model
from lic.coding.rebuild import Description, rebuild_net
from lic.entropy import tables, update_tables
from lic.errors import UserError
from lic.layers import padded_size
from lic.models import MODELS, CompressionModel, build_model

SIZES = ((1, 1), (16, 16), (30, 50), (64, 64))
LARGEST = 100 * 100  # pixels that most attacked decoders allow: larger images take longer, no other way
EXTREMES = (0, 1, 2, 3, 63, 127, 128, 255, 4095, 4096, 100_000, 2**20, 2**31 - 1, 2**31, 2**32, 2**40, 2**64)
OPTIONS: dict[str, dict[str, Any]] = {
    "baseline": {"kernel_size": 3},
    "hyperprior": {"kernel_size": 3, "aux_kernel_size": 3},
    "resnet3x3_4": {"upsample": "subpixel", "bottleneck": 4},
}


class Target(Protocol):
    """A reader and how its inputs are forged."""

    def forge(self, rng: random.Random) -> bytes:
        """An input that nobody wrote."""

    def read(self, data: bytes) -> str:
        """What the reader answers, if it is no error."""


def net_and_description(name: str) -> tuple[CompressionModel, Description]:
    """A narrow network of one family with lively latents and small tables, in the same state every time."""
    torch.manual_seed(0)
    options: dict[str, Any] = {"name": name, "width": 4} | OPTIONS.get(name, {})
    net = build_model(**options)
    with torch.no_grad():
        for transform in (getattr(net, part) for part in ("g_a", "h_a") if hasattr(net, part)):
            list(transform.children())[-1].weight.mul_(40)
        if hasattr(net, "gaussian_conditional"):
            net.get_buffer("gaussian_conditional.scale_table").copy_(torch.linspace(0.11, 8, 64))
    update_tables(net)
    return net, Description(options, 0.01, "mse", "")


class Streams:
    """Decodes forged streams of one family."""

    def __init__(self, name: str, max_pixels: int = LARGEST):
        net, description = net_and_description(name)
        self.codec = LearnedCodec(net, description.info(net), max_pixels=max_pixels)
        noise = np.random.default_rng(0)
        images = [noise.integers(0, 256, (*size, 3), np.uint8) for size in SIZES]
        self.valid = [self.codec.encode(image).data for image in images]

    def forge(self, rng: random.Random) -> bytes:
        """See `Target`."""
        if rng.random() < 0.5:
            return _with_checksum(mutate(rng, rng.choice(self.valid), rng.choice(self.valid)), rng)
        stream = Stream.unpack(rng.choice(self.valid))
        payloads = list(stream.payloads)
        other = rng.choice(Stream.unpack(rng.choice(self.valid)).payloads)
        for _ in range(rng.randrange(3)):
            place = rng.randrange(len(payloads) + 1)
            payloads[place : place + rng.randrange(2)] = (
                [] if rng.random() < 0.1 else [mutate(rng, other, other)]
            )
        changes: dict[str, Any] = {"payloads": tuple(payloads or [b""])}
        for name in ("width", "height"):
            if rng.random() < 0.3:
                changes[name] = rng.randrange(1, 100)
        stream = dataclasses.replace(stream, **changes)
        if rng.random() < 0.3:
            stream = self._with_latent_checksum(stream)
        values = stream.header
        if rng.random() < 0.2:
            field = rng.choice(FIELDS)
            if field.name == "payload_lengths":
                values[field.name] = tuple(rng.choice(EXTREMES) for _ in range(rng.choice((0, 1, 2, 5000))))
            elif not isinstance(field, Raw):
                values[field.name] = rng.choice(EXTREMES)
        return _pack(values, stream.payloads)

    def read(self, data: bytes) -> str:
        """See `Target`."""
        self.codec.decode(data)
        return "a picture"

    def _with_latent_checksum(self, stream: Stream) -> Stream:
        """What a patient attacker finds by trying all values."""
        size = padded_size((stream.height, stream.width), self.codec.net.downsampling)
        try:
            with torch.inference_mode():
                y_hat = self.codec.net.decode(iter(stream.payloads), size)
        except (UserError, StopIteration, RuntimeError):
            return stream  # `read` will say what is wrong
        return dataclasses.replace(stream, latent_checksum=learned._checksum(y_hat))


class LargeStreams(Streams):
    """Decodes streams with forged sizes, with the decoder's own limit."""

    def __init__(self, name: str):
        super().__init__(name, MAX_PIXELS)

    def forge(self, rng: random.Random) -> bytes:
        """See `Target`."""
        stream = Stream.unpack(rng.choice(self.valid))
        size = {name: int(2 ** rng.uniform(0, 20)) for name in ("width", "height")}
        payloads = stream.payloads * rng.choice((1, 1, 100, 1000))
        return _pack(stream.header | size, payloads[:4000])


class ModelFiles:
    """Reads forged model files, and decodes with those that are accepted."""

    def __init__(self, name: str):
        net, self.description = net_and_description(name)
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "forged.lic-model"
        write_model(self.path, net, self.description, {"steps": 3, "data": "builtin"})
        self.valid = self.path.read_bytes()
        image = np.random.default_rng(0).integers(0, 256, (40, 80, 3), np.uint8)
        self.stream = Stream.unpack(LearnedCodec(net, self.description.info(net)).encode(image).data)
        self.image = image

    def forge(self, rng: random.Random) -> bytes:
        """See `Target`."""
        return rng.choice((self._bytes, self._header, self._content, self._numbers))(rng)

    def read(self, data: bytes) -> str:
        """See `Target`."""
        self.path.write_bytes(data)
        describe_model_file(self.path)
        net, description = read_model(self.path)
        codec = LearnedCodec(net, description.info(net), tile=64)
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
        values: tuple[Any, ...] = (
            *EXTREMES,
            -1,
            0.5,
            -math.inf,
            math.nan,
            None,
            True,
            "",
            "\x1b",
            [],
            {},
            "8",
        )
        place[rng.choice([*place, "x"])] = rng.choice(values)
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
            "entropy_tables": tables(net),
        }
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        self.valid = buffer.getvalue()
        self.pickle = self.valid.index(b"data.pkl"), self.valid.index(b"PK", self.valid.index(b"data.pkl"))
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "forged.ckpt"

    def forge(self, rng: random.Random) -> bytes:
        """See `Target`."""
        start, end = self.pickle
        data = self.valid
        if rng.random() < 0.5:  # the pickled containers, in place: the archive stays whole
            head, body, tail = data[:start], data[start:end], data[end:]
            return head + mutate(rng, body, body)[: len(body)].ljust(len(body), b".") + tail
        return mutate(rng, data, data)

    def read(self, data: bytes) -> str:
        """See `Target`."""
        self.path.write_bytes(data)
        net_of(self.path, read_checkpoint(self.path))
        return "a model"


TARGETS: dict[str, Callable[[], Target]] = {
    **{f"streams-{name}": lambda name=name: Streams(name) for name in MODELS},  # type: ignore[misc]
    "large-streams": lambda: LargeStreams("baseline"),
    **{f"model-files-{name}": lambda name=name: ModelFiles(name) for name in ("baseline", "hyperprior")},  # type: ignore[misc]
    "checkpoints": lambda: Checkpoints("hyperprior"),
}


def mutate(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """One to four changes of bytes, some with pieces of ``other``."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        start = rng.randrange(len(out) + 1)
        length = min(int(rng.paretovariate(0.7)), len(out) - start)
        kind = rng.randrange(7)
        if kind == 0 and start < len(out):
            out[start] ^= 1 << rng.randrange(8)
        elif kind == 1 and start < len(out):
            out[start] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif kind == 2:
            out[start : start + length] = rng.randbytes(length)
        elif kind == 3:
            out[start:start] = rng.randbytes(int(rng.paretovariate(1)) % 64)
        elif kind == 4:
            del out[start : start + length]
        elif kind == 5:
            del out[start:]
        else:
            out[start:] = other[rng.randrange(len(other) + 1) :]
    return bytes(out)


def _with_checksum(data: bytes, rng: random.Random) -> bytes:
    return data if rng.random() < 0.2 else data[:-4] + zlib.crc32(data[:-4]).to_bytes(4, "little")


def _pack(header: dict[str, Any], payloads: tuple[bytes, ...]) -> bytes:
    """`Stream.pack` without its checks of ranges."""
    fields = b"".join(_boundless(field).write(header[field.name]) for field in FIELDS)
    body = MAGIC + bytes([VERSION]) + fields + b"".join(payloads)
    return body + zlib.crc32(body).to_bytes(4, "little")


def _boundless(field: Field) -> Field:
    limits: dict[str, Any] = {"low": 0, "high": 2**70, "count": 2**70}
    return dataclasses.replace(field, **{k: v for k, v in limits.items() if hasattr(field, k)})


def _with_length(header: bytes, numbers: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header + numbers


def attack(name: str, args: argparse.Namespace, count: int) -> int:
    """Run one target in this process; the number of faults."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # of torch, on pickles
    rng, target = random.Random(f"{args.seed} {name}"), TARGETS[name]()
    target.forge(rng)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (used + args.megabytes * 2**20, hard))
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    path = args.folder / f"{name}.input"  # stays if the process dies
    current = path.open("wb", buffering=0)
    outcomes: Counter[str] = Counter()
    longest, armed, faults = 0.0, 0.0, 0
    start = time.perf_counter()
    for _ in range(count):
        data = target.forge(rng)
        current.seek(0)
        current.truncate(current.write(data))
        begin = time.perf_counter()
        if begin > armed + 1:  # not for each input: it takes longer than most of them
            faulthandler.dump_traceback_later(args.seconds + 1, exit=True)
            armed = begin
        try:
            outcome = target.read(data)
        except UserError as error:
            text = re.sub(r"^.* cannot be used\. |/\S*/", "", str(error))
            outcome = re.sub(r"\b[0-9a-f]{8}\b|\d[\d,]*|'.*'|\(.*\)", "#", text)
        except Exception as error:
            outcome = f"FAULT {type(error).__name__}: {str(error)[:200]}"
            faults += 1
            if not outcomes[outcome]:
                (args.folder / f"{name}-{type(error).__name__}-{len(outcomes)}.input").write_bytes(data)
        longest = max(longest, time.perf_counter() - begin)
        outcomes[outcome] += 1
    faulthandler.cancel_dump_traceback_later()
    current.close()
    path.unlink()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident) / 1024
    seconds = time.perf_counter() - start
    print(f"{name}: {count:,} inputs in {seconds:.0f} s, {faults} faults", end=", ")
    print(f"longest {longest:.2f} s, +{grown:.0f} MB")
    for outcome, number in outcomes.most_common():
        print(f"  {number:8,}  {outcome}")
    return faults


def main() -> None:
    """Run every target in a process of its own."""
    parser = argparse.ArgumentParser(description="Attack the readers of lic's files.")
    parser.add_argument("--streams", type=int, default=200_000, help="of every family")
    parser.add_argument("--models", type=int, default=10_000, help="model files, and as many checkpoints")
    parser.add_argument("--large", type=int, default=200, help="streams that claim large images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=20, help="that one answer may take")
    parser.add_argument("--megabytes", type=int, default=1024, help="that one answer may take")
    parser.add_argument("--folder", type=Path, default=Path("fuzz"), help="for the inputs of faults")
    parser.add_argument("--target", choices=TARGETS, help="only this one")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    counts = {"streams": args.streams, "large": args.large}
    if args.target:
        sys.exit(attack(args.target, args, counts.get(args.target.split("-")[0], args.models)) > 0)
    failed = []
    for name in TARGETS:
        done = subprocess.run([sys.executable, __file__, *sys.argv[1:], "--target", name], check=False)
        if done.returncode:
            failed.append(name)
            print(f"{name}: exit code {done.returncode}; see {args.folder}", flush=True)
    sys.exit(f"Faults in {', '.join(failed)}." if failed else 0)


if __name__ == "__main__":
    main()
