"""Train one network, or with -m a sweep of them, and measure it: a codec on real files.

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
    from lic.evaluation.result import Result
    from lic.report.summary import add_classical, summarize
    from lic.training import build, logs
    from lic.training.callbacks import callbacks_of
    from lic.training.options import checked_config
    from lic.training.processes import part
    from lic.training.resuming import checkpoint_to_resume
    from lic.training.start_from import start_as_configured

    logs.quieten()
    config = checked_config(cfg)
    seed_everything(cfg.seed, verbose=False)
    folder = runs.run_folder()
    net = build.build_net(cfg, config)
    data = build.build_data(cfg)
    training = build.build_training(cfg, config, net, data)
    if not training.is_codec and cfg.classical and runs.given("classical"):
        raise UserError("classical= are codecs beside one, and the model is none; leave it out.")
    resume = checkpoint_to_resume(cfg, config, training.objective)
    start_as_configured(net, cfg, load=resume is None)
    checkpoints, callbacks = callbacks_of(cfg, training.monitor)
    trainer = build.build_trainer(cfg, training, callbacks)
    data.prepare_data()

    with logs.loggers(cfg, config, training.objective) as trainer.loggers:
        trainer.fit(training, data, ckpt_path=resume, weights_only=True)
        part(trainer)
        if checkpoints.best_cost is None:
            raise UserError(
                f"The training ended at step {trainer.global_step}, before a validation that chooses a best "
                "checkpoint; continue it with ckpt_path=last, or give a smaller trainer.val_check_interval."
            )
        if not trainer.is_global_zero:
            return checkpoints.best_cost
        results = training.evaluate(folder, data.test_set, data.test_name)
        for prefix, result in results.items():
            for logger in trainer.loggers:
                logger.log_metrics({f"{prefix}/{name}": value for name, value in result.mean.items()})
    if coded := [result for result in results.values() if isinstance(result, Result)]:
        add_classical(runs.report_folder(), cfg.classical, data.test_set, coded[0])
    if results and not runs.in_sweep():
        summarize(folder)
    return checkpoints.best_cost


def run() -> None:
    """Run the command line of ``python train.py`` and ``lic train``."""
    entry.run_hydra(main)


if __name__ == "__main__":
    run()
