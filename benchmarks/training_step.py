"""Seconds per training step on the CPU: CompressAI's way and ours, on one network of CompressAI's.

    python benchmarks/training_step.py --channels 128 --steps 5

CompressAI's way is that of its example script: float32, contiguous tensors, two Adam optimizers, the C
library's own allocator. Ours is what `train.py` does: the tuned allocator, channels-last weights, one
optimizer over both losses, and with ``trainer.precision=bf16-mixed`` autocast. Every variant runs in a
process of its own, because an allocator cannot be untuned, and the variants take turns.
"""

import argparse
import statistics
import subprocess
import sys
import time

import lic  # noqa: F401 - makes torchvision importable

# isort: split
import torch
from compressai.losses import RateDistortionLoss
from compressai.models import MeanScaleHyperprior
from compressai.optimizers import net_aux_optimizer

from lic import allocator
from lic.precision import cpu_unit

VARIANTS = ("compressai", "float32", "bfloat16")


def compressai_steps(net: MeanScaleHyperprior, x: torch.Tensor, steps: int) -> list[float]:
    """Steps as CompressAI's example takes them."""
    config = {"net": {"type": "Adam", "lr": 1e-4}, "aux": {"type": "Adam", "lr": 1e-3}}
    optimizers = net_aux_optimizer(net, config)
    criterion = RateDistortionLoss(lmbda=0.01)
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        for optimizer in optimizers.values():
            optimizer.zero_grad()
        criterion(net(x), x)["loss"].backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizers["net"].step()
        net.aux_loss().backward()
        optimizers["aux"].step()
        seconds.append(time.perf_counter() - start)
    return seconds


def our_steps(net: MeanScaleHyperprior, x: torch.Tensor, steps: int, bfloat16: bool) -> list[float]:
    """Steps as `lic.training.rate_distortion.RateDistortion` takes them."""
    allocator.tune()
    net = net.to(memory_format=torch.channels_last)
    weights = [p for name, p in net.named_parameters() if not name.endswith("quantiles")]
    quantiles = [p for name, p in net.named_parameters() if name.endswith("quantiles")]
    optimizer = torch.optim.Adam([{"params": weights, "lr": 1e-4}, {"params": quantiles, "lr": 1e-3}])
    criterion = RateDistortionLoss(lmbda=0.01)
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            out = net(x)
        out = {
            "x_hat": out["x_hat"].float(),
            "likelihoods": {name: p.float() for name, p in out["likelihoods"].items()},
        }
        (criterion(out, x)["loss"] + net.aux_loss()).backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    return seconds


def measure(variant: str, channels: int, steps: int) -> float:
    """The median step of one variant, after one to warm up."""
    torch.manual_seed(0)
    net = MeanScaleHyperprior(channels, channels).train()
    x = torch.rand(8, 3, 256, 256)
    if variant == "compressai":
        return statistics.median(compressai_steps(net, x, steps + 1)[1:])
    return statistics.median(our_steps(net, x, steps + 1, variant == "bfloat16")[1:])


def main() -> None:
    """Run the variants in turn, twice each, and print the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--variant", choices=VARIANTS, help="run only this one, in this process")
    arguments = parser.parse_args()
    if arguments.variant:
        print(measure(arguments.variant, arguments.channels, arguments.steps))
        return
    sizes = ["--channels", str(arguments.channels), "--steps", str(arguments.steps)]
    print(f"{torch.get_num_threads()} threads; bfloat16 unit of this CPU: {cpu_unit()}")
    variants = VARIANTS if cpu_unit() else VARIANTS[:-1]
    seconds: dict[str, list[float]] = {variant: [] for variant in variants}
    for _ in range(2):
        for variant in variants:
            command = [sys.executable, __file__, "--variant", variant, *sizes]
            seconds[variant].append(float(subprocess.check_output(command, text=True)))
    reference = statistics.mean(seconds["compressai"])
    for variant, values in seconds.items():
        mean = statistics.mean(values)
        print(f"{variant:>10}: {mean:.3f} s per step of 8 patches of 256x256, x{reference / mean:.2f}")


if __name__ == "__main__":
    main()
