"""What a sweep is said to take, against the layers of Ballé et al. 2018 by hand."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow


def _macs_per_pixel(n: int, m: int) -> float:
    """Of its Fig. 4: kernels of 5x5 at a half to a sixteenth of the side, GDN between."""
    g_a = 25 * (3 * n / 4 + n * n / 16 + n * n / 64 + n * m / 256) + n * n * (1 / 4 + 1 / 16 + 1 / 64)
    h_a = 9 * n * m / 256 + 25 * n * n * (1 / 32**2 + 1 / 64**2)
    return 2 * (g_a + h_a)  # each has its mirror image


def _priced(run_python: Any, repository: Path, *arguments: str) -> tuple[list[list[str]], str]:
    done = run_python(repository / "benchmarks" / "training_cost.py", *arguments)
    assert done.returncode == 0, done.stderr
    _, *lines, total = done.stdout.splitlines()
    return [line.split() for line in lines], total


def test_the_printed_command_prices_each_training(run_python: Any, repository: Path) -> None:
    text = (repository / "docs" / "full-tables.md").read_text("utf-8")
    (command,) = re.findall(r"^python benchmarks/training_cost\.py (.*)$", text, re.M)
    lines, total = _priced(run_python, repository, *shlex.split(command))
    step = 6 * _macs_per_pixel(128, 192) * 8 * 256**2
    figures = [
        "2,000,000",
        f"{step / 1e12:.3f}",
        f"{2e9 * step / 1e18:,.0f}",
        f"{2e6 * step / 8.7e12 / 3600:.1f}",
    ]
    options = ["lambda=0.002", "lambda=0.006", "lambda=0.017"]
    assert lines == [[*figures, "experiment=cai2019/baseline_low", one] for one in options]
    assert total.startswith(f"In all {6e6 * step / 1e15:,.0f} PFLOP")


def test_a_network_that_enlarges_is_priced_by_the_pixels_that_it_makes(
    run_python: Any, repository: Path
) -> None:
    small = 81 * 3 * 64 + 33 * 9 * 64**2 + 9 * 64 * 256
    large = 4 * 9 * 64 * 256 + 16 * 81 * 64 * 3
    ((_, step, *_),), _ = _priced(run_python, repository, "model=srgan")
    assert step == f"{6 * (small + large) / 16 * 16 * 96**2 / 1e12:.3f}"
