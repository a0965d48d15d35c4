"""Code test images to real files with a trained or a classical codec, decode them, and measure.

python eval.py ckpt=RUN_OR_FILE data=kodak data.root=FOLDER
python eval.py ckpt=A,B target_bpp=0.15 data=kodak data.root=FOLDER
python eval.py codec=jpeg,webp data=kodak data.root=FOLDER
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from omegaconf import DictConfig

from lic import entry, runs
from lic.configuration import CONF
from lic.sweep import names

if TYPE_CHECKING:
    from lic.codecs.base import CodecInfo
    from lic.models import Network

names.register_resolvers()

LISTS = ("ckpt", "codec", "setting")
"""Options that people give as A,B."""


@hydra.main(version_base="1.3", config_path=CONF, config_name="eval")
@runs.job
def main(cfg: DictConfig) -> float:
    """Evaluate what ``ckpt`` and ``codec`` name; the mean bpp of the first result, or its PSNR."""
    # Imported here: torch takes seconds, and --help, tab completion and misspelt options do without it.
    from hydra.utils import instantiate, to_absolute_path

    from lic.codecs.base import chosen, each_setting
    from lic.codecs.classical import classical_codec
    from lic.codecs.networks import codec_of
    from lic.data.module import checked_data
    from lic.errors import UserError
    from lic.evaluation.evaluate import evaluate_classical, evaluate_settings, some_pictures
    from lic.evaluation.mixture import evaluate_mixture, evaluate_models
    from lic.evaluation.super_resolution import enlarges
    from lic.rate_control.choice import check_different
    from lic.report.summary import add_classical, summarize
    from lic.store.load import load_network

    if not cfg.ckpt and not cfg.codec:
        raise UserError("Nothing to evaluate; give ckpt=RUN_OR_FILE, codec=jpeg,webp, or both.")
    folder = runs.run_folder()
    given = (cfg.codec, cfg.ckpt, cfg.setting)
    names, paths, settings = ([one] if isinstance(one, str) else list(one or []) for one in given)
    controlled = cfg.target_bpp is not None
    of_codecs = settings if not paths else []  # beside models they are the models'
    for name in names:
        chosen(classical_codec(name), name, of_codecs)  # an unknown one is found out before the work
    for name in cfg.classical:
        classical_codec(name)
    sources = [Path(to_absolute_path(path)) for path in paths]
    networks = [load_network(source) for source in _exchanged(cfg, sources, folder)]
    if any(enlarges(net) for net, _ in networks):
        return _enlarge(cfg, networks)
    learned = [codec_of(*network) for network in networks]
    codecs = [codec for _, codec in each_setting(paths, learned, settings)]
    if controlled and len(codecs) < 2:
        raise UserError("target_bpp chooses among models for each image; give several, as in ckpt=A,B.")
    if controlled:
        check_different(paths, learned)
    source = checked_data(instantiate(cfg.data))
    images, data = source.evaluation_set, source.test_name
    pictures = some_pictures(len(images))
    if controlled:
        mixture = evaluate_mixture(codecs, images, folder, data, cfg.target_bpp, cfg.metric, pictures)
        results = [mixture.result, *mixture.alone]
    elif len(learned) == 1:
        results = evaluate_settings(learned[0], images, folder, data, pictures, settings)
    else:
        results = list(evaluate_models(codecs, images, folder, data, pictures))
    for name in names:
        results += evaluate_classical(name, images, folder, data, of_codecs)
    if learned:
        beside = [name for name in cfg.classical if name not in names]
        add_classical(runs.report_folder(), beside, images, results[0])
    if not runs.in_sweep():
        summarize(folder)
    return results[0].mean["bpp"]


def _exchanged(cfg: DictConfig, sources: list[Path], folder: Path) -> list[Path]:
    """The models as they are; with ``upsample``, model files of them with another up-sampler."""
    if not (upsample := cfg.get("upsample")):
        return sources
    from hydra.utils import to_absolute_path

    from lic.store.upsampling import exchange_upsamplers

    if (weights := upsample.get("weights")) is not None:
        upsample.weights = to_absolute_path(str(weights))
    return exchange_upsamplers(sources, folder, upsample)


def _enlarge(cfg: DictConfig, networks: "list[tuple[Network, CodecInfo]]") -> float:
    """Measure networks that enlarge images; the mean PSNR of the first one."""
    from hydra.utils import instantiate

    from lic.data.module import checked_data
    from lic.errors import UserError
    from lic.evaluation.super_resolution import enlarges, evaluate_enlarging
    from lic.report.summary import summarize

    if not all(enlarges(net) for net, _ in networks):
        raise UserError("ckpt names codecs, and networks that enlarge images; evaluate them apart.")
    unused = {"codec": cfg.codec, "setting": cfg.setting, "target_bpp": cfg.target_bpp is not None}
    unused["classical"] = cfg.classical and runs.given("classical")
    if meaningless := [option for option, value in unused.items() if value]:
        raise UserError(
            f"{meaningless[0]}= is for codecs, and ckpt names networks that enlarge images; leave it out."
        )
    source, folder = checked_data(instantiate(cfg.data)), runs.run_folder()
    places = [folder] if len(networks) == 1 else [folder / f"model-{n}" for n, _ in enumerate(networks, 1)]
    images, data = source.evaluation_set, source.test_name
    pairs = zip(networks, places, strict=True)
    results = [evaluate_enlarging(network, images, place, data) for network, place in pairs]
    if not runs.in_sweep():
        summarize(folder)
    return results[0].mean["psnr"]


def run() -> None:
    """Run the command line of ``python eval.py`` and ``lic eval``."""
    for key in LISTS:
        sys.argv = entry.lists_in(sys.argv, key)
    entry.run_hydra(main)


if __name__ == "__main__":
    run()
