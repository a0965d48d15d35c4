"""What people install: the source distribution, its wheel, and both commands in an empty folder."""

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
SHIPPED = ("lic", "conf", "tests", "benchmarks", "docs")
NARROW = ("model=baseline", "model.width=4", "model.kernel_size=3", "distortion=mse", "trainer=debug")
QUICK = ("trainer.accelerator=cpu", "logger=csv", "data.patch_size=32", "data.batch_size=2", "classical=[]")

Installed = Callable[..., "subprocess.CompletedProcess[str]"]


def _run(*command: str | Path, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    settings = {"OMP_NUM_THREADS": "1", "WANDB_MODE": "offline", "LIC_CACHE": str(cwd / "cache")}
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=os.environ | settings | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def _pip(*arguments: str | Path, cwd: Path) -> None:
    done = _run(sys.executable, "-m", "pip", "--quiet", "--no-input", *arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr


def _files(folder: Path) -> set[str]:
    """What belongs to the project of a folder of it, relative to the top."""
    found = (path.relative_to(REPOSITORY) for path in (REPOSITORY / folder).rglob("*") if path.is_file())
    return {str(path) for path in found if path.suffix not in (".so", ".pyc")}


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, made of a copy: setuptools writes into the tree that it reads."""
    folder = tmp_path_factory.mktemp("sdist")
    copy = folder / "copy"
    copy.mkdir()
    for name in SHIPPED:
        shutil.copytree(REPOSITORY / name, copy / name, ignore=shutil.ignore_patterns("*.so"))
    for path in REPOSITORY.iterdir():
        if path.is_file() and not path.name.startswith("."):
            shutil.copy(path, copy)
    code = "from setuptools.build_meta import build_sdist; build_sdist('..')"
    done = _run(sys.executable, "-c", code, cwd=copy)
    assert done.returncode == 0, done.stderr
    (archive,) = folder.glob("lic-*.tar.gz")
    return archive


@pytest.fixture(scope="session")
def wheel(sdist: Path) -> Path:
    _pip("wheel", "--no-build-isolation", "--no-deps", sdist, cwd=sdist.parent)
    (archive,) = sdist.parent.glob("lic-*.whl")
    return archive


@pytest.fixture(scope="session")
def site(wheel: Path) -> Path:
    """A folder with the installed wheel; what it depends on comes from this environment."""
    _pip("install", "--no-deps", "--target", "site", wheel, cwd=wheel.parent)
    return wheel.parent / "site"


@pytest.fixture
def installed(site: Path, tmp_path: Path) -> Installed:
    """Run the installed `lic` in an empty folder, or this interpreter beside it for ``python …``."""

    def run(command: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        program = site / "bin" / command if command == "lic" else sys.executable
        return _run(program, *arguments, cwd=tmp_path, PYTHONPATH=str(site))

    return run


def test_the_source_distribution_holds_all_that_tests_need(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    expected = set().union(*(_files(Path(name)) for name in SHIPPED))
    assert expected <= names
    assert {"train.py", "eval.py", "setup.py", "Makefile", "constraints.txt", "CHANGELOG.md"} <= names
    assert not [name for name in names if name.endswith((".so", ".pyc")) or "multirun/" in name]


def test_the_wheel_holds_the_package_and_its_configuration(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        tag = next(archive.read(name).decode() for name in names if name.endswith("/WHEEL"))
    sources = {name for name in _files(Path("lic")) if not name.endswith(".c")}
    expected = sources | {f"lic/{name}" for name in _files(Path("conf"))}
    if shutil.which("cc"):
        expected |= {f"lic/entropy/{name}.abi3.so" for name in ("_bits", "_huffman", "_rans")}
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert re.search(r"^Tag: cp311-abi3-", tag, re.MULTILINE), tag


def test_the_page_of_the_package_links_to_nothing_that_only_a_checkout_has(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    page = str(metadata.get_payload())
    links = re.findall(r"\]\(([^)]*)\)", page)
    assert links and all(link.startswith(("https://", "#")) for link in links), links
    assert "lic train" in page and "<img" not in page
    assert metadata["Description-Content-Type"] == "text/markdown" and metadata["Author"]


def test_light_commands_of_an_installed_wheel(installed: Installed, site: Path, tmp_path: Path) -> None:
    where = installed("python", "-c", "import lic; print(lic.__file__, lic.__version__)")
    version = next(site.glob("lic-*.dist-info")).name.removeprefix("lic-").removesuffix(".dist-info")
    assert where.stdout.split() == [str(site / "lic" / "__init__.py"), version], where.stderr
    assert installed("lic", "--version").stdout == f"lic {version}\n"

    help_text = installed("lic", "train", "--help")
    assert help_text.returncode == 0 and "lic train -m model=" in help_text.stdout, help_text.stderr
    job = installed("lic", "eval", "--cfg", "job", "-p", "classical")
    assert (job.returncode, job.stdout.split()[-2:]) == (0, ["-", "jpeg"]), job.stderr
    wrong = installed("lic", "train", "lamda=5")
    assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1 and "lamda" in wrong.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_wheel_is_enough_to_train_measure_and_code(
    installed: Installed, site: Path, repository: Path, tmp_path: Path
) -> None:
    sweep = ("-m", *NARROW, *QUICK, "lambda=0.01,0.02")
    done = installed("lic", "train", *sweep)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "multirun").iterdir()
    assert (folder / "report.html").exists()

    # The script of a checkout knows the jobs for its own.
    again = installed("python", str(repository / "train.py"), *sweep)
    assert again.returncode == 0 and again.stdout.count("is done; skipped") == 2, again.stderr
    assert list((tmp_path / "multirun").iterdir()) == [folder]

    run = str(folder / "lambda-0.02")
    photo = f"{run}/originals/chelsea.png"
    done = installed("lic", "eval", f"ckpt={run}", "classical=[]", "hydra.run.dir=measured")
    assert done.returncode == 0 and (tmp_path / "measured" / "test.json").exists(), done.stderr
    for words in (
        ("complexity", "model=baseline", "model.width=4"),
        ("compress", photo, "photo.lic", "--model", run),
        ("decompress", "photo.lic", "back.png", "--model", run),
    ):
        done = installed("lic", *words)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "back.png").read_bytes() == (Path(run) / "reconstructions/chelsea.png").read_bytes()


@pytest.mark.slow
def test_processes_that_train_beside_the_first(installed: Installed, tmp_path: Path) -> None:
    """Lightning repeats the command line for each device."""
    devices = ("trainer.devices=2", "+trainer.strategy=ddp", "data.num_workers=1")
    done = installed("lic", "train", *NARROW, *QUICK, *devices, "lambda=0.01", "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "test.json").exists()
    assert list((tmp_path / "run").glob("*_ddp_process_1.log")), "the second's"
