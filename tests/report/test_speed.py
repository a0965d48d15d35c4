import math
from pathlib import Path

import pytest

from lic.evaluation.points import collect, curves
from lic.evaluation.result import CodecInfo, Result, Row
from lic.report.speed import speed_of


@pytest.fixture
def timed(tmp_path: Path) -> Path:
    """Three points of one curve; the third is of an older file."""
    codec = CodecInfo("net", "λ = 5", True, "net")
    for name, threads, times in (
        ("a", 1, [(1.0, 2.0, 0.5, 1.0), (3.0, 4.0, 0.5, 2.0)]),
        ("b", 2, [(1.0, 2.0, 0.5, 1.0), (3.0, 4.0, 0.5, 2.0)]),
        ("older", None, [(2.0, 3.0), (2.0, 3.0)]),
    ):
        rows = (Row(str(i), 8, 8, 8, 1, 1, {"psnr": 30}, *seconds) for i, seconds in enumerate(times))
        (tmp_path / name).mkdir()
        Result(codec, "photos", tuple(rows), threads).save(tmp_path / name / "test.json")
    return tmp_path


def test_speed_is_one_over_the_mean_of_what_was_timed(timed: Path) -> None:
    (curve,) = curves(collect([timed]))
    speed = speed_of(curve)
    assert (speed.analysis, speed.synthesis, speed.encode) == (2, 1 / 1.5, 0.5)
    assert speed.decode == pytest.approx(1 / 3) and speed.set_s == pytest.approx(6)
    assert speed.threads == (1, 2)


def test_what_was_never_timed_has_no_speed(timed: Path) -> None:
    (curve,) = curves(collect([timed / "older"]))
    speed = speed_of(curve)
    assert math.isnan(speed.analysis) and math.isnan(speed.synthesis)
    assert (speed.encode, speed.threads) == (0.5, ())
