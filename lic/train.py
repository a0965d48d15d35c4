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
    """Build, train, evaluate; the best validation cost."""
    # Imported here: torch takes seconds, and --help, tab completion and misspelt options do without it.
    from lightning import seed_everything

    from lic.errors import UserError
    from lic.evaluation.evaluate import evaluate_settings, some_pictures
    from lic.report.summary import add_classical, summarize
    from lic.store.load import load_codec
    from lic.training import build, logs
    from lic.training.callbacks import callbacks_of
    from lic.training.options import checked_config
    from lic.training.resuming import checkpoint_to_resume
    from lic.training.start_from import start_as_configured

    logs.quieten()
    config = checked_config(cfg)
    seed_everything(cfg.seed, verbose=False)
    folder = runs.run_folder()
    net = build.build_net(cfg, config)
    data = build.build_data(cfg)
    training = build.build_training(cfg, config, net, data)
    resume = checkpoint_to_resume(cfg, config, training.objective)
    start_as_configured(net, cfg, load=resume is None)
    checkpoints, callbacks = callbacks_of(cfg, training.monitor)
    trainer = build.build_trainer(cfg, training, callbacks)
    data.prepare_data()

    with logs.loggers(cfg, config, training.objective) as trainer.loggers:
        trainer.fit(training, data, ckpt_path=resume, weights_only=True)
        if checkpoints.best_cost is None:
            raise UserError(
                f"The training ended at step {trainer.global_step}, before a validation that chooses a best "
                "checkpoint; continue it with ckpt_path=last, or give a smaller trainer.val_check_interval."
            )
        if not training.is_codec or not trainer.is_global_zero:
            return checkpoints.best_cost
        best, images = load_codec(folder), data.test_set
        results = evaluate_settings(best, images, folder, data.test_name, some_pictures(len(images)))
        for place, result in zip(best.measured, results, strict=True):
            prefix = "test" if len(results) == 1 else f"test/{place}"
            for logger in trainer.loggers:
                logger.log_metrics({f"{prefix}/{name}": value for name, value in result.mean.items()})
    add_classical(runs.report_folder(), cfg.classical, images, results[0])
    if not runs.in_sweep():
        summarize(folder)
    return checkpoints.best_cost


def run() -> None:
    """Run the command line of ``python train.py`` and ``lic train``."""
    entry.run_hydra(main)


if __name__ == "__main__":
    run()
