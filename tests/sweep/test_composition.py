"""Jobs that differ in numbers alone are composed once, to what Hydra would have composed."""

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hydra import initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict

from lic.configuration import CONF
from lic.runs import digest
from lic.sweep.composition import Compositions, Sweeper
from lic.sweep.names import register_resolvers


class _Counting:
    """Hydra's loader, and how often it was asked."""

    def __init__(self, loader: ConfigLoaderImpl) -> None:
        self.loader, self.asked = loader, 0

    def load_sweep_config(self, *arguments: Any, **options: Any) -> DictConfig:
        self.asked += 1
        return self.loader.load_sweep_config(*arguments, **options)


@pytest.fixture
def loader() -> Iterator[_Counting]:
    register_resolvers()
    with initialize_config_dir(CONF, version_base="1.3"):
        found = GlobalHydra.instance().config_loader()
        assert isinstance(found, ConfigLoaderImpl)
        yield _Counting(found)


@pytest.fixture
def sweep(loader: _Counting) -> DictConfig:
    return loader.loader.load_configuration("train", ["model=baseline"], RunMode.MULTIRUN)


def _validate(loader: Any, sweep: DictConfig, jobs: Sequence[Sequence[str]]) -> None:
    sweeper = Sweeper(None)
    sweeper.config, sweeper.hydra_context = sweep, SimpleNamespace(config_loader=loader)
    sweeper.validate_batch_is_legal(jobs)


def test_a_number_is_looked_at_once(loader: _Counting, sweep: DictConfig) -> None:
    jobs = [(f"model={m}", f"lambda={n}") for m in ("baseline", "fastdic") for n in (1, 2, 3, 0.5, 0.25)]
    _validate(loader, sweep, jobs)
    assert loader.asked == 4, "two models, each with an integer and with another number"


@pytest.mark.parametrize(
    "jobs",
    [
        [("model=baseline",), ("model=nonsense",)],
        [("model.width=1",), ("model.widht=2",)],
        [("model.width=1",), ("model={widht: 2}",)],
        [("+new=1",), ("new=2",)],
    ],
)
def test_what_fails_is_found_before_the_first_job(
    loader: _Counting, sweep: DictConfig, jobs: Sequence[Sequence[str]]
) -> None:
    with pytest.raises(ConfigCompositionException):
        _validate(loader, sweep, jobs)


@pytest.mark.parametrize(
    "jobs",
    [
        [("lambda=5",), ("lambda=1e-3",), ("lambda=7",)],
        [("model.width=8", "lambda=5"), ("model.width=16", "lambda=5")],
        [("model=fastdic", "model.drop=true"), ("model=fastdic", "model.drop=false")],
        [("+note=1", "~classical"), ("+note=2", "~classical"), ("++note=3",)],
        [("lambda=5", "distortion=mse"), ("lambda='5'", "distortion=mse"), ("lambda=null", "distortion=mse")],
        [("hydra.job.num=3", "lambda=5"), ("hydra.job.num=4", "lambda=6")],
    ],
)
def test_a_job_is_what_hydra_composes(
    loader: _Counting, sweep: DictConfig, jobs: Sequence[Sequence[str]]
) -> None:
    compositions = Compositions(loader.loader, sweep)
    for job in jobs:
        expected = loader.load_sweep_config(sweep, list(job))
        with open_dict(expected):
            del expected["hydra"]
        assert compositions[job] == expected and digest(compositions[job]) == digest(expected), job
