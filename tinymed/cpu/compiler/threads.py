"""Kernels on several threads where Numba's threading layer allows it, and on one where it would end the process.

Two dangers, both of which kill the process without a Python error:

- Numba's own layer, `workqueue`, aborts when two threads of Python run parallel kernels at once: a lock lets one run
  after the other.
- GNU OpenMP ends a child made by `fork` once it is entered there, if the parent had used it: in such a child kernels
  run on one thread, which gives the same bits, and a warning says so.

An entry is a `functools.partial`, which costs a call almost nothing and whose function can be exchanged after a fork.
"""

import functools
import os
import threading
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import numba
from numba.np.ufunc import parallel as numba_threads

from . import pool

TURN = threading.RLock()
entries: "weakref.WeakKeyDictionary[Any, Callable[[], Callable[..., Any]]]" = weakref.WeakKeyDictionary()
forked = False  # whether this process is the child of one whose threads had started


def one_at_a_time() -> bool:
    """Return whether parallel kernels of two threads must not overlap."""
    return bool(pool.absence()) and bool(numba.threading_layer() == "workqueue")  # type: ignore[attr-defined]


def guarded(entry: Callable[..., Any], on_one_thread: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
    """Return a parallel kernel's machine code as a function that two threads may call, and a forked child.

    on_one_thread: makes what the child calls instead.
    """
    made = functools.partial(taking_turns, entry) if one_at_a_time() else functools.partial(entry)
    entries[made] = on_one_thread
    return made


def taking_turns(entry: Callable[..., Any], *args: Any) -> Any:
    """Call a kernel while no other thread runs one."""
    with TURN:
        return entry(*args)


def after_fork() -> None:
    """In a child of a process whose threads had started, let every kernel run on one thread from now on."""
    global forked, TURN
    TURN = threading.RLock()  # a thread that is not in the child may hold the old one
    if not numba_threads._is_initialized:
        return
    forked = True
    for made, on_one_thread in list(entries.items()):
        made.__setstate__((functools.partial(replaced, made, on_one_thread), (), {}, {}))


def replaced(made: Any, on_one_thread: Callable[[], Callable[..., Any]], *args: Any) -> Any:
    """Call a kernel on one thread for the first time in a forked child, and directly from then on."""
    warn_forked()
    code = on_one_thread()
    made.__setstate__((code, (), {}, {}))
    return code(*args)


@functools.cache
def warn_forked() -> None:
    """Say once why a forked child is slower."""
    warnings.warn(
        "kernels run on one thread in this process, because it was forked from one whose threads had started; "
        'multiprocessing.get_context("spawn") starts processes that use all processors',
        RuntimeWarning,
        stacklevel=4,
    )


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=after_fork)
