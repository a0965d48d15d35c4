"""Train one codec, or with -m a sweep of them, and measure it on real files.

python train.py model=hyperprior model.kernel_size=9 distortion=mse lambda=0.015
python train.py -m model=resnet3x3_4 upsample=subpixel lambda=5,10
"""

import hydra
from omegaconf import DictConfig

from lic import entry, sweep
from lic.configuration import CONF

sweep.register_resolvers()


@hydra.main(version_base="1.3", config_path=CONF, config_name="train")
@sweep.job
def main(cfg: DictConfig) -> float:
    """Build, train, evaluate; the best validation R-D cost."""
    # Imported here: torch takes seconds, and --help, tab completion and misspelt options do without it.
    from hydra.utils import instantiate
    from lightning import seed_everything

    from lic import runs
    from lic.codecs import RateDistortionCodec
    from lic.coding.load import load_codec
    from lic.evaluation.evaluate import evaluate, some_pictures
    from lic.evaluation.summary import add_classical, summarize
    from lic.precision import precision

    runs.quieten()
    config = runs.checked_config(cfg)
    seed_everything(cfg.seed, verbose=False)
    folder = sweep.run_folder()
    resume = runs.checkpoint_to_resume(cfg, config)
    data = runs.build_data(cfg)
    codec = RateDistortionCodec(runs.build_net(cfg, config), config, **cfg.optimizer)
    checkpoints, callbacks = runs.callbacks(cfg)
    numbers = precision(cfg.trainer.precision, cfg.trainer.accelerator)
    trainer = instantiate(cfg.trainer, precision=numbers, logger=False, callbacks=callbacks)
    data.prepare_data()

    with runs.loggers(cfg, config) as trainer.loggers:
        trainer.fit(codec, data, ckpt_path=resume, weights_only=True)
        assert checkpoints.best_cost is not None, "the last step is always validated"
        if trainer.is_global_zero:
            best = load_codec(folder)
            images = data.test_set
            result = evaluate(best, images, folder, data.test_name, some_pictures(len(images)))
            for logger in trainer.loggers:
                logger.log_metrics({f"test/{name}": value for name, value in result.mean.items()})
    if trainer.is_global_zero:
        add_classical(sweep.report_folder(), cfg.classical, images, result)
        if not sweep.in_sweep():
            summarize(folder)
    return checkpoints.best_cost


def run() -> None:
    """What ``python train.py`` and ``lic train`` do with their command line."""
    entry.run_hydra(main)


if __name__ == "__main__":
    run()
