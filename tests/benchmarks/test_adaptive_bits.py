from pathlib import Path
from typing import Any

import pytest

COLUMNS = ("correlation", "decisions", "encode", "decode", "double", "bits", "levels")


def test_what_neighbours_tell_is_saved(run_python: Any, repository: Path) -> None:
    pytest.importorskip("lic.entropy._bits")
    done = run_python(repository / "benchmarks" / "adaptive_bits.py", "--size", "16", "24")
    assert done.returncode == 0, done.stderr
    lines = [dict(zip(COLUMNS, line.split(), strict=True)) for line in done.stdout.splitlines()[2:]]
    assert [line["correlation"] for line in lines] == ["0.0", "0.3", "0.6", "0.9"]
    assert all(int(line["decisions"].replace(",", "")) > 10_000 for line in lines)
    bits, levels = ([float(line[kind].rstrip("%")) for line in lines] for kind in ("bits", "levels"))
    assert 0 < bits[0] < 6 and bits[1] < 0 and bits[2] < -15 and bits[3] < -50
    assert levels == sorted(levels, reverse=True) and levels[0] < 0 and levels[3] < -40
