"""Holds the direction of imports: who may know whom, and what light commands must not load."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[1]

RANKS: tuple[set[str], ...] = (
    {"errors", "atomic", "allocator", "configuration", "interruption", "locking", "foreign", "console"}
    | {"plugins", "precision", "status", "_torchvision"},
    {"layers", "entropy", "metrics", "bitstream"},
    {"models", "losses", "data"},
    {"codecs", "papers"},
    {"store", "rate_control", "drawing"},
    {"evaluation", "entry"},
    {"report", "tracking", "runs"},
    {"training", "sweep", "cli"},
    {"train", "eval"},
    {"train.py", "eval.py"},
)
RANK = {part: rank for rank, parts in enumerate(RANKS) for part in parts}

FORBIDDEN: dict[str, set[str]] = {
    "bitstream": {"torch", "numpy", "lightning", "hydra"},
    "errors": {"torch", "hydra"},
    **{part: {"lightning", "hydra", "omegaconf", "wandb"} for part in ("layers", "entropy", "metrics")},
    **{part: {"lightning", "hydra", "omegaconf", "wandb"} for part in ("models", "losses", "codecs")},
    **{part: {"lightning", "hydra", "omegaconf", "wandb"} for part in ("store", "rate_control", "papers")},
    "training": {"compressai"},
    "evaluation": {"lightning", "compressai", "wandb"},
    "report": {"lightning", "compressai"},
}


def _modules() -> dict[str, Path]:
    found = {
        ".".join(p.relative_to(REPOSITORY).with_suffix("").parts): p for p in REPOSITORY.glob("lic/**/*.py")
    }
    return {name.removesuffix(".__init__"): path for name, path in found.items()}


@cache
def _imports(path: Path) -> tuple[str, ...]:
    """Every imported module, also inside functions; not what is imported for type checkers alone."""
    return tuple(_walk(ast.parse(path.read_text())))


def _walk(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0 and node.module, "imports are absolute"
        submodules = [f"{node.module}.{alias.name}" for alias in node.names]
        known = [name for name in submodules if name in MODULES]
        yield from known or [node.module]
    for child in ast.iter_child_nodes(node):
        yield from _walk(child)


def _part(module: str) -> str:
    return module.split(".")[1] if "." in module else module


MODULES = _modules()
FILES = {**MODULES, "train.py": REPOSITORY / "train.py", "eval.py": REPOSITORY / "eval.py"}


@pytest.mark.parametrize("name", sorted(set(FILES) - {"lic"}))
def test_imports_go_one_way(name: str) -> None:
    part = name if name in RANK else _part(name)
    assert part in RANK, f"say in RANKS where {part} belongs"
    for imported in _imports(FILES[name]):
        top = imported.split(".")[0]
        if top == "lic" and imported != "lic":
            assert RANK[_part(imported)] <= RANK[part], f"{name} imports {imported}, which is above it"
        assert top not in FORBIDDEN.get(part, set()), f"{name} imports {imported}"


def test_no_module_imports_itself_by_a_detour() -> None:
    """Packages' own __init__ collect what their modules offer and are left out."""
    graph = {
        name: {i for i in _imports(path) if i in MODULES and MODULES[i].name != "__init__.py"}
        for name, path in MODULES.items()
        if path.name != "__init__.py"
    }
    tuple(TopologicalSorter(graph).static_order())  # raises CycleError


def test_no_package_imports_its_sibling_back() -> None:
    graph: dict[str, set[str]] = {}
    for name, path in MODULES.items():
        if name != "lic":
            others = {_part(i) for i in _imports(path) if i.startswith("lic.")} - {_part(name)}
            graph.setdefault(_part(name), set()).update(others)
    tuple(TopologicalSorter(graph).static_order())


def test_the_walk_sees_every_kind_of_import() -> None:
    source = (
        "import a.b\nfrom lic import entry\nfrom lic.data import to_float\n"
        "def f():\n    from c import d\nif TYPE_CHECKING:\n    import e\n"
    )
    assert list(_walk(ast.parse(source))) == ["a.b", "lic.entry", "lic.data", "c"]


@pytest.mark.parametrize(
    "modules",
    [
        "lic",
        "lic, lic.entry, lic.runs, lic.sweep.names, lic.sweep.summary",
        "lic.train, lic.eval",
        "lic.bitstream",
        "lic.cli, lic.errors, lic.atomic, lic.allocator",
    ],
)
def test_light_modules_load_nothing_heavy(run_python: Any, modules: str) -> None:
    heavy = "{'torch', 'torchvision', 'compressai', 'lightning', 'numpy', 'wandb', 'PIL'}"
    code = f"import {modules}, sys; print(*sorted({heavy} & set(sys.modules)))"
    done = run_python("-c", code)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_this_interpreter_is_the_one_under_test() -> None:
    assert Path(sys.modules["lic"].__file__ or "").parent == REPOSITORY / "lic"
