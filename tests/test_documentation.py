"""The commands that README.md, docs/ and conf/ print exist as printed: every word of them is read."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from typer.main import get_command

from lic.cli import EXAMPLES, app
from lic.configuration import CONF
from lic.entry import flags_first, lists_in
from lic.sweep.names import register_resolvers

REPOSITORY = Path(__file__).parents[1]
_COMMAND = re.compile(r"^\s*(?:#\s+)?((?:python (?:train|eval)\.py|lic (?!can|is|has)[a-z-]+) ?.*)$", re.M)
_FENCE = re.compile(r"^```\n(.*?)^```", re.M | re.S)


def _printed() -> Iterator[tuple[str, str]]:
    """(file, command without its comment) of every fenced block, and of the comments in conf/."""
    for file in [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]:
        for block in _FENCE.findall(file.read_text("utf-8")):
            yield from ((file.name, command) for command in _COMMAND.findall(block))
    for file in sorted(Path(CONF).rglob("*.yaml")):
        found = _COMMAND.findall(file.read_text("utf-8"))  # the help has remarks behind some spaces
        yield from ((str(file.relative_to(CONF)), command.split("   ")[0]) for command in found)
    for text in EXAMPLES.values():
        yield from (("lic --help", command) for command in _COMMAND.findall(text))


PRINTED = sorted({(file, command.strip()) for file, command in _printed()})


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
        words = lists_in(lists_in(words, "codec"), "ckpt")
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
    group = get_command(app)
    with typer.Context(group) as context:
        command = group.get_command(context, name)  # type: ignore[attr-defined]
        assert command, name
        command.make_context(name, words)
