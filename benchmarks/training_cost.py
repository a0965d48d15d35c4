"""What the trainings of a sweep take, before one begins: floating-point operations and hours.

    python benchmarks/training_cost.py --tflops 30 experiment=cai2019/baseline_low lambda=0.002,0.006,0.017

The overrides are those of ``python train.py -m``. A multiply-accumulate is two operations; a step passes
through the network three times: forward, for the gradients of activations, and for those of weights. Losses,
priors, validations and the data are not counted, and every part of a network counts as trained. ``--tflops``
is what a device sustains: the operations of a step over its seconds, which a training says before it begins.
"""

import argparse
import copy
from collections.abc import Sequence
from functools import cache

import lic  # noqa: F401 - makes torchvision importable

# isort: split
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from lic.configuration import CONF
from lic.metrics.complexity import macs_per_pixel
from lic.models.srgan import FACTOR, SRResNet
from lic.sweep.names import register_resolvers

SIDE = 192  # pixels: a multiple of what any family divides by
PASSES = 3
HOUR = 3600


@cache
def macs(model: str) -> float:
    """Per pixel of a patch, of a model's configuration."""
    net = instantiate(OmegaConf.create(model))
    per_pixel = macs_per_pixel(net, SIDE, net.image_channels)
    return per_pixel / FACTOR**2 if isinstance(net, SRResNet) else per_pixel


def jobs(overrides: Sequence[str]) -> list[list[str]]:
    """The overrides of each job."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    return BasicSweeper.split_arguments(copy.deepcopy(parsed), None)[0]


def steps_and_operations(cfg: DictConfig) -> tuple[int, float]:
    """Of a training: its steps, and the floating-point operations of one."""
    trainer = cfg.trainer
    batches = trainer.accumulate_grad_batches * trainer.devices * trainer.num_nodes
    pixels = batches * cfg.data.batch_size * cfg.data.patch_size**2
    return cfg.trainer.max_steps, 2 * PASSES * macs(OmegaConf.to_yaml(cfg.model, resolve=True)) * pixels


def main() -> None:
    """Print a line for each job and their sum."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="of train.py -m")
    parser.add_argument("--tflops", type=float, default=30, help="10^12 operations a second (default: 30)")
    options = parser.parse_args()
    register_resolvers()
    total = 0.0
    print(f"{'steps':>9}  {'TFLOP/step':>10}  {'PFLOP':>9}  {'hours':>7}")
    with initialize_config_dir(CONF, version_base="1.3"):
        for job in jobs(options.overrides):
            steps, operations = steps_and_operations(compose("train", job))
            total += steps * operations
            hours = steps * operations / options.tflops / 1e12 / HOUR
            print(
                f"{steps:9,}  {operations / 1e12:10.3f}  {steps * operations / 1e15:9,.0f}  {hours:7.1f}  "
                + " ".join(job)
            )
    print(f"In all {total / 1e15:,.0f} PFLOP: {total / options.tflops / 1e12 / HOUR:,.0f} hours.")


if __name__ == "__main__":
    main()
