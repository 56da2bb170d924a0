"""Rules of the house, file by file: no circle of imports, no task asked for by name, rooms that stay small."""

import ast
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import tinymed
from tinymed import tasks

ROOT = Path(tinymed.__file__).parent
ROOMS = ("metrics", "audit", "report", "explain", "tasks", "train", "cli", "data", "baselines", "features")


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


@cache
def imports(name: str) -> frozenset[str]:
    """The modules of the package that a module imports, at its top level or in its functions, by name."""
    path = MODULES[name]
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in MODULES}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            source = ".".join(filter(None, [base, node.module or ""]))
            if not source.startswith("tinymed"):
                continue
            assert source in MODULES, f"{name} imports {source}, which is not there"
            inner = {f"{source}.{alias.name}" for alias in node.names}
            found |= inner & set(MODULES)
            if inner - set(MODULES):  # a name of the package itself
                found.add(source)
    return frozenset(found - {name})


def circle(names: list[str]) -> list[str]:
    """A circle among these modules, by their imports; [] where there is none."""
    state: dict[str, int] = {}
    trail: list[str] = []

    def visit(name: str) -> list[str]:
        state[name] = 1
        trail.append(name)
        for other in sorted(imports(name) & set(names)):
            if state.get(other) == 1:
                return [*trail[trail.index(other) :], other]
            if other not in state and (found := visit(other)):
                return found
        state[name] = 2
        trail.pop()
        return []

    for name in names:
        if name not in state and (found := visit(name)):
            return found
    return []


def test_the_search_finds_a_circle(monkeypatch):
    chain = {"a": {"b"}, "b": {"c"}, "c": {"a"}}
    monkeypatch.setitem(globals(), "imports", lambda name: frozenset(chain[name]))
    assert circle(["a", "b", "c"]) == ["a", "b", "c", "a"]
    chain["c"] = set()
    assert circle(["a", "b", "c"]) == []


@pytest.mark.parametrize("room", ROOMS)
def test_no_files_of_a_room_import_in_a_circle(room):
    inside = [name for name in MODULES if name.startswith(f"tinymed.{room}.") or name == f"tinymed.{room}"]
    assert len(inside) > 1
    assert circle(inside) == []


def test_no_files_of_the_upper_rooms_import_in_a_circle():
    """The rooms together, with the files that stand alone beside them."""
    alone = ["tinymed.weights", "tinymed.files", "tinymed.errors"]
    inside = [name for name in MODULES if name.split(".")[1:2] and name.split(".")[1] in ROOMS]
    assert circle([*inside, *alone]) == []


def test_nothing_asks_for_a_task_by_name():
    """Neither `task == ...` nor a lookup by a task's name, outside the task's own file."""
    names = set(tasks.available())
    for module, path in MODULES.items():
        if module.rpartition(".")[0] == "tinymed.tasks":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Compare):
                continue
            sides = [node.left, *node.comparators]
            texts = {n.value for side in sides for n in ast.walk(side) if isinstance(n, ast.Constant)}
            asked = any(isinstance(side, ast.Attribute) and side.attr == "task" for side in sides)
            assert not asked, f"{module}: line {node.lineno} compares a task"
            assert not texts & names, f"{module}: line {node.lineno} asks for a task by name"


def test_train_keeps_to_the_loop_and_the_run_folder():
    lines = sum(len(path.read_text().splitlines()) for path in (ROOT / "train").glob("*.py"))
    assert lines <= 1500


def test_a_task_is_one_file():
    """Every file of tasks/ that is not in a folder below ends in TASK and is found by its name."""
    for path in (ROOT / "tasks").glob("*.py"):
        if path.stem != "__init__":
            assert tasks.find(path.stem).name == path.stem
            assert f"{path.stem!r}" not in (ROOT / "tasks" / "__init__.py").read_text()


def test_an_old_setuptools_is_answered_by_one_sentence(tmp_path):
    """As a fresh virtual environment of Python 3.11 has it."""
    (tmp_path / "setuptools" / "command").mkdir(parents=True)
    (tmp_path / "setuptools" / "__init__.py").write_text(
        "__version__ = '65.5.0'\nExtension = find_packages = setup = None\n"
    )
    (tmp_path / "setuptools" / "command" / "__init__.py").write_text("")
    (tmp_path / "setuptools" / "command" / "build_ext.py").write_text("build_ext = object\n")
    command = [sys.executable, str(Path(__file__).resolve().parents[1] / "setup.py"), "build_ext", "--inplace"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "setuptools 77 or newer" in done.stderr
