"""Follow a kernel's Python source from the function that is called to the one that does the arithmetic.

A definition is a function, a method or an assignment (`pass_relu = row_pass(...)`) at the top level of a module of the
package.  From one definition others are reached by the names in it, and from a composite the kernels that it calls.
"""

import ast
import functools
import importlib
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from ..dispatch import Kernel, implementations

DEEP = 12  # definitions on the longest way that is followed
PACKAGE = __package__.partition(".")[0]
FUSED = re.compile(r"\bmultiply_add\(")  # of vectors, in LLVM IR
VECTOR = re.compile(r"\.(fadd|fsub|fmul|fdiv|fneg|fcmp_ordered|fcmp_unordered)\(")
MOVES = {"canonical", "copy", "take_channels", "cast", "full"}  # kernels that compute nothing
INDICES = {"tables", "table", "offsets", "places"}  # arrays whose elements are addresses, not numbers of an image


class Definition(NamedTuple):
    """A piece of source with a name."""

    module: str
    name: str
    node: Any
    text: str
    line: int
    parent: str = ""  # of a method, its class

    @property
    def where(self) -> str:
        """Return file:line, as seen from the repository."""
        return place(self.module, self.line)

    @property
    def label(self) -> str:
        return f"{self.parent}.{self.name}" if self.parent else self.name

    @property
    def size(self) -> int:
        return self.text.count("\n") + 1


def place(module: str, line: int) -> str:
    """Return file:line of a module."""
    path = Path(sys.modules[module].__file__ or "")
    root = Path(__file__).resolve().parents[2]
    return f"{path.relative_to(root) if path.is_relative_to(root) else path}:{line}"


def source(thing: Any) -> tuple[str, int]:
    """Return the dedented source of a function or class, and its first line."""
    lines, line = inspect.getsourcelines(thing)
    return textwrap.dedent("".join(lines)).rstrip(), line


def strings(d: Definition) -> list[str]:
    """Return the strings in a definition."""
    nodes = ast.walk(d.node) if isinstance(d.node, ast.AST) else ()
    return [n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]


@functools.cache
def definitions(module: str) -> dict[str, list[Definition]]:
    """Return what a module defines at its top level: name -> its definitions, of a class its methods."""
    text = inspect.getsource(importlib.import_module(module))
    lines = text.splitlines()
    found: dict[str, list[Definition]] = {}
    for node in ast.parse(text).body:
        names: list[str] = []
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name)]
        for name in names:
            members = node.body if isinstance(node, ast.ClassDef) else [node]
            parent = name if isinstance(node, ast.ClassDef) else ""
            found[name] = [
                Definition(module, getattr(m, "name", name), m, text_of(m, lines), first_line(m), parent)
                for m in members
                if not parent or isinstance(m, ast.FunctionDef)
            ]
    return found


def first_line(node: Any) -> int:
    """Return the line on which a statement begins, its decorators included."""
    first: int = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
    return first


def text_of(node: Any, lines: list[str]) -> str:
    """Return the source of a statement, with its decorators."""
    return textwrap.dedent("\n".join(lines[first_line(node) - 1 : node.end_lineno]))


@functools.cache
def imports(module: str) -> dict[str, tuple[str, str]]:
    """Return the names that a module imports from others of the package: name -> (module, its name there)."""
    found: dict[str, tuple[str, str]] = {}
    loaded = importlib.import_module(module)
    package = module if hasattr(loaded, "__path__") else module.rpartition(".")[0]
    for node in ast.parse(inspect.getsource(loaded)).body:
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith(PACKAGE)):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            found |= {alias.asname or alias.name: (origin, alias.name) for alias in node.names}
    return found


def lookup(module: str, name: str) -> list[Definition]:
    """Return the definitions of a name as a module sees it, wherever in the package it comes from."""
    if name in definitions(module):
        return definitions(module)[name]
    if name in imports(module):
        origin, original = imports(module)[name]
        if isinstance(getattr(importlib.import_module(origin), original, None), ModuleType):
            return []
        return lookup(origin, original)
    return []


def definition_of(kernel: Kernel) -> Definition:
    """Return the definition of a kernel's function; of one made inside a function, that of what it was made from."""
    fn: Any = inspect.unwrap(kernel.fn)
    top = definitions(fn.__module__).get(fn.__name__, []) if fn.__module__.startswith(PACKAGE) else []
    if top and "<locals>" not in fn.__qualname__:
        return top[0]
    text, line = source(fn)
    try:
        node: Any = ast.parse(text).body[0]
    except SyntaxError:  # a lambda in the middle of a call
        node = ast.parse("").body
    return Definition(fn.__module__, kernel.name, node, text, line)


def reached(start: Definition, backend: str) -> Iterator[tuple[Definition, ...]]:
    """Walk from a definition to all that it reaches, depth first; yield each behind the definitions that lead there.

    A composite's last alternative comes first: the others are for special cases, and it is the general one.
    """
    seen: set[tuple[str, str, str]] = set()
    stack: list[tuple[Definition, ...]] = [(start,)]
    while stack:
        path = stack.pop()
        d = path[-1]
        if (d.module, d.parent, d.name) in seen or len(path) > DEEP:
            continue
        seen.add((d.module, d.parent, d.name))
        yield path
        stack += [(*path, child) for child in children(d, backend)]


def children(d: Definition, backend: str) -> list[Definition]:
    """Return what the names in a definition mean, in the order in which they stand."""
    found: list[tuple[tuple[int, int], Definition]] = []
    for node in ast.walk(d.node) if isinstance(d.node, ast.AST) else ():
        meant: list[Definition] = []
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "k":
            meant = [] if node.attr in MOVES else kernel_definitions(backend, node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id != d.name:
            meant = lookup(d.module, node.id) if d.module.startswith(PACKAGE) else []
        # of one line the outermost call is the last, and so the first to be followed
        at = getattr(node, "lineno", 0), -getattr(node, "col_offset", 0)
        found += [(at, m) for m in meant if is_arithmetic_room(m.module)]
    return [m for _, m in sorted(found, key=lambda pair: pair[0])]


def kernel_definitions(backend: str, name: str) -> list[Definition]:
    """Return the definition of a kernel of a backend; where its arguments are reshaped first, of the loop behind it."""
    kernel = implementations.get((backend, f"{name}_loop")) or implementations.get((backend, name))
    return [definition_of(kernel)] if kernel is not None else []


def is_arithmetic_room(module: str) -> bool:
    """Return whether a module holds kernels and what they compute with, not the tools that compile or emit them."""
    rooms = (f"{PACKAGE}.composites", f"{PACKAGE}.cpu", f"{PACKAGE}.cuda")
    return module.startswith(rooms) and ".compiler" not in module and not module.endswith(".simd.vectors")


def arithmetic(d: Definition) -> int:
    """Return how surely a definition is the arithmetic: 3 fused vectors, 2 vectors, 1 scalars in a loop, 0 not."""
    if not isinstance(d.node, ast.FunctionDef):
        return 2 if VECTOR.search(d.text) else 0
    if FUSED.search(d.text):
        return 3
    if VECTOR.search(d.text):
        return 2
    loops = [n for n in ast.walk(d.node) if isinstance(n, ast.For | ast.While)]
    return 1 if any(writes_numbers(n) for loop in loops for n in ast.walk(loop)) else 0


def writes_numbers(node: Any) -> bool:
    """Return whether a statement computes an element of an array that holds numbers."""
    target: Any
    if isinstance(node, ast.AugAssign):
        target, value = node.target, node.value
    elif isinstance(node, ast.Assign):
        target, value = node.targets[0], node.value
    else:
        return False
    base = target.value if isinstance(target, ast.Subscript) else target
    named = base.id if isinstance(base, ast.Name) else ""
    computed = any(isinstance(n, ast.BinOp | ast.IfExp | ast.Call) for n in ast.walk(value))
    return (isinstance(target, ast.Subscript) or isinstance(node, ast.AugAssign)) and computed and named not in INDICES


def ways_to_arithmetic(kernel: Kernel) -> list[tuple[Definition, ...]]:
    """Return the ways from a kernel to the definitions that do its arithmetic, the general case first.

    Where nothing is computed (a copy), the one way is the kernel itself.
    """
    start = definition_of(kernel)
    ways = list(reached(start, kernel.backend))
    scores = [arithmetic(way[-1]) for way in ways]
    best = max(scores)
    return [way for way, score in zip(ways, scores, strict=True) if score == best and best] or [(start,)]


def compiled_parts(kernel: Kernel) -> list[Kernel]:
    """Return the kernels of its backend that a composite comes down to, the general case first; of others itself."""
    if not kernel.composite:
        return [kernel]
    of = {
        (k.fn.__module__, k.fn.__name__): k
        for (backend, _), k in implementations.items()
        if backend == kernel.backend and "<locals>" not in k.fn.__qualname__
    }
    ways = reached(definition_of(kernel), kernel.backend)
    found = [of.get((way[-1].module, way[-1].name)) for way in ways]
    return list({k.name: k for k in found if k is not None and not k.composite}.values())


def helpers(d: Definition) -> list[Definition]:
    """Return the functions of its own room that a definition calls, and those that they call."""
    if not d.module.startswith(PACKAGE):
        return []
    found: dict[str, Definition] = {}
    waiting = [d]
    while waiting:
        body = waiting.pop(0).node.body  # without decorators
        for node in [n for statement in body for n in ast.walk(statement)]:
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id not in found:
                for inner in lookup(d.module, node.func.id)[:1]:
                    same = inner.module.rpartition(".")[0] == d.module.rpartition(".")[0]
                    if isinstance(inner.node, ast.FunctionDef) and same and inner.name != d.name:
                        found[inner.name] = inner
                        waiting.append(inner)
    return list(found.values())
