"""Small made-up runs of networks that enlarge images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lic.codecs.base import CodecInfo
from lic.data import write_png
from lic.evaluation.super_resolution import BICUBIC, SUPER_RESOLUTION_FILE, Enlargement, Row

KINDS = ("originals", "reconstructions", BICUBIC)


def network(curve: str = "srgan · width 8") -> CodecInfo:
    objective: dict[str, bool | float | int | str | None] = {"distortion": "mse"}
    return CodecInfo(curve, "MSE", True, "srgan", {"width": 8}, objective, parameters=12_345, macs=2_500)


def save_enlargement(
    folder: Path,
    info: CodecInfo | None = None,
    psnr: float = 26,
    *,
    data: str = "photos",
    images: Sequence[str] = ("bee", "boat"),
    pictures: bool = True,
) -> Enlargement:
    """One run folder: the network's PSNR, and interpolation's, which is 25 dB for the first image."""
    rows = []
    for i, name in enumerate(images):
        values, beside = (
            {"psnr": db - i, "ssim": 0.8, "ms_ssim": 0.9, "ms_ssim_db": 10.0} for db in (psnr, 25)
        )
        rows.append(Row(name, 40, 24, values, beside, 0.5))
        for seed, kind in enumerate(KINDS) if pictures else ():
            pixels = np.random.default_rng(seed).integers(0, 256, (24, 40, 3), np.uint8)
            write_png(folder / kind / f"{name}.png", pixels)
    result = Enlargement(info or network(), data, tuple(rows), 1)
    result.save(folder / SUPER_RESOLUTION_FILE)
    return result
