"""Compiling the kernels that a step is known to need, before they are called, in several processes.

Numba compiles under one lock, so worker processes do it, and their results come through the cache on disk.  Each worker
reads jobs as JSON lines on standard input while the parent compiles the rest.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

import numba
from numba import types

from ... import dispatch
from . import elements, llvm_functions
from .cache import cache_directory
from .numba_library import Helper, KernelCode

BACKEND = "numba"
FEW = 6  # kernels that are compiled before another process has started
PATIENCE = 120.0  # seconds without any result, after which other processes are ended and what they had is done here
KINDS = (
    types.boolean,
    types.int8,
    types.int16,
    types.int32,
    types.int64,
    types.uint8,
    types.uint16,
    types.uint32,
    types.uint64,
    types.float32,
    types.float64,
    types.none,
)
NAMES = {str(kind): kind for kind in KINDS}
Signature = tuple[Any, ...]  # Numba's types of a kernel's arguments


class Job(NamedTuple):
    """One kernel in one variant, and the signatures to compile; a single worker takes it."""

    kernel: str
    parallel: bool
    signatures: tuple[Signature, ...]
    size: int  # a guess at the work: the longest jobs begin first
    double: bool = False  # instantiated for float64


class Built(NamedTuple):
    """The result of a job."""

    kernel: str
    parallel: bool
    compiled: int  # signatures; the others were in the cache
    seconds: float


class Found:
    """The signatures that calls were found to need, by kernel and variant."""

    def __init__(self) -> None:
        self.signatures: dict[tuple[str, bool, bool], dict[Signature, None]] = {}
        self.sizes: dict[str, int] = {}

    def __call__(self, kernel: Any, plan: Any, native: Sequence[Any]) -> None:
        """Take down a call of a kernel that is compiled ahead."""
        if kernel.backend != BACKEND:
            return
        variant = kernel.name, kernel.parallel and not plan.small, plan.double
        self.signatures.setdefault(variant, {})[signature(native)] = None
        self.sizes[kernel.name] = sum(len(code) for code in helper_bytecodes(kernel.fn))

    def jobs(self) -> list[Job]:
        """Return a job for each kernel and variant.

        Those on the register tile come first, from the longest on, then the others, up to the longest.  A worker that
        begins at one end needs few of the helpers that are compiled at the other.
        """
        jobs = [
            Job(name, parallel, tuple(found), self.sizes[name] * (2 if parallel else 1) * len(found), double)
            for (name, parallel, double), found in self.signatures.items()
        ]
        tiled = {job.kernel for job in jobs if on_the_tile(dispatch.implementations[BACKEND, job.kernel].fn)}
        return sorted(jobs, key=lambda job: (0, -job.size) if job.kernel in tiled else (1, job.size))


def signature(native: Sequence[Any]) -> Signature:
    """Return the types by which Numba chooses among a kernel's compiled versions."""
    typeof: Any = numba.typeof
    return tuple(typeof(a) for a in native)


@cache
def helper_bytecodes(fn: Callable[..., Any]) -> frozenset[bytes]:
    """Return the bytecode of a function and of the helpers that it calls."""
    helpers = (h for h in llvm_functions.referenced(fn) if isinstance(h, Helper))
    return frozenset({fn.__code__.co_code}).union(*(helper_bytecodes(h.py_func) for h in helpers))


def on_the_tile(fn: Callable[..., Any]) -> bool:
    """Return whether a kernel runs on the register tile, by the names of the LLVM functions that it calls."""
    return any(symbol.endswith("tile") for symbol in llvm_functions.required(fn))


def prepare(calls: Iterable[tuple[Any, Sequence[Any]]]) -> None:
    """Compile what calls, pairs of plan and arguments, need, in as many processes as there are threads if it is much.

    A worker process knows the package's kernels, not a user's, and hands its code over in the cache.
    """
    if cache_directory() is None:
        return
    found = Found()
    for plan, native in calls:
        ours = isinstance(plan.code, KernelCode) and plan.kernel.fn.__module__.startswith("tinymed.cpu.")
        if ours and not plan.code.known(signature(native)):
            found(plan.kernel, plan, native)
    jobs, threads = found.jobs(), numba.get_num_threads()
    if len(jobs) > FEW and threads > 1:
        for _ in build(jobs, min(threads, len(jobs) // FEW + 1)):
            pass


# ------------------------------------------------------------------------------------------------------ compiling


def build(jobs: Sequence[Job], processes: int) -> Iterator[Built]:
    """Do the jobs in this process and in others beside it; yield results as they come."""
    waiting, done, ready = deque(jobs), SimpleQueue[Built](), threading.Event()
    symbols = set().union(*(llvm_functions.required(code_of(job)) for job in jobs))
    first = deque(sorted(symbols))  # what kernels need comes before them, or several processes would compile it
    others = (
        processes - 1 if sys.executable and not getattr(sys, "frozen", False) else 0
    )  # a frozen application is not an interpreter
    running: list[Any] = []
    threads = [
        threading.Thread(target=supervise, args=(first, waiting, done, ready, running), daemon=True)
        for _ in range(others)
    ]
    for t in threads:
        t.start()
    try:
        with suppress(IndexError):
            while True:
                llvm_functions.object_code(first.popleft())
        llvm_functions.load(symbols)
        ready.set()
        latest = time.monotonic()
        while any(t.is_alive() for t in threads) or waiting or not done.empty():  # workers report before they end
            job = None
            with suppress(IndexError):
                job = waiting.popleft()
            if job:
                done.put(compile_job(job))
            elif done.empty():
                for t in threads:
                    t.join(0.05)
                if time.monotonic() - latest > PATIENCE:
                    for process in running:
                        process.kill()
            while not done.empty():
                latest = time.monotonic()
                yield done.get()
    finally:
        waiting.clear()
        ready.set()


def code_of(job: Job) -> Callable[..., Any]:
    """Return the function that a job compiles."""
    fn: Callable[..., Any] = dispatch.implementations[BACKEND, job.kernel].fn
    return elements.doubled(fn) if job.double else fn


def compile_job(job: Job) -> Built:
    """Compile a kernel for some signatures, or find it in the cache."""
    dispatch.table(BACKEND)  # declares the kernels
    started = time.perf_counter()
    code: Any = dispatch.implementations[BACKEND, job.kernel].compiled(not job.parallel, job.double)
    before = sum(code.stats.cache_misses.values())
    for kinds in job.signatures:
        code.compile(kinds)
    compiled = sum(code.stats.cache_misses.values()) - before
    return Built(job.kernel, job.parallel, compiled, time.perf_counter() - started)


# ------------------------------------------------------------------------------------------------ other processes


def supervise(
    first: deque[str], waiting: deque[Job], done: SimpleQueue[Built], ready: threading.Event, running: list[Any]
) -> None:
    """Let a worker process compile LLVM functions and then, from `ready` on, jobs, beginning with the last.

    What it does not finish is done here.  It has handed over all it did when it is ended.
    """
    paths = [str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, "-P", "-c", f"import {__name__} as ahead; ahead.serve()"]
    pipes: Any = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE) | {"stderr": subprocess.DEVNULL}
    with suppress(OSError), subprocess.Popen(command, text=True, env=environment, **pipes) as process:  # noqa: S603
        running.append(process)
        try:
            lend(process, first, waiting, done, ready)
        finally:
            process.kill()  # what it would do at its own end nobody needs


def lend(
    process: Any, first: deque[str], waiting: deque[Job], done: SimpleQueue[Built], ready: threading.Event
) -> None:
    """Ask a worker process for one thing after the other, until nothing is left or it has ended."""
    reply = process.stdout.readline()  # it has started
    with suppress(IndexError):
        while reply:
            reply = request(process, first.pop())
    ready.wait()
    with suppress(IndexError):
        while reply:
            job, reply = waiting.pop(), ""
            with suppress(ValueError):
                reply = request(process, job.kernel, job.parallel, job.double, encode(job.signatures))
            if reply:
                done.put(Built(*json.loads(reply)))
            else:
                waiting.append(job)


def request(process: Any, *question: Any) -> str:
    """Return a worker's answer, or nothing if it has ended."""
    with suppress(OSError):
        process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
        return str(process.stdout.readline())
    return ""


def encode(kind: Any) -> Any:
    """Return Numba's types as JSON."""
    if isinstance(kind, tuple):
        return [encode(k) for k in kind]
    if isinstance(kind, types.Array):
        return {
            "dtype": str(kind.dtype),
            "ndim": kind.ndim,
            "layout": kind.layout,
            "readonly": not kind.mutable,
            "aligned": kind.aligned,
        }
    if isinstance(kind, types.Tuple | types.UniTuple):
        return {"tuple": [encode(k) for k in kind.types]}
    if str(kind) not in NAMES:
        raise ValueError(f"an argument of type {kind} cannot be described to another process")
    return str(kind)


def decode(kind: Any) -> Any:
    """Return the types that `encode` described."""
    if isinstance(kind, list):
        return tuple(decode(k) for k in kind)
    if isinstance(kind, str):
        return NAMES[kind]
    if "tuple" in kind:
        return types.Tuple.from_types([decode(k) for k in kind["tuple"]])
    return types.Array(NAMES[kind["dtype"]], kind["ndim"], kind["layout"], kind["readonly"], aligned=kind["aligned"])


def serve() -> None:
    """Do the jobs that come from standard input."""
    dispatch.table(BACKEND)
    reply_with(["ready"])
    for line in sys.stdin:
        name, *rest = json.loads(line)
        if not rest:
            llvm_functions.object_code(name)
            reply_with([name])
        else:
            parallel, double, signatures = rest
            reply_with(compile_job(Job(name, parallel, decode(signatures), 0, double)))


def reply_with(content: Any) -> None:
    """Write a line of JSON to standard output."""
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()
