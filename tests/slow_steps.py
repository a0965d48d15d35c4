"""A training that takes its time without work, so that something can happen to it."""

import time
from typing import Any

from lightning import Callback


class SlowSteps(Callback):
    """Sleeps after each step; the weights know nothing of it."""

    def __init__(self, seconds: float = 0.05) -> None:
        self.seconds = seconds

    def on_train_batch_end(self, *arguments: Any) -> None:
        time.sleep(self.seconds)
