"""Train one codec, or with -m a sweep of them, and measure it on real files.

python train.py model=hyperprior model.kernel_size=9 distortion=mse lambda=0.015
python train.py -m model=resnet3x3_4 upsample=subpixel lambda=5,10
"""

import hydra
from omegaconf import DictConfig

from lic import entry, runs
from lic.configuration import CONF
from lic.sweep import names

names.register_resolvers()


@hydra.main(version_base="1.3", config_path=CONF, config_name="train")
@runs.job
def main(cfg: DictConfig) -> float:
    """Build, train, evaluate; the best validation R-D cost."""
    # Imported here: torch takes seconds, and --help, tab completion and misspelt options do without it.
    from hydra.utils import instantiate
    from lightning import seed_everything

    from lic.evaluation.evaluate import evaluate_settings, some_pictures
    from lic.precision import precision
    from lic.report.summary import add_classical, summarize
    from lic.store.load import load_codec
    from lic.training import logs, options
    from lic.training.callbacks import callbacks_of
    from lic.training.rate_distortion import RateDistortionCodec
    from lic.training.resuming import checkpoint_to_resume

    logs.quieten()
    config = options.checked_config(cfg)
    seed_everything(cfg.seed, verbose=False)
    folder = runs.run_folder()
    resume = checkpoint_to_resume(cfg, config)
    data = options.build_data(cfg)
    codec = RateDistortionCodec(options.build_net(cfg, config), config, **cfg.optimizer)
    checkpoints, callbacks = callbacks_of(cfg)
    numbers = precision(cfg.trainer.precision, cfg.trainer.accelerator)
    trainer = instantiate(cfg.trainer, precision=numbers, logger=False, callbacks=callbacks)
    data.prepare_data()

    with logs.loggers(cfg, config) as trainer.loggers:
        trainer.fit(codec, data, ckpt_path=resume, weights_only=True)
        assert checkpoints.best_cost is not None, "the last step is always validated"
        if trainer.is_global_zero:
            best = load_codec(folder)
            images = data.test_set
            results = evaluate_settings(best, images, folder, data.test_name, some_pictures(len(images)))
            for place, result in zip(best.settings, results, strict=True):
                prefix = "test" if len(results) == 1 else f"test/{place}"
                for logger in trainer.loggers:
                    logger.log_metrics({f"{prefix}/{name}": value for name, value in result.mean.items()})
    if trainer.is_global_zero:
        add_classical(runs.report_folder(), cfg.classical, images, results[0])
        if not runs.in_sweep():
            summarize(folder)
    return checkpoints.best_cost


def run() -> None:
    """What ``python train.py`` and ``lic train`` do with their command line."""
    entry.run_hydra(main)


if __name__ == "__main__":
    run()
