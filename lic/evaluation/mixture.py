"""Rate control: several models measured on one set of images, and the mixture of them that meets a rate."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lic.coding.codec import CodecInfo, FileCodec
from lic.coding.rate_control import budget, choose
from lic.data import ImageSet
from lic.errors import UserError
from lic.evaluation.evaluate import evaluate, evaluate_each
from lic.evaluation.result import Result
from lic.metrics.quality import MS_SSIM_MIN_SIDE

METRICS = {"ms_ssim": "MS-SSIM", "psnr": "PSNR"}
LOSSLESS_DB = 100.0
"""What an image without any loss counts in a sum of PSNRs; no other counts more."""


@dataclass(frozen=True)
class Mixture:
    """``result`` holds, of each image, the row of the model ``models[image]``."""

    models: tuple[int, ...]
    result: Result


def evaluate_models(
    codecs: Sequence[FileCodec],
    images: ImageSet,
    folder: Path,
    data: str,
    pictures: Sequence[int] = (),
    progress: bool = True,
) -> list[Result]:
    """Measure each codec on all images, in the folders ``model-1``, ``model-2``, … below ``folder``."""
    return [
        evaluate(codec, images, folder / f"model-{number}", data, pictures, progress)
        for number, codec in enumerate(codecs, 1)
    ]


def evaluate_mixture(
    codecs: Sequence[FileCodec],
    images: ImageSet,
    folder: Path,
    data: str,
    target_bpp: float,
    metric: str,
    pictures: Sequence[int] = (),
) -> list[Result]:
    """Measure each codec as `evaluate_models`, and in ``folder`` itself their mixture: an operating point.

    Every image of the mixture is coded and decoded once more, by the model chosen for it.

    Returns:
        The mixture, then each model alone.

    Raises:
        UserError: see `check_aim` and `mix`.
    """
    check_aim(target_bpp, metric, images)
    results = evaluate_models(codecs, images, folder, data, pictures)
    mixture = mix(results, target_bpp, metric)
    chosen = [codecs[model] for model in mixture.models]
    return [evaluate_each(mixture.result.codec, chosen, images, folder, data, pictures), *results]


def check_aim(target_bpp: float, metric: str, images: ImageSet) -> None:
    """Whether, before the work, a target and a metric can be used on these images.

    Raises:
        UserError: the target is no rate, or the metric does not exist, or not for one of the images.
    """
    if not (isinstance(target_bpp, int | float) and 0 < target_bpp < math.inf):
        raise UserError(f"The target is a number of bits per pixel, not {target_bpp}; give one above 0.")
    if metric not in METRICS:
        raise UserError(f"There is no metric {metric}; choose one of {', '.join(METRICS)}.")
    for i, name in enumerate(images.names if metric == "ms_ssim" else ()):
        if min(images[i].shape[:2]) < MS_SSIM_MIN_SIDE:
            raise UserError(
                f"{name} has a side below {MS_SSIM_MIN_SIDE} pixels, where MS-SSIM is not defined; choose by "
                "PSNR (metric psnr)."
            )


def mix(results: Sequence[Result], target_bpp: float, metric: str) -> Mixture:
    """The model of each image by which the files of all images keep to a rate and their mean quality is best.

    Args:
        results: each model alone, on the same images.
        target_bpp: bits of all files together over pixels of all images together, at most.
        metric: the `Row` measure whose mean is maximised, a key of `METRICS`.

    Raises:
        UserError: the smallest files exceed the target.
    """
    bits = np.array(
        [[8 * row.bytes for row in rows] for rows in zip(*(r.rows for r in results), strict=True)]
    )
    quality = np.array([[getattr(row, metric) for row in result.rows] for result in results]).T
    if metric == "psnr":
        quality = np.minimum(quality, LOSSLESS_DB)
    allowed = budget(target_bpp, results[0].pixels, int(bits.min(axis=1).sum()))
    models = tuple(choose(bits, quality, allowed).tolist())
    rows = tuple(results[model].rows[image] for image, model in enumerate(models))
    info = _describe([result.codec for result in results], target_bpp, metric)
    return Mixture(models, Result(info, results[0].data, rows))


def _describe(codecs: Sequence[CodecInfo], target_bpp: float, metric: str) -> CodecInfo:
    """The mixtures of the same models lie on one curve, along which the target moves."""
    by_curve: dict[str, list[str]] = {}
    for codec in codecs:
        by_curve.setdefault(codec.curve, []).append(codec.setting)
    names = " + ".join(f"{curve}, {' | '.join(settings)}" for curve, settings in by_curve.items())
    distortions = {codec.distortion for codec in codecs}
    return CodecInfo(
        curve=f"rate control by {METRICS[metric]}: {names}",
        setting=f"to {target_bpp:g} bpp",
        learned=True,
        model="rate control",
        distortion=distortions.pop() if len(distortions) == 1 else None,
        parameters=sum(codec.parameters or 0 for codec in codecs),
    )
