"""Training in several processes: what all agree on, and batch normalization over all of their batches."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from lightning import Trainer
from lightning.pytorch.plugins import TorchSyncBatchNorm
from torch import Tensor, distributed, nn


def agreed(trainer: Trainer, *numbers: int) -> list[int]:
    """The largest of each over all processes: what one knows, all must do."""
    if trainer.world_size == 1:  # a GPU need not be waited for in every step
        return list(numbers)
    own = torch.tensor(numbers, device=trainer.strategy.root_device)
    distributed.all_reduce(own, distributed.ReduceOp.MAX)  # Lightning's reduce waits for all before it, too
    return own.tolist()


def means_of_all(trainer: Trainer, means: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Means over this process's part of a batch -> means over the batch of all processes, detached.

    What is no number in one process is none in all: they end together.
    """
    own = {name: value.detach() for name, value in means.items()}
    if trainer.world_size == 1:
        return own
    stacked = torch.stack([value.float() for value in own.values()])
    distributed.all_reduce(stacked)
    return dict(zip(own, stacked / trainer.world_size, strict=True))


def is_of_another(error: BaseException) -> bool:
    """Whether an error says that another process is gone or mute, in the words of gloo or NCCL."""
    return isinstance(error, distributed.DistError) or (
        isinstance(error, RuntimeError) and "gloo/transport" in str(error)
    )


def outlive(trainer: Trainer) -> None:
    """Let this process say how it ends: seconds after another has failed, Lightning would kill it."""
    if started := getattr(trainer.strategy.launcher, "procs", None):
        started.clear()  # those that it watches


def part(trainer: Trainer) -> None:
    """Leave the group of processes, all together: the first then evaluates, and the others are done.

    One that ended while others still reduce would be taken for dead.
    """
    if trainer.world_size > 1:
        distributed.destroy_process_group()


class SyncBatchNorm(TorchSyncBatchNorm):
    """Batch normalization by the mean and variance of all processes' batches, on CPUs too.

    Processes that each normalized by their own would not train what one process with all their images does.
    torch's own is for GPUs.
    """

    def apply(self, model: nn.Module) -> nn.Module:
        """Put it in the place of every batch normalization below the model, which is not on its GPU yet."""
        if distributed.get_backend() != "gloo":
            return super().apply(model)
        for module in list(model.modules()):
            for name, child in module.named_children():
                if isinstance(child, nn.BatchNorm2d):
                    setattr(module, name, _BatchNormOfAll.like(child))
        return model


class _BatchNormOfAll(nn.BatchNorm2d):
    """`nn.BatchNorm2d` over the batches of all processes, which are of the same size."""

    @classmethod
    def like(cls, norm: nn.BatchNorm2d) -> "_BatchNormOfAll":
        """One with the parameters and buffers of another."""
        made = cls(norm.num_features, norm.eps, norm.momentum)
        made.__dict__ |= norm.__dict__
        return made

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H, W]."""
        if not self.training:
            return super().forward(x)
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        axes = (0, 2, 3)
        count = x.numel() / x.shape[1] * distributed.get_world_size()
        mean = _summed(x.float().sum(axes)) / count
        centred = x.float() - mean[:, None, None]
        variance = _summed(centred.square().sum(axes)) / count
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)


class _Sum(torch.autograd.Function):
    """A tensor's sum over all processes; so is its gradient, since all of their losses hang on it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """[…] -> […], the same in all processes."""
        total = x.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """See the class."""
        return _summed(gradient)


def _summed(x: Tensor) -> Tensor:
    return cast(Tensor, _Sum.apply(x))
