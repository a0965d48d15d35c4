"""How long something takes."""

import statistics
import time
from collections.abc import Callable


def median(run: Callable[[], object], times: int = 5) -> float:
    """Seconds of the median of some runs after a first one."""
    run()
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)
