import re
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer

from lic.training.pace import duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (10, "less than a minute"),
        (60, "about a minute"),
        (600, "about 10 minutes"),
        (7200, "about 2 hours"),
        (34_128_000, "about 395 days"),
    ],
)
def test_durations_are_in_the_unit_that_people_use(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_line_says_how_long_it_takes_and_changes_nothing(
    make_codec: Any, fit: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before: dict[str, torch.Tensor] = {}

    class First(Callback):
        def on_train_batch_start(
            self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
        ) -> None:
            if batch_idx == 0:
                assert all(p.grad is None for p in pl_module.parameters())
                before.update({k: v.clone() for k, v in pl_module.state_dict().items()})
                assert re.search(r"Training: 2 steps of about [\d.e-]+ s, less than a minute", caplog.text)

    codec = make_codec()
    weights = {k: v.clone() for k, v in codec.state_dict().items()}
    with caplog.at_level("INFO", "lic.training.pace"):
        fit(codec, tmp_path, First(), max_steps=2)
    assert before and all(torch.equal(weights[name], value) for name, value in before.items())
