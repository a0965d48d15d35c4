"""Attacks the readers of streams, model files and checkpoints with files that nobody wrote.

    python -m checks.fuzz --streams 200000 --models 10000

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
import faulthandler
import mmap
import random
import re
import resource
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import lic  # noqa: F401 - makes torchvision importable

# isort: split
import torch

from checks.fuzz.forging import Target
from checks.fuzz.models import Checkpoints, ModelFiles
from checks.fuzz.payloads import BinaryPayloads, PixelPayloads
from checks.fuzz.streams import LargeStreams, Streams
from lic.errors import UserError
from lic.models import MODELS

TARGETS: dict[str, Callable[[], Target]] = {
    **{f"streams-{name}": partial(Streams, name) for name in MODELS},
    "streams-binary": BinaryPayloads,
    "streams-pixels": PixelPayloads,
    "large-streams": partial(LargeStreams, "baseline"),
    **{f"model-files-{name}": partial(ModelFiles, name) for name in MODELS},
    "checkpoints": partial(Checkpoints, "hyperprior"),
}


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
        done = subprocess.run(
            [sys.executable, "-m", "checks.fuzz", *sys.argv[1:], "--target", name], check=False
        )
        if done.returncode:
            failed.append(name)
            print(f"{name}: exit code {done.returncode}; see {args.folder}", flush=True)
    sys.exit(f"Faults in {', '.join(failed)}." if failed else 0)


if __name__ == "__main__":
    main()
