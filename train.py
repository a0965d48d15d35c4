"""Train one codec, or with -m a sweep of them, and measure it on real files.

python train.py model=hyperprior model.kernel_size=9 distortion=mse lambda=0.015
python train.py -m model=resnet3x3_4 upsample=subpixel lambda=5,10
"""

import hydra
from omegaconf import DictConfig

from lic import entry, sweep

sweep.register_resolvers()


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
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
    data = instantiate(cfg.data)
    images = data.test_set  # a missing test set is found out before the training, not after
    net = instantiate(cfg.model)
    runs.check_patches(net, cfg.data.patch_size)
    codec = RateDistortionCodec(net, config, **cfg.optimizer)
    checkpoint, callbacks = runs.callbacks(cfg)

    with runs.loggers(cfg, config) as loggers:
        numbers = precision(cfg.trainer.precision, cfg.trainer.accelerator)
        trainer = instantiate(cfg.trainer, precision=numbers, logger=loggers, callbacks=callbacks)
        trainer.fit(codec, data, ckpt_path=resume, weights_only=True)
        assert checkpoint.best_model_score is not None, "the last step is always validated"
        cost = checkpoint.best_model_score.item()
        if trainer.is_global_zero:
            best = load_codec(folder)
            result = evaluate(best, images, folder, data.test_name, some_pictures(len(images)))
            for logger in loggers:
                logger.log_metrics({f"test/{name}": value for name, value in result.mean.items()})
    if trainer.is_global_zero and not sweep.in_sweep():
        add_classical(folder)
        summarize(folder)
    return cost


if __name__ == "__main__":
    entry.run(main)
