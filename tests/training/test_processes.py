"""What several processes need of each other; test_two_processes.py has the processes."""

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from torch import distributed, nn

from lic import interruption
from lic.errors import LostProcessError
from lic.training.processes import SyncBatchNorm

GLOO = (
    "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:21212."
)


@pytest.mark.parametrize("backend", ["nccl", "gloo"])
def test_batch_normalization_is_torchs_own_on_gpus(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning puts it in while the network still is on the CPU."""
    monkeypatch.setattr(distributed, "get_backend", lambda: backend)
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.BatchNorm2d(4)))
    nn.init.uniform_(net.get_parameter("1.0.weight"))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    made = SyncBatchNorm().apply(net).get_submodule("1.0")
    assert isinstance(made, nn.SyncBatchNorm) == (backend == "nccl") and type(made) is not nn.BatchNorm2d
    after = net.state_dict()
    assert after.keys() == before.keys() and all(torch.equal(after[k], v) for k, v in before.items())


@pytest.mark.parametrize("error", [RuntimeError(GLOO), distributed.DistBackendError("NCCL error in: …")])
@pytest.mark.parametrize("step", [1, 3])
def test_a_lost_process_is_one_sentence(
    make_codec: Any, fit: Any, tmp_path: Path, error: RuntimeError, step: int
) -> None:
    """Not a signal, although a scheduler sends one to all that are left."""

    class Lost(Callback):
        def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
            if trainer.global_step == step:
                signal.raise_signal(signal.SIGTERM)
                raise error

    with interruption.handled(), pytest.raises(LostProcessError) as caught:
        fit(make_codec(), tmp_path, first=Lost())
    assert f"processes has ended at step {step}, and the others end with it" in str(caught.value)
    kept = (
        f"kept in {tmp_path / 'checkpoints' / 'last.ckpt'}." if step > 2 else "No checkpoint was saved yet."
    )
    assert str(caught.value).endswith(kept)
