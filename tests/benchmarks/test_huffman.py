from pathlib import Path
from typing import Any

import pytest

from lic.entropy.pixels import CODERS


def test_codes_come_near_the_entropy(run_python: Any, repository: Path) -> None:
    pytest.importorskip("lic.entropy._huffman")
    done = run_python(repository / "benchmarks" / "huffman.py", "--size", "150", "100", "--repeat", "1")
    assert done.returncode == 0, done.stderr
    ratios: dict[str, float] = {}
    speeds: dict[str, list[float]] = {}
    for line in done.stdout.splitlines()[2:]:
        name, rest = line[:28].strip(), line[28:].split()
        ratios[name], *speeds[name] = map(float, rest)
    assert set(ratios) == {*CODERS, "entropy", "entropy-left", "entropy-up", "zlib, Z_HUFFMAN_ONLY", "PNG"}
    for prediction in ("", "-left", "-up"):
        entropy = ratios[f"entropy{prediction}"]
        assert entropy < ratios[f"huffman{prediction}"] < 1.03 * entropy
        assert entropy < ratios[f"adaptive-huffman{prediction}"] < 1.05 * entropy
        assert ratios[f"range{prediction}"] < 1.03 * entropy
    assert ratios["huffman-left"] < ratios["huffman"]
    assert all(len(both) == 2 and min(both) > 0 for name, both in speeds.items() if "entropy" not in name)
