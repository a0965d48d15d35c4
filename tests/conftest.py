"""What tests of several folders share. Networks are narrow and one thread runs them: tests are many."""

import csv
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import lic  # noqa: F401 - makes torchvision importable

# isort: split
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from lightning import Callback, Trainer
from omegaconf import OmegaConf

from lic.data import DeadLeaves, ImageData
from lic.entropy import update_tables
from lic.models import MODELS, TransformCoding, build_model
from lic.training import callbacks as training_callbacks
from lic.training.logs import quieten
from lic.training.rate_distortion import RateDistortion

torch.set_num_threads(1)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's & has it ignored, and lic keeps to that

REPOSITORY = Path(__file__).parents[1]

VARIANTS: dict[str, dict[str, Any]] = {
    "baseline": {"name": "baseline", "kernel_size": 3},
    "hyperprior": {"name": "hyperprior", "kernel_size": 5, "aux_kernel_size": 3},
    "hyperprior-2": {"name": "hyperprior", "kernel_size": 3, "aux_kernel_size": 3, "pixel_unshuffle": 2},
    "resnet3x3_3": {"name": "resnet3x3_3"},
    "resnet3x3_4-tconv": {"name": "resnet3x3_4", "upsample": "tconv", "bottleneck": 12},
    "resnet3x3_4-subpixel": {"name": "resnet3x3_4", "upsample": "subpixel", "bottleneck": 12},
    "resnet3x3_4-2": {"name": "resnet3x3_4", "upsample": "subpixel", "pixel_unshuffle": 2},
    "scale_hyperprior": {"name": "scale_hyperprior", "bottleneck": 12},
    "fastdic": {"name": "fastdic", "bottleneck": 12},
    "fastdic-4": {"name": "fastdic", "pixel_unshuffle": 4, "bottleneck": 12},
    "fastdic-keep": {"name": "fastdic", "drop": False, "bottleneck": 12},
    "slowdic": {"name": "slowdic", "bottleneck": 12},
    "resnet3x3_4-plain": {"name": "resnet3x3_4", "shortcut": False, "bottleneck": 8},
}
OTHERS = {"residual_gn", "comcnn_reccnn", "icm_irm", "srgan"}  # tested in files of their own
assert {variant["name"] for variant in VARIANTS.values()} | OTHERS == set(MODELS), "test every family"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests for GPUs run wherever there are as many."""
    found = torch.cuda.device_count()
    for item in items:
        marker = item.get_closest_marker("gpu")
        if marker and found < (wanted := marker.args[0] if marker.args else 1):
            reason = f"torch finds {found or 'no'} CUDA device{'s' * (found > 1)}, and this needs {wanted}"
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def _no_hydra_left() -> Iterator[None]:
    """Commands that run within a test leave Hydra's state, and with it where they were started."""
    yield
    GlobalHydra.instance().clear()
    HydraConfig.instance().cfg = None


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder of train.py, eval.py and conf/."""
    return REPOSITORY


@pytest.fixture(scope="session")
def published() -> Callable[[str], list[dict[str, str]]]:
    """The rows of a file of tests/published, whose README names the sources."""

    def rows(name: str) -> list[dict[str, str]]:
        with (REPOSITORY / "tests" / "published" / f"{name}.csv").open() as file:
            return list(csv.DictReader(file))

    return rows


@pytest.fixture(scope="session")
def photo_folder() -> Callable[[str], Path]:
    """A folder of photos below the one that LIC_TEST_PHOTOS names; without it the test is skipped."""

    def find(name: str) -> Path:
        root = os.environ.get("LIC_TEST_PHOTOS")
        if not root:
            pytest.skip("the environment variable LIC_TEST_PHOTOS names no folder of photos")
        folder = Path(root).absolute() / name
        if not folder.is_dir():
            pytest.skip(f"{root}, which LIC_TEST_PHOTOS names, has no folder {name}")
        return folder

    return find


@pytest.fixture(params=list(VARIANTS.values()), ids=list(VARIANTS))
def variant(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The options of each family and upsampler, 8 channels wide."""
    return {"width": 8, **request.param}


@pytest.fixture(scope="session")
def make_net() -> Callable[..., TransformCoding]:
    """A network in evaluation mode whose latents are not all zero and whose medians are not all integers."""

    def make(seed: int = 0, **options: Any) -> TransformCoding:
        torch.manual_seed(seed)
        net = build_model(**{"width": 8} | options)
        assert isinstance(net, TransformCoding)
        with torch.no_grad():
            latent = torch.rand(1, net.image_channels, 128, 128)
            for transform in (getattr(net, name) for name in ("g_a", "h_a") if hasattr(net, name)):
                last = list(transform.children())[-1]
                last.weight.mul_(4 / transform(latent).std())
                latent = transform(latent)
            net.get_parameter("entropy_bottleneck.quantiles")[:, 0, 1].uniform_(-0.4, 0.4)
        update_tables(net)
        return net.eval()

    return make


@pytest.fixture(scope="session")
def make_codec() -> Callable[..., RateDistortion]:
    """A codec about to be trained; a small baseline unless ``options`` of the network say otherwise."""

    def make(distortion: str = "mse", lmbda: float = 0.015, seed: int = 0, **options: Any) -> RateDistortion:
        model: dict[str, Any] = {"name": "baseline", "width": 8} | (options or {"kernel_size": 3})
        torch.manual_seed(seed)
        config = {"model": model, "seed": seed}
        return RateDistortion(build_model(**model), config, lmbda=lmbda, distortion=distortion, seed=seed)

    return make


@pytest.fixture(params=["cpu", pytest.param("gpu", marks=pytest.mark.gpu)])
def accelerator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where Lightning trains; on a GPU with algorithms that add up in the same order each time."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # those of cuBLAS ask for it
    torch.use_deterministic_algorithms(request.param == "gpu")
    yield request.param
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def fit(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Trainer]:
    """Train as train.py does, on patches of dead leaves; the checkpoints land in ``folder``."""

    def run(
        codec: RateDistortion,
        folder: Path,
        *callbacks: Callback,
        patch_size: int = 64,
        ema: float | None = None,
        minutes: float = 10,
        first: Callback | None = None,
        ckpt_path: str | None = None,
        **trainer: Any,
    ) -> Trainer:
        monkeypatch.setattr(training_callbacks, "run_folder", lambda: folder)
        quieten()
        settings: dict[str, Any] = {
            "accelerator": "cpu",
            "devices": 1,
            "logger": False,
            "max_steps": 4,
            "val_check_interval": 2,
            "check_val_every_n_epoch": None,
            "num_sanity_val_steps": 0,
            "enable_model_summary": False,
            "default_root_dir": folder,
        }
        given: dict[str, Any] = {
            "ema": ema,
            "checkpoint_minutes": minutes,
            "trainer": {"callbacks": [], "enable_progress_bar": True},
        }
        own = training_callbacks.callbacks_of(OmegaConf.create(given), codec.monitor)[1]
        lightning = Trainer(**settings | trainer, callbacks=[*([first] if first else []), *own, *callbacks])
        data = ImageData(
            train=DeadLeaves(), valid=DeadLeaves(1, patch_size), batch_size=2, patch_size=patch_size
        )
        lightning.fit(codec, data, ckpt_path=ckpt_path, weights_only=True)
        return lightning

    return run


@pytest.fixture
def run_python(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run this interpreter in ``tmp_path``, with one thread and nothing of the user's settings."""

    def run(
        *arguments: str | Path, timeout: float = 300, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        settings = {
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(REPOSITORY),
            "LIC_CACHE": str(tmp_path / "cache"),
            "WANDB_MODE": "offline",
        }
        inherited = {key: value for key, value in os.environ.items() if key != "WANDB_SERVICE"}
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=tmp_path,
            env=inherited | settings | environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run
