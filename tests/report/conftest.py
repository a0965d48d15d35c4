"""Made-up runs for the tests of this folder."""

from ..made_runs import make_run, sweep

__all__ = ["make_run", "sweep"]
