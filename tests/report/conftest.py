"""Made-up runs for the tests of this folder, hostile ones among them."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from ..made_runs import MakeRun, learned, make_run, sweep

__all__ = ["make_run", "sweep"]

EVIL = ("<img src=x onerror=alert(1)>", "</script><script>alert(2)</script>", "{{ 7 * 7 }} & “λ” 蜂 <b>")


@pytest.fixture
def evil_sweep(sweep: Path, make_run: MakeRun) -> Path:
    """A sweep in which every name is hostile, beside friendly curves, one of them lossless."""
    tag, script, template = EVIL
    codec = replace(learned(tag, 5), model="<b>" * 5)
    make_run("sweep/evil <i>", codec, 0.3, 28, data=script, images=[template, "<b>bold"], pictures=True)
    make_run("sweep/lossless", learned("lossless", 5), 9, math.inf, 1.0)
    failed = sweep / "lambda=20/status.json"
    failed.write_text(json.dumps({"status": "failed", "error": f"{tag} {script}"}))
    return sweep
