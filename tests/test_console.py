"""Names are shown letter for letter, whatever they would mean to rich or to a terminal."""

import ast
from pathlib import Path

import pytest

from lic.console import Console, plain_table, track
from lic.errors import UserError, visible

REPOSITORY = Path(__file__).parents[1]
NAME = "a[/x] [old] [red]b[/] :smile: [link=x]"


def test_brackets_and_colons_are_letters(capsys: pytest.CaptureFixture[str]) -> None:
    view = plain_table(f"title {NAME}", f"caption {NAME}")
    view.add_column(f"head {NAME}")
    view.add_row(f"cell {NAME}{' ' * 30}")
    console = Console(width=200)
    console.print(view)
    console.print(f"path {NAME}")
    out = capsys.readouterr().out
    for place in ("title", "caption", "head", "cell", "path"):
        assert f"{place} {NAME}" in out


def test_bars_too(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert list(track([1, 2], f"bar {NAME} \x1b[2J")) == [1, 2]
    out, err = capsys.readouterr()
    assert not out and f"bar {NAME} \\x1b[2J" in err


def test_no_control_character_reaches_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert visible("λ é\n蜂 \u202f½") == "λ é\n蜂 \u202f½"
    assert visible("\x1b[2J\r\t\x9b\u202e\u2028\udcff") == r"\x1b[2J\r\t\x9b\u202e\u2028\udcff"
    Console(width=200).print("a\x1b[31mb\x07\u202ec")
    assert capsys.readouterr().out == "a\\x1b[31mb\\x07\\u202ec\n"
    assert str(UserError("no\x1b]0;title\x07")) == r"no\x1b]0;title\x07"


def test_there_is_no_other_way_to_rich() -> None:
    makers = {"Console", "Progress", "TextColumn", "track", "print", "inspect", "Prompt", "RichHandler"}
    for file in [*REPOSITORY.glob("lic/**/*.py"), *REPOSITORY.glob("benchmarks/**/*.py")]:
        if file == REPOSITORY / "lic" / "console.py":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "rich":
                assert not makers & {alias.name for alias in node.names}, f"{file} goes around lic.console"
            if isinstance(node, ast.Import):
                assert not any(alias.name.split(".")[0] == "rich" for alias in node.names), file
