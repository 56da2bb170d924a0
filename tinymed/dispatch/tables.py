"""Tables: the kernels of each backend as attributes, the table in use, and the record of fallbacks."""

import csv
import functools
import importlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..memory import empty, maker
from .call import Dispatcher, Skipped, skip
from .declare import BACKENDS, DEFAULT, REFERENCE, Array, BackendError, implementations
from .select import Plan


class Table:
    """The kernels of one backend as attributes: `table.relu_forward(x)`.

    Args:
        name: The backend.
        skipped: Make the table dry: compiled kernels are planned, and seen by observers, but not run.  They return
            memory as it comes, and skipped(kernel, plan, arguments) is told of each.
    """

    def __init__(self, name: str, skipped: Skipped | None = None):
        backend = BACKENDS[name]
        self.name, self.device, self.skipped = name, backend.device, skipped
        self.home: Any = importlib.import_module(backend.home) if backend.home else None
        allocator = getattr(self.home, "allocator", None)  # raises BackendError where the backend cannot work
        self.empty: Callable[..., Array] = allocator(name) if allocator else empty
        self.ready: Callable[[Any, Sequence[Any]], Any] = getattr(self.home, "ready", lambda code, arrays: code)
        self.absent = getattr(self.home, "ABSENT", None)  # what compiled kernels take for an array that is None
        self.xp = importlib.import_module(backend.module)
        self.native = native_kernels(backend.chain[0])
        self.dispatchers: dict[str, Dispatcher] = {}

    def __getattr__(self, name: str) -> Dispatcher:  # once per name; then a plain attribute
        if name.startswith("_"):
            raise AttributeError(name)
        dispatcher = self.dispatchers[name] = self.dispatcher(name)
        setattr(self, name, dispatcher)
        return dispatcher

    def dispatcher(self, name: str) -> Dispatcher:
        """Return the dispatcher for a kernel name."""
        return Dispatcher(name, self)

    def maker(self, shape: tuple[int, ...], dtype: Any) -> Callable[[], Array]:
        """Return what allocates an array of this shape, in C order, each time it is called."""
        return maker(shape, dtype) if self.empty is empty else functools.partial(self.empty, shape, dtype)

    def machine_code(self, plan: Plan) -> Callable[..., Any]:
        """Return the machine code for a plan, or on a dry table what stands in for it."""
        if self.skipped is not None:
            return functools.partial(skip, plan, self.skipped)
        return plan.kernel.compiled(plan.small, plan.double)

    def forget(self) -> None:
        """Drop every plan: after `empty` was replaced, which plans hold."""
        for dispatcher in self.dispatchers.values():
            dispatcher.forget()


@functools.cache
def native_rows() -> list[dict[str, str]]:
    """Return native.csv, a row for each kernel."""
    with (Path(__file__).parent / "native.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def native_kernels(implementer: str) -> frozenset[str]:
    """Return the kernels that must not fall back for float32 where this implementer comes first in the chain.

    native.csv lists what CNNs train with: one line for each kernel, one column for each implementer.  An implementer
    without a column must serve all kernels that it declares.
    """
    rows = native_rows()
    if implementer in rows[0]:
        return frozenset(row["kernel"] for row in rows if row[implementer])
    return frozenset(n for of, n in implementations if of == implementer and (REFERENCE, n) in implementations)


# ------------------------------------------------------------------------------------------------- choosing a table

VARIABLE = "TINYMED_BACKEND"
opened: dict[str, Table] = {}
default: Table | None = None  # of threads that have chosen none, once one is in use


class Chosen(threading.local):
    """The table that a thread uses, where it has chosen one: a block of `with`, a dry run while a step is recorded."""

    table: Table | None = None


chosen = Chosen()


def default_name() -> str:
    """Return the name of the backend that serves where none is chosen: what TINYMED_BACKEND says now, or numba."""
    return os.environ.get(VARIABLE) or DEFAULT


def known_default() -> str:
    """Return `default_name()`.

    Raises:
        UserError: TINYMED_BACKEND names no backend.
    """
    name = default_name()
    if name not in BACKENDS:
        raise UserError(f"{VARIABLE}={name}: there is no such backend; choose one of {', '.join(BACKENDS)}")
    return name


def check_environment() -> None:
    """Raise UserError where TINYMED_BACKEND names no backend, or one that cannot work here."""
    name = known_default()
    if os.environ.get(VARIABLE) and (why := absence(name)):
        working = ", ".join(other for other in BACKENDS if not absence(other))
        raise UserError(f"{VARIABLE}={name}: {why}; the backends that work here are {working}")


@contextmanager
def without_variable() -> Iterator[None]:
    """Let TINYMED_BACKEND say nothing, here and in the processes that are started, for a block."""
    before = os.environ.pop(VARIABLE, None)
    try:
        yield
    finally:
        if before is not None:
            os.environ[VARIABLE] = before


def table(name: str | None = None) -> Table:
    """Return the table of the named backend, or of the one in use.

    Raises:
        ValueError: There is no such backend; a UserError where TINYMED_BACKEND names it.
        ImportError, BackendError: It cannot work here; the message says why.
    """
    global default
    if name is None:
        if chosen.table is not None:
            return chosen.table
        if default is None:
            default = table(known_default())
        return default
    if name not in opened:
        if name not in BACKENDS:
            raise ValueError(f"backend {name!r} is unknown; choose one of {', '.join(BACKENDS)}")
        opened[name] = Table(name)
    return opened[name]


def absence(name: str) -> str:
    """Return why a backend cannot work here, or nothing."""
    try:
        table(name)
    except (ImportError, OSError, BackendError) as reason:
        return str(reason)
    return ""


class use_backend:
    """Choose the backend: `use_backend("numpy")` from here on, or `with use_backend("numpy"):` for a block.

    A block is its thread's alone; from here on means this thread, and all that choose none.

    Args:
        name: One of numpy, loops, numba, cupy, cuda, emulated.

    Raises:
        ValueError: There is no such backend.

    Example:
        >>> import tinymed
        >>> with tinymed.use_backend("numpy") as k:
        ...     k.name
        'numpy'
    """

    def __init__(self, name: str):
        global default
        self.before, self.default = chosen.table, default
        chosen.table = default = table(name)

    def __enter__(self) -> Table:
        global default
        default = self.default
        return table()

    def __exit__(self, *_: object) -> None:
        chosen.table = self.before


@contextmanager
def use_table(table: Table) -> Iterator[Table]:
    """Use a table that is no backend's own for a thread's block: a dry one, or one of shapes without memory."""
    before, chosen.table = chosen.table, table
    try:
        yield table
    finally:
        chosen.table = before


@contextmanager
def dry(skipped: Skipped) -> Iterator[None]:
    """Run steps without computing or compiling: what they would call is planned, and skipped() is told.

    References are run, on whatever memory holds; shapes, dtypes and memory orders are the true ones.
    """
    with use_table(Table(table().name, skipped)):
        yield


def record(name: str | None = None) -> dict[str, tuple[int, int]]:
    """Return {kernel: (native calls, fallback calls)} of a backend since the process started."""
    return {n: (d.native, d.fallback) for n, d in sorted(table(name).dispatchers.items())}
