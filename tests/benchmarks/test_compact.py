from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lic.data import write_png


@pytest.mark.slow
def test_an_epoch_is_extrapolated_from_steps(run_python: Any, repository: Path) -> None:
    small = ("--width", "4", "--crop", "24", "--batch", "2", "--rounds", "1", "--channels", "1")
    done = run_python(repository / "benchmarks" / "compact_training.py", *small)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "×" in line]
    assert len(lines) == 4 and "×1.000" in lines[0] and "173 min" in lines[0]
    for line in lines:
        step, validation, minutes = (float(cell.replace(",", "")) for cell in line[23:].split()[:3])
        assert minutes == pytest.approx((264_000 * step + 66_000 * validation) / 2 / 60, rel=0.15)


@pytest.mark.slow
def test_images_a_second(run_python: Any, repository: Path, tmp_path: Path) -> None:
    for name in "ab":
        write_png(tmp_path / "photos" / f"{name}.png", np.zeros((20, 30, 3), np.uint8))
    script = repository / "benchmarks" / "compact_coding.py"
    done = run_python(script, "photos", "--width", "4")
    assert done.returncode == 0, done.stderr
    assert "2 images of photos, fewer than" in " ".join(done.stdout.split())
    for label, printed in (("ComCNN, RecCNN ", "4.1"), ("ICM, IRM, bicubic", "4.3")):
        (line,) = (line for line in done.stdout.splitlines() if label in line)
        compressed, *_, decompressed, paper = line.split()[-4:]
        assert float(compressed) > 0 < float(decompressed) and paper == printed
    done = run_python(script, "nowhere")
    assert done.returncode == 2 and "nowhere is not a folder" in done.stderr
