"""Code test images to real files with a trained or a classical codec, decode them, and measure.

python eval.py ckpt=RUN_OR_FILE data=kodak
python eval.py codec=jpeg,webp data=kodak
"""

import sys

import hydra
from omegaconf import DictConfig

from lic import entry, sweep

sweep.register_resolvers()


@hydra.main(version_base="1.3", config_path="conf", config_name="eval")
@sweep.job
def main(cfg: DictConfig) -> float:
    """Evaluate what ``ckpt`` and ``codec`` name; the mean bpp of the first result."""
    # Imported here: torch takes seconds, and --help, tab completion and misspelt options do without it.
    from hydra.utils import to_absolute_path

    from lic.coding.checkpoint import load_codec
    from lic.coding.classical import classical_codecs
    from lic.errors import UserError
    from lic.evaluation.evaluate import evaluate, evaluate_classical, some_pictures
    from lic.evaluation.summary import add_classical, images_of, summarize

    if not cfg.ckpt and not cfg.codec:
        raise UserError("Nothing to evaluate; give ckpt=RUN_OR_FILE, codec=jpeg,webp, or both.")
    folder = sweep.run_folder()
    names = [cfg.codec] if isinstance(cfg.codec, str) else cfg.codec
    for name in [*names, *cfg.classical]:
        classical_codecs(name)  # an unknown one is found out before the work
    learned = [load_codec(to_absolute_path(cfg.ckpt))] if cfg.ckpt else []
    images, data = images_of(cfg)
    results = [evaluate(codec, images, folder, data, some_pictures(len(images))) for codec in learned]
    for name in names:
        results += evaluate_classical(name, images, folder, data)
    if not sweep.in_sweep():
        add_classical(folder)
        summarize(folder)
    return results[0].mean["bpp"]


if __name__ == "__main__":
    sys.argv = entry.lists_in(sys.argv, "codec")
    entry.run(main)
