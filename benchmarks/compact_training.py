"""Time of an epoch of ICM and IRM against their baseline, which Deshmukh and Pollett print: 139 and 173 min.

python benchmarks/compact_training.py [--width 64] [--crop 200] [--batch 8] [--channels 3] [--rounds 5]

Seconds of a step of training and of one of validation, on a GPU where there is one, else on the CPU. An
epoch has 264,000 crops for training and 66,000 for validation; it is extrapolated from the medians of some
rounds, in which the networks take turns. Reading images is no part of it.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import lic  # noqa: F401 - makes torchvision importable

# isort: split
import torch
from rich.table import Table
from torch import Tensor, nn

from lic import allocator
from lic.console import Console, plain_table
from lic.data.loading import Batch
from lic.models import CompactImage, build_model
from lic.training.compact import Compact

TRAINED, VALIDATED = 264_000, 66_000
"""Crops of an epoch: 330,000, of which 20 % are for validation."""
BASELINE = "ComCNN, RecCNN"
NETWORKS: dict[str, dict[str, Any]] = {
    BASELINE: {"name": "comcnn_reccnn"},
    "ICM, IRM": {"name": "icm_irm"},
    "… without skips": {"name": "icm_irm", "skips": False},
    "… plain convolutions": {"name": "icm_irm", "separable": False},
}
PAPER = {
    BASELINE: "173 min",
    "ICM, IRM": "139 min, ×1.24",
    "… plain convolutions": "7 % more than separable",
}
Seconds = tuple[float, float]
"""Of a step of training and of one of validation."""


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    sizes = {"width": 64, "crop": 200, "batch": 8, "channels": 3, "rounds": 5}
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    chosen = parser.parse_args()
    if min(chosen.crop, chosen.batch, chosen.rounds) < 1:
        parser.error("--crop, --batch and --rounds must be at least 1")
    allocator.tune()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    shared = {"width": chosen.width, "channels": chosen.channels}
    trainings = {
        label: Training({**options, **shared}, chosen.batch, chosen.crop, device)
        for label, options in NETWORKS.items()
    }
    view = table(in_turns(trainings, chosen.rounds), chosen.batch)
    where = torch.cuda.get_device_name() if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    view.title = (
        f"Time of an epoch, width {chosen.width}, {chosen.batch} crops of {chosen.crop}x{chosen.crop}, "
        f"{chosen.channels} channels, float32, {where}"
    )
    Console(width=110).print(view)


class Training:
    """Steps as `lic.training.compact.Compact` and Lightning take them."""

    def __init__(self, options: Mapping[str, Any], batch: int, crop: int, device: torch.device):
        torch.manual_seed(0)
        net = build_model(**options)
        assert isinstance(net, CompactImage)
        self.training, self.device = Compact(net, {}).to(device), device
        self.optimizer = torch.optim.Adam(self.training.net.parameters(), 1e-3)
        shape = (batch, options["channels"], crop, crop)
        self.patches = torch.randint(0, 256, shape, dtype=torch.uint8, device=device)

    def seconds(self) -> Seconds:
        """Of one step of each kind."""
        self.training.train()
        trained = self._timed(self._step)
        self.training.eval()
        with torch.inference_mode():
            return trained, self._timed(lambda: self.training.loss(Batch(self.patches, 0))[0])

    def _step(self) -> Tensor:
        self.optimizer.zero_grad()
        loss, _ = self.training.loss(Batch(self.patches, 0))
        loss.backward()
        nn.utils.clip_grad_norm_(self.training.net.parameters(), self.training.clip_norm)
        self.optimizer.step()
        return loss

    def _timed(self, run: Any) -> float:
        start = time.perf_counter()
        run().item()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start


def in_turns(trainings: Mapping[str, Training], rounds: int) -> dict[str, Seconds]:
    """Medians over the rounds, after a first one."""
    taken: dict[str, list[Seconds]] = {label: [] for label in trainings}
    for _ in range(1 + rounds):
        for label, training in trainings.items():
            taken[label].append(training.seconds())
    return {
        label: (median(t for t, _ in rows[1:]), median(v for _, v in rows[1:]))
        for label, rows in taken.items()
    }


def epoch(seconds: Seconds, batch: int) -> float:
    """Seconds of an epoch."""
    return (TRAINED * seconds[0] + VALIDATED * seconds[1]) / batch


def table(seconds: Mapping[str, Seconds], batch: int) -> Table:
    """Steps and epochs; how many times faster than the baseline's one is."""
    view = plain_table("")
    view.add_column("", no_wrap=True)
    for heading in ("step, s", "validation, s", "epoch, min", "baseline : it", "the paper"):
        view.add_column(heading, justify="right", no_wrap=True)
    for label, cells in rows(seconds, batch).items():
        view.add_row(label, *cells, PAPER.get(label, "–"))
    return view


def rows(seconds: Mapping[str, Seconds], batch: int) -> dict[str, Sequence[str]]:
    """The numbers of `table`."""
    reference = epoch(seconds[BASELINE], batch)
    return {
        label: (
            f"{both[0]:.3f}",
            f"{both[1]:.3f}",
            f"{epoch(both, batch) / 60:,.1f}",
            f"×{reference / epoch(both, batch):.3f}",
        )
        for label, both in seconds.items()
    }


if __name__ == "__main__":
    main()
