"""Finding an op by name, in the package or in a user's own file."""

import ast
import importlib.util
import inspect
import sys
import textwrap
from pathlib import Path
from typing import Any

from ..backend import BACKENDS, REFERENCE, Kernel, implementations, table
from ..errors import UserError
from ..tape import Op


def find(name: str) -> list[type[Op]]:
    """The ops that a name means: of a Python file, all it declares; otherwise the op of that name.

    `leaky_relu`, `LeakyReLU` and `leakyrelu` mean the same.  Raises UserError with the nearest names.
    """
    if name.endswith(".py"):
        return from_file(Path(name))
    wanted = name.replace("_", "").lower()
    found = [op for key, op in Op.registry.items() if key.lower() == wanted]
    if not found:
        import difflib

        near = difflib.get_close_matches(wanted, [key.lower() for key in Op.registry], 4, 0.5)
        names = [key for key in Op.registry if key.lower() in near] or sorted(Op.registry)
        raise UserError(f"there is no op {name!r}; did you mean {', '.join(names)}?")
    return found


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


def kernels_called(fn: Any, receiver: tuple[str, ...] = ("k",)) -> list[str]:
    """Names of the kernels a function calls through a table: self.k.name(...) or k.name(...)."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(fn)))
    except (OSError, TypeError):
        return []
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = node.value
            called = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
            if called in receiver and node.attr not in names and any(n == node.attr for _, n in implementations):
                names.append(node.attr)
    return names


def kernels_of(op: type[Op]) -> list[str]:
    """Kernels of an op: forward's, then backward's."""
    names = kernels_called(op.forward)
    return names + [n for n in (kernels_called(op.backward) if op.backward else []) if n not in names]


def implementations_of(name: str) -> list[Kernel]:
    """All implementations of a kernel, the reference first."""
    for backend in BACKENDS:
        table(backend)  # imports the backend's kernels
    return [implementations[b, name] for b in (REFERENCE, *BACKENDS) if (b, name) in implementations]
