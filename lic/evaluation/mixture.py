"""Rate control: several models measured on one set of images, and the mixture of them that meets a rate."""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lic.atomic import write_bytes
from lic.codecs.base import CodecInfo, FileCodec
from lic.data import ImageSet
from lic.errors import UserError
from lic.evaluation.evaluate import STREAMS, check_colours, evaluate
from lic.evaluation.result import PICTURES, RESULT_FILE, Result, Row
from lic.metrics.measures import Measure, all_measures, averages, measure_called
from lic.rate_control.choice import budget, choose


@dataclass(frozen=True)
class Mixture:
    """Several models as one codec.

    ``alone`` is each model on all images; ``result`` holds, of each image, the row of the model
    ``models[image]``, such that the files of all together keep to ``target_bpp`` and the mean of
    ``metric``, a key of `all_measures`, is best.
    """

    target_bpp: float
    metric: str
    models: tuple[int, ...]
    result: Result
    alone: tuple[Result, ...]

    def summary(self, codecs: Mapping[str, FileCodec]) -> dict[str, Any]:
        """The choice, and what each model alone would have reached, for `json_text`.

        Args:
            codecs: the models by the names that people know them by.
        """
        names, suffixes = list(codecs), [codec.suffix for codec in codecs.values()]
        return {
            "target_bpp": self.target_bpp,
            "metric": self.metric,
            "mixture": _totals(self.result),
            "models": [
                {
                    "model": name,
                    "fingerprint": codec.fingerprint.hex(),
                    "curve": codec.info.curve,
                    "setting": codec.info.setting,
                    "chosen": self.models.count(number),
                    "alone": _totals(self.alone[number]),
                }
                for number, (name, codec) in enumerate(codecs.items())
            ],
            "images": [
                {
                    "file": f"{row.file}{suffixes[model]}",
                    "model": names[model],
                    "bytes": row.bytes,
                    "bpp": row.bpp,
                }
                | {name: row.measure(name) for name in all_measures()}
                for model, row in zip(self.models, self.result.rows, strict=True)
            ],
        }


def evaluate_models(
    codecs: Sequence[FileCodec],
    images: ImageSet,
    folder: Path,
    data: str,
    pictures: Sequence[int] = (),
    progress: bool = True,
) -> Iterator[Result]:
    """Measure each codec on all images, in the folders ``model-1``, ``model-2``, … below ``folder``."""
    check_colours(codecs, images)
    for number, codec in enumerate(codecs):
        yield evaluate(codec, images, _folder_of(folder, number), data, pictures, progress)


def evaluate_mixture(
    codecs: Sequence[FileCodec],
    images: ImageSet,
    folder: Path,
    data: str,
    target_bpp: float,
    metric: str,
    pictures: Sequence[int] = (),
    progress: bool = True,
) -> Mixture:
    """Measure each codec as `evaluate_models`, and leave in ``folder`` itself their mixture.

    It is an operating point like those of `evaluate`; its streams and pictures are copies of the chosen ones.

    Raises:
        UserError: the target is no rate or below the smallest files, or the metric does not exist or is not
            defined for an image.
    """
    if not (isinstance(target_bpp, int | float) and 0 < target_bpp < math.inf):
        raise UserError(f"The target is a number of bits per pixel, not {target_bpp}; give one above 0.")
    measure = measure_called(metric)
    results = []
    for result in evaluate_models(codecs, images, folder, data, pictures, progress):
        _check_defined(result, measure)  # after the first model, not after all
        results.append(result)
    mixture = mix(results, target_bpp, metric)
    for row, model in zip(mixture.result.rows, mixture.models, strict=True):
        place = _folder_of(folder, model)
        stream = Path(STREAMS, f"{row.file}{codecs[model].suffix}")
        for file in (stream, *(Path(kind, f"{row.file}.png") for kind in PICTURES)):
            if (place / file).exists():  # pictures are of some images only
                write_bytes(folder / file, (place / file).read_bytes())
    mixture.result.save(folder / RESULT_FILE)
    return mixture


def mix(results: Sequence[Result], target_bpp: float, metric: str) -> Mixture:
    """The model of each image by which the files of all images keep to a rate and their mean quality is best.

    Every image is encoded by all models and decoded by one: a row's seconds of encoding are those of all.

    Args:
        results: each model alone, on the same images.
        target_bpp: bits of all files together over pixels of all images together, at most.
        metric: the measure whose mean is to be best, a key of `all_measures`.

    Raises:
        UserError: the smallest files exceed the target.
    """
    bits = np.array(
        [[8 * row.bytes for row in rows] for rows in zip(*(r.rows for r in results), strict=True)]
    )
    measure = measure_called(metric)
    values = np.array([[row.measure(metric) for row in result.rows] for result in results]).T
    quality = np.minimum(values, measure.cap) if measure.higher_is_better else -values
    allowed = budget(target_bpp, results[0].pixels, int(bits.min(axis=1).sum()))
    models = tuple(choose(bits, quality, allowed).tolist())
    alone = zip(*(result.rows for result in results), strict=True)
    rows = tuple(_chosen(rows, model) for rows, model in zip(alone, models, strict=True))
    threads = {result.threads for result in results}
    info = _describe([result.codec for result in results], target_bpp, measure)
    result = Result(info, results[0].data, rows, threads.pop() if len(threads) == 1 else None)
    return Mixture(target_bpp, metric, models, result, tuple(results))


def _chosen(rows: Sequence[Row], model: int) -> Row:
    return replace(
        rows[model],
        encode_s=math.fsum(row.encode_s for row in rows),
        analysis_s=math.fsum(row.analysis_s for row in rows),
    )


def _folder_of(folder: Path, number: int) -> Path:
    return folder / f"model-{number + 1}"


def _check_defined(result: Result, measure: Measure) -> None:
    for row in result.rows:
        if math.isnan(row.measure(measure.name)):
            small = min(row.width, row.height) < measure.smallest_side
            reason = (
                f"has a side below {measure.smallest_side} pixels, where" if small else "is an image where"
            )
            raise UserError(
                f"{row.file} {reason} {measure.title} is not defined; choose by another metric, such as PSNR "
                "(metric psnr)."
            )


def _totals(result: Result) -> dict[str, Any]:
    return {
        "bytes": sum(row.bytes for row in result.rows),
        "pixels": result.pixels,
        "bpp": result.mean["bpp_pooled"],
    } | {name: result.mean[name] for name in averages()}


def _describe(codecs: Sequence[CodecInfo], target_bpp: float, measure: Measure) -> CodecInfo:
    """The mixtures of the same models lie on one curve, along which the target moves."""
    by_curve: dict[str, list[CodecInfo]] = {}
    for codec in codecs:
        by_curve.setdefault(codec.key, []).append(codec)
    names = " + ".join(
        f"{same[0].curve}, {' | '.join(codec.setting for codec in same)}" for same in by_curve.values()
    )
    by = f"{measure.title} in {measure.unit}" if measure.of else measure.title
    first, *others = (codec.objective for codec in codecs)
    common = {key: value for key, value in first.items() if all(o.get(key) == value for o in others)}
    models = "\n".join(replace(codec, moving=[]).key for codec in codecs)
    return CodecInfo(
        curve=f"rate control by {by}: {names}",
        setting=f"to {target_bpp:g} bpp",
        learned=True,
        model="rate control",
        options={
            "metric": measure.name,
            "models": hashlib.sha256(models.encode()).hexdigest()[:12],
            "target_bpp": target_bpp,
        },
        objective=common,
        moving=["target_bpp"],
        parameters=sum({_network(codec): codec.parameters or 0 for codec in codecs}.values()),
    )


def _network(codec: CodecInfo) -> str:
    """The same for all settings of one codec, which are among its choices."""
    return replace(codec, moving=[key for key in codec.moving if key in codec.choices]).key
