"""The package's own pool of threads, which parallel kernels run on instead of Numba's.

Numba's default layer is OpenMP, whose threads wait for the next loop by looking for it, at full speed, for
milliseconds.  Where other processes want the processors, the loops then wait for threads that wait; and how it waits is
settled when the library is loaded, by whoever loads it first.  This pool waits as `pool_code` says, whatever else is
loaded, and leaves the threads of a user's own Numba functions alone: only the package's kernels name it, by the symbols
that they are given instead of Numba's (`RENAMED`).

Numba says how many threads there are (NUMBA_NUM_THREADS) and how many a kernel may use (numba.set_num_threads).  Where
NUMBA_THREADING_LAYER asks for a layer by name, that is used instead; so is Numba's where there are no POSIX threads.
"""

import ctypes
import os
import platform
import signal
import threading
from functools import cache
from typing import Any

import numba
from llvmlite import binding
from numba.core import config as numba_config
from numba.np.ufunc import parallel as numba_threads

from . import llvm_functions, pool_code

RENAMED = {
    "numba_parallel_for": "tinymed_parallel_for",
    "get_thread_id": "tinymed_thread_number",
    "get_sched_size": "tinymed_chunk_count",
}
START = threading.Lock()
address: dict[str, int] = {}  # of the pool's functions and variables, once it is in memory


def layer_asked_for() -> str:
    """Return the threading layer that Numba was told to use, or nothing."""
    config: Any = numba_config
    return "" if config.THREADING_LAYER == "default" else str(config.THREADING_LAYER)


@cache
def absence() -> str:
    """Return why the pool is not used, or nothing."""
    if layer_asked_for():
        return f"NUMBA_THREADING_LAYER asks for {layer_asked_for()}"
    if os.name != "posix" or ctypes.sizeof(ctypes.c_void_p) != 8:
        return "it needs POSIX threads and 64-bit addresses"
    return ""


def describe() -> tuple[str, str]:
    """Return (the layer that kernels run on, how its threads wait)."""
    numba.get_num_threads()
    if not absence():
        return "tinymed's own pool", f"look {pool_code.SPIN} times, fewer where that was in vain, then sleep"
    name = str(numba_threads.threading_layer())
    waits = {"omp": "look for milliseconds, unless OMP_WAIT_POLICY=passive", "workqueue": "sleep"}
    return f"Numba's {name} ({absence()})", waits.get(name, "as the layer does")


def start() -> None:
    """Give the symbols that kernels are compiled with their addresses, and start the threads, once in a process."""
    with START:
        if address:
            return
        numba.get_num_threads()  # starts Numba's layer, which keeps the number of threads
        if absence():
            lib = numba_layer()
            address.update(
                tinymed_parallel_for=lib.parallel_for,
                tinymed_thread_number=lib.get_thread_id,
                tinymed_chunk_count=lib.get_sched_size,
            )
        else:
            address.update(linked())
            spawn()
        for symbol in RENAMED.values():
            binding.add_symbol(symbol, address[symbol])


def numba_layer() -> Any:
    """Return the module of the layer that Numba has started."""
    import importlib

    name = str(numba_threads.threading_layer())
    return importlib.import_module("numba.np.ufunc." + {"omp": "omppool", "tbb": "tbbpool"}.get(name, name))


def linked() -> dict[str, int]:
    """Bring the pool's code into memory; return its addresses by name."""
    machine = platform.machine().lower().replace("amd64", "x86_64").replace("arm64", "aarch64")
    code = llvm_functions.kept_object("pool", lambda: pool_code.source(machine))
    return llvm_functions.link([code], [*RENAMED.values(), *pool_code.NAMES])


def word(name: str) -> Any:
    """Return a variable of the pool."""
    return ctypes.c_int64.from_address(address[name])


def spawn() -> None:
    """Start the threads beside the caller's; they live as long as the process, and take no signals."""
    libc = ctypes.CDLL(None)
    key = ctypes.c_size_t(0)
    libc.pthread_key_create(ctypes.byref(key), None)
    word("tinymed_pool_key").value = key.value
    libc.pthread_mutex_init(ctypes.c_void_p(address["tinymed_pool_lock"]), None)
    for name in ("tinymed_pool_woken", "tinymed_pool_finished"):
        libc.pthread_cond_init(ctypes.c_void_p(address[name]), None)
    wanted = min(int(numba_config.NUMBA_NUM_THREADS), pool_code.MOST) - 1  # type: ignore[attr-defined]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        word("tinymed_pool_workers").value = sum(1 for number in range(1, wanted + 1) if created(libc, number))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def created(libc: Any, number: int) -> bool:
    """Start the worker of a number; return whether the system allowed it."""
    handle, worker = ctypes.c_void_p(), ctypes.c_void_p(address["tinymed_pool_worker"])
    failed = bool(libc.pthread_create(ctypes.byref(handle), None, worker, ctypes.c_void_p(number)))
    if not failed:
        libc.pthread_detach(handle)
    return not failed
