"""Rules of the house that no reviewer should have to watch: imports, safety, names, what is declared is tested."""

import ast
import csv
import importlib
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import tinymed
import tinymed.imaging  # declares the kernels of image processing
import tinymed.optim  # declares the optimisers' kernels
from tinymed import dispatch
from tinymed.dispatch import REFERENCE

ROOT = Path(tinymed.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))
CSRC = Path(__file__).parent.parent / "csrc"
# Reading order is import order: a room may import only rooms before it.
ROOMS = [
    "annotations",
    "moved",
    "errors",
    "schema",
    "absent",
    "files",
    "memory",
    "precision",
    "observers",
    "mixed",
    "versions",
    "dispatch",
    "devices",
    "random",
    "grad_mode",
    "handle",
    "tape",
    "program",
    "ops",
    "composites",
    "tensor",
    "gradients",
    "factories",
    "weights",
    "draw",
    "check",
    "debug",
    "nn",
    "optim",
    "models",
    "imaging",
    "data",
    "metrics",
    "baselines",
    "audit",
    "report",
    "explain",
    "postprocess",
    "registration",
    "tasks",
    "unsupervised",
    "train",
    "runs",
    "serve",
    "features",
    "retrieval",
    "onnx",
    "cli",
    "__main__",
]
HOMES = {"cpu", "cuda"}  # of backends' kernels: imported by name at first use


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path, top_level: bool) -> set[str]:
    """Rooms that a file imports, at its top level or anywhere."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level else list(ast.walk(tree))
    depth = len(path.relative_to(ROOT).parts)
    found = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.level:
            parts = (node.module or "").split(".") if node.module else []
            if node.level == depth:  # from .. import x, from ..x import y
                found |= {parts[0]} if parts else {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tinymed"):
            found.add((node.module or "").split(".")[1] if "." in (node.module or "") else "")
    return found - {""}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path):
    """dispatch -> tape -> ops -> tensor -> nn -> optim -> models -> data -> tasks -> train -> cli, without a cycle."""
    here = room(path)
    if here == "__init__":
        return
    if here in HOMES:
        below = {"errors", "files", "dispatch", "memory", "precision", "random", "program", "ops", "composites"}
        assert imported(path, top_level=False) <= {*below, here}
        return
    assert here in ROOMS, f"{path.name}: a new room must be put in its place in ROOMS"
    later = {r for r in imported(path, top_level=False) if r in ROOMS and ROOMS.index(r) > ROOMS.index(here)}
    assert not later, f"{path.relative_to(ROOT)} imports {later}, which come after it"


# ------------------------------------------------------------------------------------------------- files, one by one

# Circles of files that stand for now; a circle with no files outside one of these is allowed.  May become empty.
ALLOWED_CIRCLES: list[set[str]] = []
# The CPU backend's rooms in reading order.  Families may import families, as long as there is no circle of files.
CPU_FLOORS = ["compiler", "simd", "arguments", "convolution", "family", "fused", "loops", "__init__"]


def module(path: Path) -> str:
    """cpu.simd.tile of a file; a package goes by its own name, tinymed itself by ''."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module(path): path for path in SOURCES}


def run_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes of a file but those that only a type checker reads."""
    yield tree
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            yield from run_nodes(node)


def file_imports(name: str) -> set[str]:
    """Files of the package that a file imports, anywhere in it: an import inside a function may hide a circle."""
    path, found = FILES[name], set()
    package = path.relative_to(ROOT).parent.parts
    for node in run_nodes(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").split(".")[0] == "tinymed"):
            above = package[: len(package) + 1 - node.level] if node.level else ()
            named = (node.module or "").split(".")
            base = ".".join([*above, *(named if node.level else named[1:])]).strip(".")
            inner = {".".join(filter(None, (base, alias.name))) for alias in node.names}
            found |= inner & FILES.keys() or {base} & FILES.keys()
        elif isinstance(node, ast.Import):
            ours = {a.name.removeprefix("tinymed.") for a in node.names if a.name.startswith("tinymed.")}
            found |= ours & FILES.keys()
    return found - {name}


@cache
def imports() -> dict[str, set[str]]:
    """Which files of the package each of them imports."""
    return {name: file_imports(name) for name in FILES}


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Sets of files each of which imports, through others, each other (R. Tarjan, 1972)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(file: str) -> None:
        number[file] = lowest[file] = len(number)
        stack.append(file)
        for other in graph[file]:
            if other not in number:
                visit(other)
            if other in stack:
                lowest[file] = min(lowest[file], lowest[other])
        if lowest[file] == number[file]:
            circle = set(stack[stack.index(file) :])
            del stack[stack.index(file) :]
            if len(circle) > 1:
                found.append(circle)

    for file in graph:
        if file not in number:
            visit(file)
    return found


def test_a_circle_is_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}) == [{"b", "c"}]


def test_no_circle_of_files():
    """Any file can be read after those that it imports."""
    new = [circle for circle in circles(imports()) if not any(circle <= allowed for allowed in ALLOWED_CIRCLES)]
    assert not new, "files that import each other: move what both need into a file below them"


def cpu_room(name: str) -> str:
    """A folder of tinymed/cpu, a file of its own there, or __init__."""
    return [*name.split("."), "__init__"][1]


def cpu_arrows() -> set[tuple[str, str]]:
    """Which rooms of tinymed/cpu import which."""
    pairs = [(a, b) for a, there in imports().items() for b in there]
    return {(cpu_room(a), cpu_room(b)) for a, b in pairs if a.split(".")[0] == b.split(".")[0] == "cpu"}


def test_no_arrow_upwards_in_the_cpu_backend():
    def floor(room: str) -> int:
        return CPU_FLOORS.index(room if room in CPU_FLOORS else "family")

    upwards = sorted((a, b) for a, b in cpu_arrows() if floor(a) < floor(b))
    assert not upwards, f"order of rooms: {', '.join(CPU_FLOORS)}"


def test_the_cpu_backend_is_few_rooms():
    rooms = {cpu_room(name) for name in FILES if name.split(".")[0] == "cpu"}
    assert len(list((ROOT / "cpu").glob("*.py"))) <= 30
    assert len(rooms) <= 32
    assert len([(a, b) for a, b in cpu_arrows() if a != b]) <= 90


def test_rewrites_are_tried_in_one_written_order():
    """No pattern of the CPU backend is declared where only the order of imports would say when it is tried."""
    from tinymed.cpu import fused
    from tinymed.program import PATTERNS
    from tinymed.program.patterns import Pattern

    assert [p for p in PATTERNS if p.backend == "numba"] == list(fused.REWRITES)
    modules = [importlib.import_module(f"tinymed.{name}") for name in FILES if name.startswith("cpu.fused.")]
    made = [v for m in modules for v in vars(m).values()]
    defined = {id(p) for v in made for p in (v if type(v) is tuple else (v,)) if isinstance(p, Pattern)}
    assert defined == {id(p) for p in fused.REWRITES}
    for path in sorted((ROOT / "cpu").rglob("*.py")):
        calls = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
        names = {c.func.id for c in calls if isinstance(c.func, ast.Name)}
        assert "pattern" not in names, f"{path.name}: define() the rewrite and put it into fused.REWRITES"
        assert "declare" not in names or path.parent.name == "fused"


def test_importing_is_quick_and_light():
    """No compiler, plotting, image or command-line library is imported before it is used."""
    code = (
        "import sys, time, numpy; t = time.perf_counter(); import tinymed; t = time.perf_counter() - t;"
        "heavy = set('numba llvmlite cupy matplotlib PIL safetensors typer rich pydantic torch scipy sklearn'.split());"
        "print(heavy & set(sys.modules), t)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("set()"), done.stdout
    assert float(done.stdout.split()[-1]) < 2.0  # the 0.2 s budget is a benchmark; this catches work at import


UNSAFE = {"pickle", "marshal", "shelve", "dill", "joblib"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_is_unpickled_or_evaluated(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {a.name.split(".")[0] for a in node.names} | {(getattr(node, "module", "") or "").split(".")[0]}
            assert not names & UNSAFE
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            assert name not in {"eval", "exec", "compile", "__import__"}, f"line {node.lineno}: {name}"
            for k in node.keywords:
                unsafe = k.arg in {"allow_pickle", "shell"} and getattr(k.value, "value", None) is True
                assert not unsafe, f"line {node.lineno}: {k.arg}=True"


def test_no_print_in_the_library():
    for path in SOURCES:
        if room(path) != "cli":
            calls = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
            assert not any(isinstance(c.func, ast.Name) and c.func.id == "print" for c in calls), path


def references() -> list[tuple[str, ast.FunctionDef]]:
    """Reference kernels, and the functions of their files that take xp."""
    found = []
    rooms = [path for name in ("ops", "optim", "imaging") for path in sorted((ROOT / name).glob("*.py"))]
    for path in [*rooms, ROOT / "random.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.args.args and node.args.args[0].arg == "xp":
                found.append((f"{path.name}:{node.name}", node))
    return found


REFERENCES = references()


@pytest.mark.parametrize(("where", "node"), REFERENCES, ids=[w for w, _ in REFERENCES])
def test_references_name_only_what_cupy_has_too(where, node):
    """A reference kernel runs on NumPy and CuPy from the day it is declared."""
    cupy = set((Path(__file__).parent / "cupy_names.txt").read_text().split())
    for n in ast.walk(node):
        if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name):
            assert n.value.id not in ("np", "numpy"), f"{where} names NumPy: {n.value.id}.{n.attr}"
            if n.value.id == "xp":
                assert n.attr in cupy, f"{where}: cupy has no {n.attr}"


def test_every_kernel_has_a_reference_or_is_private_to_a_backend():
    for home in ("numba", "loops"):
        dispatch.table(home)
    for (name, kernel), implementation in dispatch.implementations.items():
        if name == REFERENCE:
            continue
        public = (REFERENCE, kernel) in dispatch.implementations
        private = dispatch.declare.rules[kernel].out is not dispatch.declare.undeclared_out or implementation.composite
        assert public or private, f"{kernel} on {name} has no reference and declares no out="


@pytest.mark.parametrize(
    ("home", "of"), [("tinymed.cpu", "numba"), ("tinymed.cpu.loops", "loops"), ("tinymed.cuda", "csrc")]
)
def test_the_native_list_is_true(home, of):
    """Every kernel that must be native is, and every public kernel that is native is on the list."""
    importlib.import_module(home)  # declares the kernels
    listed = dispatch.tables.native_kernels(of)
    compiled = {k for b, k in dispatch.implementations if b == of and (REFERENCE, k) in dispatch.implementations}
    assert listed <= compiled, f"listed but not native: {sorted(listed - compiled)}"
    partly = {
        "canonical",
        "copy",
        "cast",
        "take_backward",
        "pick_backward",
        "pow_forward",
        "pow_backward_base",
        "norm_forward",
    } - listed  # unless on the list, compiled for some orders or dtypes only
    assert compiled - partly <= listed, f"native but not listed: {sorted(compiled - listed)}"


def test_the_native_list_has_each_kernel_once_in_order_and_no_other_mark():
    with (ROOT / "dispatch" / "native.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [row["kernel"] for row in rows]
    assert names == sorted(set(names))
    assert {mark for row in rows for key, mark in row.items() if key != "kernel"} == {"yes", ""}
    assert set(rows[0]) - {"kernel"} <= {b for entry in dispatch.BACKENDS.values() for b in entry.chain} - {REFERENCE}


HELPERS = {  # files beside the families of a backend
    "cpu": {"arguments", "canonical", "group_norm", "optim"},
    "cuda": {
        "build",
        "depthwise",
        "emulate",
        "emulated",
        "families",
        "functions",
        "fused_conv",
        "fused_norm",
        "gpu",
        "group_norm",
        "imaging",
        "imaging_colour",
        "imaging_tables",
        "kernel_call",
        "gpus",
        "lines",
        "machine_code",
        "on_demand",
        "optim",
        "optim_variants",
        "mixed_passes",
        "modules",
        "norm_gradient",
        "own_kernels",
        "prediction",
        "ptxas",
        "pytest_plugin",
        "puzzle_problems",
        "puzzles",
        "source_text",
        "stages",
        "tiles",
        "timing",
        "translate",
        "transpose",
    },
}


@pytest.mark.parametrize(
    "path",
    sorted(p for home in HELPERS for p in (ROOT / home).glob("*.py") if p.stem != "__init__"),
    ids=lambda p: f"{p.parent.stem}/{p.stem}",
)
def test_a_backend_uses_the_family_names(path):
    """cpu/pool.py and cuda/pool.py hold the kernels of ops/pool.py; helpers have names of their own."""
    assert path.stem in HELPERS[path.parent.stem] or (ROOT / "ops" / path.name).exists()


def test_a_kernel_is_declared_once():
    """The second declaration of a name would take the place of the first."""
    seen: dict[str, Path] = {}
    for path in sorted(p for p in (ROOT / "cpu").rglob("*.py") if "loops" not in p.parts):
        for fn in ast.parse(path.read_text()).body:
            decorators = [d for d in getattr(fn, "decorator_list", ()) if isinstance(d, ast.Call)]
            if any(getattr(d.func, "id", "") == "kernel" for d in decorators):
                assert fn.name not in seen, f"{fn.name}: in {path.name} and in {seen[fn.name].name}"
                seen[fn.name] = path
    assert len(seen) > 100


def test_csrc_is_readable():
    """The CUDA sources keep the package's limits: lines of 120 columns, files of 400 lines."""
    for path in [p for p in CSRC.rglob("*") if p.suffix in (".cu", ".cuh", ".h", ".cpp")]:
        lines = path.read_text().splitlines()
        assert len(lines) < 400, path
        assert max(map(len, lines)) <= 120, f"{path}: clang-format it"


def test_no_kernel_file_includes_strings_or_streams():
    """Every pass of every compiler would read them again, for a hundred files: launch.cpp has what needs them."""
    heavy = re.compile(r"#include <(string|.*stream|vector|map|functional|stdexcept|memory|iterator)>")
    for path in [*CSRC.glob("*.cu*"), *CSRC.glob("ladders/*.cu*"), CSRC / "launch.h"]:
        assert not heavy.findall(path.read_text()), path


def test_every_header_of_csrc_is_in_its_readme():
    said = (CSRC / "README.md").read_text()
    for path in CSRC.rglob("*.cuh"):
        assert f"{path.name}`" in said, f"{path.name}: say in csrc/README.md what it is for"


def test_no_file_names_a_machine():
    for path in [*SOURCES, *sorted(Path(__file__).parent.glob("*.py"))]:
        text = path.read_text()
        assert "/root" + "/" not in text
        assert "/home" + "/" not in text


REPOSITORY = Path(__file__).parents[1]
SCRIPTS = [
    *sorted((REPOSITORY / "benchmarks").glob("*.py")),
    *sorted((REPOSITORY / "examples").rglob("*.py")),
    *sorted(p for p in (REPOSITORY / "tests").glob("*.py") if p.name != "test_moved.py"),  # whose imports warn
]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_a_script_imports_of_the_package_exists(script):
    """Inside functions too: a benchmark that runs for an hour may import at its end what was moved long ago."""
    for node in ast.walk(ast.parse(script.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] == "tinymed":
            home = importlib.import_module(node.module)
            for name in (alias.name for alias in node.names):
                assert hasattr(home, name) or importlib.util.find_spec(f"{node.module}.{name}"), (
                    f"line {node.lineno}: {node.module} has no {name}"
                )
