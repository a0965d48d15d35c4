"""The commands that README.md, docs/, conf/ and the helps print exist as printed, and run as printed."""

import gc
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import typer
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from PIL import Image
from typer.main import get_command

import lic.eval
import lic.train
from lic import cli
from lic.configuration import CONF
from lic.entry import flags_first, lists_in
from lic.models import build_model
from lic.store.model_file import export
from lic.sweep.names import register_resolvers
from lic.sweep.record import SWEEP_FILE
from lic.training.pace import Pace

from .saved import save_run

REPOSITORY = Path(__file__).parents[1]
_COMMAND = re.compile(
    r"^\s*(?:#\s+|\$ )?(?:[\w, ]+: )?((?:python (?:train|eval)\.py|lic (?!can|is|has)[a-z-]+) ?.*)$", re.M
)
_FENCE = re.compile(r"^```\n(.*?)^```", re.M | re.S)
_INLINE = re.compile(r"`((?:python (?:train|eval)\.py|lic [a-z-]+) [^`]+)`")


def _printed() -> Iterator[tuple[str, str, bool]]:
    """(file, command without its comment, whether LIC_DATA is asked for before it).

    Of every fenced block and within sentences; of the comments in conf/ and the help; of `lic --help`; of
    the two programs' first lines; and of the Makefile.
    """
    for file in [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]:
        text = file.read_text("utf-8")
        for block in _FENCE.finditer(text):
            told = "LIC_DATA" in text[: block.end()]
            yield from ((file.name, command, told) for command in _COMMAND.findall(block[1]))
        yield from ((file.name, " ".join(c.split()), False) for c in _INLINE.findall(_FENCE.sub("", text)))
    programs = [REPOSITORY / folder / name for folder in (".", "lic") for name in ("train.py", "eval.py")]
    for file in [*sorted(Path(CONF).rglob("*.yaml")), *programs]:
        text = file.read_text("utf-8")
        for found in _COMMAND.finditer(text):  # the help has remarks behind some spaces
            name = str(file.relative_to(CONF if file.suffix == ".yaml" else REPOSITORY))
            yield name, found[1].split("   ")[0], "LIC_DATA" in text[: found.end()]
    epilog = str(cli.app.info.epilog).removeprefix("Example: ")
    for text in [*cli.EXAMPLES.values(), *cli.SWEEP_EXAMPLES.values(), epilog]:
        yield from (("lic --help", command, False) for command in _COMMAND.findall(text))
    for words in re.findall(r"^DEMO := (.*)$", (REPOSITORY / "Makefile").read_text("utf-8"), re.M):
        yield "Makefile", f"python train.py -m {words}", False


_ALL = sorted({(file, command.partition(" #")[0].strip(), told) for file, command, told in _printed()})
PRINTED = sorted({(file, command) for file, command, _ in _ALL})
COMMANDS = {  # and whether everybody who prints it asks for LIC_DATA
    command: all(told for _, same, told in _ALL if same == command) for _, command in PRINTED
}


def test_there_are_commands() -> None:
    assert len(PRINTED) > 60 and {"README.md", "training.md", "cai2019.md"} <= {file for file, _ in PRINTED}


@pytest.mark.parametrize(("file", "command"), PRINTED)
def test_a_printed_command_can_be_read(file: str, command: str) -> None:
    program, name, *words = shlex.split(command, comments=True)
    words = [word.replace("…", "X") for word in words[: (*words, "<").index("<")] if word != "…"]
    if program == "python" or name in ("train", "eval"):
        _compose(Path(name).stem, words)
    else:
        _parse(name, words)


def _compose(config: str, words: list[str]) -> None:
    """Every combination of a sweep's first and last choices composes."""
    if config == "eval":
        for key in lic.eval.LISTS:
            words = lists_in(words, key)
    flags = [word for word in flags_first(words) if word.startswith("-")]
    assert set(flags) <= {"-m", "--help", "--cfg"}, flags
    if "--help" in flags:
        return
    overrides = [w for w in words if "=" in w or w[0] in "+~"]
    assert len(overrides) + len(flags) + ("--cfg" in flags) == len(words), words
    register_resolvers()
    with initialize_config_dir(CONF, version_base="1.3"):
        parsed = OverridesParser.create().parse_overrides(overrides)
        for end in (0, -1):
            one = []
            for word, override in zip(overrides, parsed, strict=True):
                if "glob(" in word:
                    folder, pattern = re.fullmatch(r"\+(.*)=glob\((.*)\)", word).groups()  # type: ignore[union-attr]
                    names = sorted(
                        p.stem for p in Path(CONF, folder).glob(pattern + ".yaml") if p.stem[0] != "_"
                    )
                    one.append(f"+{folder}={names[end]}")
                elif override.is_sweep_override():
                    assert "-m" in flags, f"{word} is a sweep"
                    one.append(f"{override.get_key_element()}={word.partition('=')[2].split(',')[end]}")
                else:
                    one.append(word)
            compose(config, one)


def _parse(name: str, words: list[str]) -> None:
    """Typer knows the command and all of its words."""
    group = get_command(cli.app)
    with typer.Context(group) as context:
        command = group.get_command(context, name)  # type: ignore[attr-defined]
        assert command, name
        command.make_context(name, words)


# What the words of the commands stand for.
_TINY = "model=baseline model.width=4 model.kernel_size=3 data.patch_size=176 data.batch_size=1 classical=[]"
_RUNS = {
    "lambda-5": ("RUN", "LOW", "A", "MODEL", "RUN_OR_FILE", "outputs/RUN", "outputs/A"),
    "lambda-7": ("MIDDLE",),
    "lambda-10": ("HIGH", "B", "outputs/B"),
}
_OTHERS: dict[str, dict[str, Any]] = {  # runs of other models
    "PHASE1": {"name": "residual_gn"},
    "RUN2": {"name": "residual_gn"},
    "multirun/SIZES/model.width-32_model.bottleneck-32": {
        "name": "residual_gn",
        "width": 32,
        "bottleneck": 32,
    },
    "COMPACT": {"name": "icm_irm", "width": 4},
    "GRAY": {"name": "comcnn_reccnn", "width": 4, "channels": 1},
    "SRRESNET": {"name": "srgan"},
    "GENERATOR": {"name": "srgan"},
    "SRGAN": {"name": "srgan", "width": 16, "blocks": 2},
}
_SETS = {
    **{f"kodak/kodim{number}.png": (512, 384) for number in ("09", "15")},
    **{f"coco/{name}.jpg": (300, 260) for name in ("train2017/photo", "train2017/other", "val2017/photo")},
    **{f"figs6_8/kodim{number}.png": (512, 384) for number in ("04", "15", "23")},
    **{f"{name}_HR/photo.png": (340, 330) for name in ("div2k/DIV2K_train", "flickr2k/Flickr2K")},
    **{f"clic/{part}/photo.png": (340, 330) for part in ("train", "valid", "test")},
    **{f"{part}/photo.png": (300, 260) for part in "abc"},
}
_BINARY = {
    **{f"stl10/{part}_X.bin": 3 * 96 * 96 for part in ("unlabeled", "train", "test")},
    **{f"cifar10/data_batch_{number}.bin": 1 + 3 * 32 * 32 for number in range(1, 6)},
}
"""Files of two black images each, and the bytes of one."""
_PHOTOS = ("photo.png", "photo.jpg", "a.png", "b.jpg", "photos/one.png", "photos/sub/two.png")


def _environment(folder: Path, told: bool) -> dict[str, str]:
    """What a command meets; LIC_DATA only if that is asked for."""
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
        "OMP_NUM_THREADS": "1",
        "WANDB_MODE": "offline",
        "LIC_CACHE": str(folder / "cache"),
        "LIC_DATA": "FOLDER" if told else "nothing was said about it",
    }


def _shell(command: str, folder: Path, told: bool = False) -> subprocess.Popen[str]:
    """Start a command in a folder as people do; what it says lands in ``said.txt``."""
    with (folder / "said.txt").open("w") as said:
        return subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=folder,
            env=os.environ | _environment(folder, told),
            stdout=said,
            stderr=said,
            text=True,
            start_new_session=True,
        )


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that printed commands name: a sweep, runs, sets, photos, streams."""
    folder = tmp_path_factory.mktemp("world")
    for i, (name, size) in enumerate(_SETS.items()):
        _save(Image.linear_gradient("L").rotate(i).resize(size), folder / "FOLDER" / name)
    for name, record in _BINARY.items():
        file = folder / "FOLDER" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes(2 * record))
    _save(Image.linear_gradient("L"), folder / "CLASSIC" / "lenna.png")
    for program in ("train.py", "eval.py"):
        (folder / program).symlink_to(REPOSITORY / program)
    train = f"python train.py -m {_TINY} lambda=5,7,10 trainer=debug hydra.sweep.dir=multirun/SWEEP"
    process = _shell(f"{train} data=coco data.root=FOLDER data.test=kodak", folder)
    assert process.wait(300) == 0, (folder / "said.txt").read_text()
    for job, names in _RUNS.items():
        for name in names:
            shutil.copytree(folder / "multirun" / "SWEEP" / job, folder / name)
    for name, options in _OTHERS.items():
        save_run(folder / name, build_model(**options), options)
    (folder / "streams").mkdir()
    for name, run in {"streams/two.lic": "HIGH", "streams/one.lic": "LOW", "photo.lic": "RUN"}.items():
        codec = lic.load(folder / run)
        (folder / name).write_bytes(stream := codec.compress(Image.new("RGB", (240, 200))))
    for name in _PHOTOS:  # what so short a training can draw, or no quality could be asked for
        _save(codec.decompress(stream), folder / name)
    export(folder / "RUN", folder / "photos.lic-model")
    return folder


def _save(image: Image.Image, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    image.convert("RGB").save(file)


@pytest.fixture
def here(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The world as the working folder, all for one test."""
    folder = tmp_path / "world"
    shutil.copytree(world, folder, symlinks=True)
    record = folder / "multirun" / "SWEEP" / SWEEP_FILE  # as if it had been made here
    record.write_text(record.read_text().replace(str(world.resolve()), str(folder.resolve())))
    monkeypatch.chdir(folder)
    yield folder
    shutil.rmtree(folder)  # it may hold checkpoints of full width


_TRAIN = re.compile(r"(python train\.py|lic train) (?!.*--(help|cfg))")
_SESSION = {command for command in COMMANDS if "hydra/launcher=" in command or "multirun/first" in command}
"""At a cluster; tests/slurm has one."""
_SEVERAL = {command for command in COMMANDS if "trainer=ddp" in command}
"""On several devices; tests/training/test_two_processes.py has the processes."""
_TRAININGS = sorted(filter(_TRAIN.match, {*COMMANDS} - _SESSION - _SEVERAL))
_FIRST = {command for file, command in PRINTED if file in ("README.md", "Makefile") or "…" in command}


def _run(command: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code; of a process if there are words for the shell, else within this one to save time."""
    words = shlex.split(command.replace("…", "SWEEP"))
    if re.search(r"[<>*]", re.sub(r"'.*?'", "", command)):
        return _shell(command, folder).wait(120)
    for name, value in _environment(folder, COMMANDS[command]).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(gc, "freeze", lambda: None)  # it is for a process of its own
    monkeypatch.setattr(sys, "argv", words[1:] if words[0] == "python" else words)
    main = {"train.py": lic.train.run, "eval.py": lic.eval.run}.get(words[1], cli.main)
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


@pytest.mark.slow
@pytest.mark.parametrize("command", sorted({*COMMANDS} - {*_TRAININGS} - _SESSION - _SEVERAL))
def test_a_printed_command_runs(here: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """And leaves what it names; an evaluation, a report."""
    output = _output(shlex.split(command))
    if output and output.exists():
        shutil.rmtree(output) if output.is_dir() else output.unlink()
    assert _run(command, here, monkeypatch) == 0
    assert output is None or (any(output.rglob("*.*")) if output.is_dir() else output.stat().st_size)
    assert " eval" not in command or list(here.glob("outputs/*/*/report.html"))


def _output(words: list[str]) -> Path | None:
    """What a command says that it will write."""
    for sign in ("-o", ">"):
        if sign in words:
            return Path(words[words.index(sign) + 1])
    names = takewhile(lambda word: not word.startswith("-"), words[2:])
    return Path(list(names)[-1]) if words[1] in ("compress", "decompress") else None


@pytest.mark.slow
@pytest.mark.parametrize("command", [c for c in _TRAININGS if c not in _FIRST])
def test_a_printed_training_begins(here: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """With its data, network and W&B run it comes to its first step, which at full width takes long."""
    begun = []

    def step(*_: object) -> None:
        begun.append(command)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Pace, "_step", step)
    assert _run(command, here, monkeypatch) == 130 and begun == [command]


@pytest.mark.slow
@pytest.mark.parametrize("command", [c for c in _TRAININGS if c in _FIRST])
def test_a_training_that_is_met_first_takes_a_step(here: Path, command: str) -> None:
    """As a process, unchanged, until a line has said how long it will take."""
    said, deadline = here / "said.txt", time.monotonic() + 240
    process = _shell(command.replace("…", f"{_TINY} lambda=5"), here, COMMANDS[command])
    try:
        while process.poll() is None and not re.search(r"Training: [\d,]+ steps", said.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 130, said.read_text()
    finally:
        process.kill()
