"""A cluster for the tests of a file, and its user."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .cluster import Cluster, NoClusterError, cluster
from .sweeps import PATIENCE


@pytest.fixture(scope="module")
def slurm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of as many nodes as the file says."""
    folder = tmp_path_factory.mktemp("cluster") / "slurm"
    try:
        with cluster(folder, cpus=4, nodes=request.module.NODES) as made:
            yield made
    except NoClusterError as error:
        pytest.skip(str(error))


@pytest.fixture
def train(
    run_python: Any, slurm: Cluster, repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run train.py as that user; the test asks Slurm as the same one."""
    for name, value in slurm.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return run_python(repository / "train.py", *arguments, timeout=PATIENCE, **environment)

    return run
