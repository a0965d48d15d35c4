"""Small made-up run folders: real JPEG-like numbers are not needed to test what is shown of them."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import pytest
from PIL import Image

from lic.evaluation.result import ORIGINALS, RECONSTRUCTIONS, CodecInfo, Result, Row


class MakeRun(Protocol):
    def __call__(
        self,
        run: str,
        codec: CodecInfo,
        bpp: float,
        psnr: float,
        ms_ssim: float = 0.95,
        *,
        data: str = "photos",
        images: Sequence[str] = ("bee", "boat"),
        pictures: bool = False,
        size: tuple[int, int] = (40, 24),
        columns: Mapping[str, Any] = MappingProxyType({}),
    ) -> Path: ...


def learned(curve: str, lmbda: float) -> CodecInfo:
    return CodecInfo(
        curve,
        f"λ = {lmbda:g}",
        learned=True,
        model="resnet3x3_4",
        options={"upsample": "subpixel", "width": 96},
        objective={"lambda": lmbda, "distortion": "ms_ssim"},
        choices={"variant": curve},
        moving=["lambda"],
        parameters=6_000_000,
    )


def jpeg(quality: int) -> CodecInfo:
    return CodecInfo("JPEG", f"quality {quality}", False, "jpeg", {"quality": quality}, moving=["quality"])


def compact(inner: str, stride: int = 2, **choices: Any) -> CodecInfo:
    """ICM and IRM around an inner coder, as `lic.codecs.compact.CompactCodec` calls them."""
    lossy, at = "quality" in choices, f"stride {stride}"
    return CodecInfo(
        f"icm_irm (mse), {at}, {inner.upper()}" if lossy else f"icm_irm (mse), {inner}",
        f"quality {choices['quality']}" if lossy else at,
        learned=True,
        model="icm_irm",
        options={"stride": stride},
        choices={"inner": inner, **choices},
        moving=["quality" if lossy else "stride"],
    )


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Write one run folder below ``tmp_path``; its images differ by ± 10 % in rate and ± 1 dB.

    Of `Row`'s columns beside measures, all images have those in ``columns``.

    Learned codecs take 0.1 s to encode, 0.05 s of it in g_a, and 0.2 s to decode, 0.16 s of it in g_s.
    """

    def make(
        run: str,
        codec: CodecInfo,
        bpp: float,
        psnr: float,
        ms_ssim: float = 0.95,
        *,
        data: str = "photos",
        images: Sequence[str] = ("bee", "boat"),
        pictures: bool = False,
        size: tuple[int, int] = (40, 24),
        columns: Mapping[str, Any] = MappingProxyType({}),
    ) -> Path:
        folder = tmp_path / run
        folder.mkdir(parents=True)
        db = math.inf if ms_ssim == 1 else -10 * math.log10(1 - ms_ssim)
        rows = []
        for i, name in enumerate(images):
            sign = 1 - 2 * (i % 2)
            rate = bpp * (1 + 0.1 * sign)
            estimate = rate / 1.005 if codec.learned else math.nan
            length = int(rate * math.prod(size) / 8)
            network = (0.05, 0.16) if codec.learned else ()
            values = {"psnr": psnr + sign, "ssim": ms_ssim - 0.1, "ms_ssim": ms_ssim, "ms_ssim_db": db}
            rows.append(Row(name, *size, length, rate, estimate, values, 0.1, 0.2, *network, **columns))
            if pictures:
                _write_picture(folder / ORIGINALS / f"{name}.png", i, size)
                _write_picture(folder / RECONSTRUCTIONS / f"{name}.png", i, size)
        Result(codec, data, tuple(rows), threads=2).save(folder / "test.json")
        return folder

    return make


@pytest.fixture
def sweep(tmp_path: Path, make_run: MakeRun) -> Path:
    """Two points on one learned curve, three of JPEG, one failed job."""
    make_run("sweep/lambda=5", learned("resnet · subpixel", 5), 0.2, 29, 0.94, pictures=True)
    make_run("sweep/lambda=10", learned("resnet · subpixel", 10), 0.4, 32, 0.97, pictures=True)
    for quality, bpp, psnr, ms_ssim in ((10, 0.3, 27, 0.90), (50, 0.8, 31, 0.96), (90, 2.0, 36, 0.99)):
        make_run(f"sweep/classical/jpeg-{quality}", jpeg(quality), bpp, psnr, ms_ssim, pictures=True)
    failed = tmp_path / "sweep/lambda=20"
    failed.mkdir()
    (failed / "status.json").write_text(json.dumps({"status": "failed", "error": "the loss is not finite"}))
    return tmp_path / "sweep"


def _write_picture(path: Path, seed: int, size: tuple[int, int]) -> None:
    path.parent.mkdir(exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8)
    Image.fromarray(pixels).save(path)
