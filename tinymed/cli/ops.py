"""Finding an op by name, in the package or in a user's own file."""

import ast
import difflib
import importlib.util
import inspect
import sys
import textwrap
from pathlib import Path
from typing import Any

from .. import check
from ..dispatch import (
    BACKENDS,
    Dispatcher,
    Kernel,
    Observer,
    absence,
    observing,
    use_backend,
)
from ..draw import Draw
from ..errors import UserError
from ..nn import functional
from ..tape import Op


def find(name: str) -> list[type[Op]]:
    """Return the ops that a name means: of a Python file, all it declares.

    Otherwise the op, or those that a function applies.

    `leaky_relu`, `LeakyReLU` and the function `nn.functional.leaky_relu` mean the same.  Raises UserError with the
    nearest names.
    """
    if name.endswith(".py"):
        return from_file(Path(name))
    if Path(name).is_file():
        raise UserError(f"{name}: not a Python file; give one that declares an Op, or the name of an op")
    wanted = name.replace("_", "").lower()
    found = [op for key, op in Op.registry.items() if key.lower() == wanted] or applied(getattr(functional, name, None))
    if not found and inspect.isfunction(getattr(functional, name, None)):
        raise UserError(f"{name} applies no op of its own: it composes other functions, which `tinymed show` knows")
    if not found:
        functions = [n for n, f in vars(functional).items() if inspect.isfunction(f)]
        known = sorted({*Op.registry, *functions}, key=str.lower)
        near = difflib.get_close_matches(wanted, [key.lower() for key in known], 4, 0.6)
        names = ", ".join(key for key in known if key.lower() in near)
        hint = f"did you mean {names}?" if names else f"there are {', '.join(sorted(Op.registry))}"
        raise UserError(f"there is no op {name!r}; {hint}")
    return found


def applied(function: Any, depth: int = 3) -> list[type[Op]]:
    """Return the ops that a public function applies, also through functions of its own module."""
    if function is None or not inspect.isfunction(function):
        return []
    function = inspect.unwrap(function)  # a decorator lies elsewhere
    found: list[type[Op]] = []
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))):
        if isinstance(node, ast.Attribute) and node.attr == "apply" and isinstance(node.value, ast.Name):
            found += [op for key, op in Op.registry.items() if key == node.value.id]
        elif isinstance(node, ast.Name) and depth:
            inner = function.__globals__.get(node.id)
            if inspect.isfunction(inner) and inner is not function and inner.__module__ == function.__module__:
                found += applied(inner, depth - 1)
    found = list(dict.fromkeys(found or named(function)))
    return [op for op in found if op.__name__ not in ("Cast", "Move")] or found  # which only bring inputs together


def named(function: Any) -> list[type[Op]]:
    """Return the ops that a function names, to hand them to another that applies them."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    meant = [function.__globals__.get(node.id) for node in ast.walk(tree) if isinstance(node, ast.Name)]
    return [op for op in Op.registry.values() if op in meant]


def from_file(path: Path) -> list[type[Op]]:
    """Import a user's file and return the ops it declares; a compiled kernel may be in it too."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a Python file that declares an Op, or the name of an op")
    before = set(Op.registry)
    spec = importlib.util.spec_from_file_location(f"tinymed_user_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as e:
        raise UserError(f"{path}: importing it failed with {type(e).__name__}: {e}") from e
    ops = [op for key, op in Op.registry.items() if key not in before]
    if not ops:
        raise UserError(f"{path}: it declares no Op (a subclass of tinymed.tape.Op)")
    return ops


class Names(Observer):
    """Collects the names of the kernels that are called, in order."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def before(self, dispatcher: Dispatcher, kernel: Kernel, args: Any) -> None:
        if dispatcher.name not in self.found:
            self.found.append(dispatcher.name)


def kernels_of(op: type[Op], samples: int = 12) -> list[str]:
    """Return names of the kernels that an op calls, forward then backward: found by running it on its samples."""
    names = Names()
    with use_backend("numpy"), observing(names):
        for seed in range(samples):
            check.results(op.apply, op.samples(Draw(seed)), seed=seed)
    return names.found


def declared() -> None:
    """Import the kernels of every backend, also of one that cannot work here: its sources can be read."""
    for backend in BACKENDS:
        absence(backend)
