"""Arrays between pages that nobody may touch: a kernel that reads or writes beside an array ends the process.

A read a few bytes behind an array goes unseen as long as the next page happens to be there; one process in a hundred
thousand then dies without a Python error.  Here every array that NumPy makes ends (or begins) at a page without
access, so it dies at once, and Python's fault handler names the line.  New memory is filled with a pattern that is
huge as an index and as a number, so that what is read before it was written shows as well.

    python tests/guarded_memory.py --backend numba --side end --seeds 8      # prints each op before it runs it
"""

import argparse
import ctypes
import mmap
import os
import sys
from typing import Any

import numpy as np

PAGE = mmap.PAGESIZE
NOBODY, READ_WRITE = 0, mmap.PROT_READ | mmap.PROT_WRITE
UNWRITTEN = 0x7F  # each byte of new memory: 3.4e38 as float32, 1.4e306 as float64, 9e18 as an index

Malloc = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
Calloc = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)
Realloc = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
Free = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


class Allocator(ctypes.Structure):
    """NumPy's PyDataMemAllocator."""

    _fields_ = (("ctx", ctypes.c_void_p), ("malloc", Malloc), ("calloc", Calloc), ("realloc", Realloc), ("free", Free))


class Handler(ctypes.Structure):
    """NumPy's PyDataMem_Handler."""

    _fields_ = (("name", ctypes.c_char * 127), ("version", ctypes.c_uint8), ("allocator", Allocator))


class GuardedMemory:
    """Memory for NumPy's arrays with a page without access before and behind each.

    side: "end" puts an array's last byte before the page behind it, "start" its first byte behind the page before it.
    """

    def __init__(self, side: str):
        self.side = side
        self.blocks: dict[int, tuple[int, int, int]] = {}  # address -> mapping, its length, the array's bytes
        self.libc: Any = ctypes.CDLL(None, use_errno=True)
        self.libc.mmap.restype = ctypes.c_void_p
        size, pointer, number = ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int
        self.libc.mmap.argtypes = [pointer, size, number, number, number, ctypes.c_long]
        self.libc.munmap.argtypes = [pointer, size]
        self.libc.mprotect.argtypes = [pointer, size, number]
        calls = Malloc(self.malloc), Calloc(self.calloc), Realloc(self.realloc), Free(self.free)
        self.handler = Handler(b"guarded", 1, Allocator(None, *calls))

    def take(self, size: int, fill: int) -> int:
        """Return the address of `size` bytes beside a page without access."""
        size = max(size, 1)
        room = -(-size // PAGE) * PAGE
        private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        mapping = self.libc.mmap(None, room + 2 * PAGE, READ_WRITE, private, -1, 0)
        self.libc.mprotect(mapping, PAGE, NOBODY)
        self.libc.mprotect(mapping + PAGE + room, PAGE, NOBODY)
        address = mapping + PAGE + (room - size if self.side == "end" else 0)
        self.blocks[address] = mapping, room + 2 * PAGE, size
        ctypes.memset(address, fill, size)
        return int(address)

    def malloc(self, _: Any, size: int) -> int:
        return self.take(size, UNWRITTEN)

    def calloc(self, _: Any, count: int, size: int) -> int:
        return self.take(count * size, 0)

    def realloc(self, _: Any, address: int | None, size: int) -> int:
        new = self.take(size, UNWRITTEN)
        if address:
            ctypes.memmove(new, address, min(size, self.blocks[address][2]))
            self.free(None, address, 0)
        return new

    def free(self, _: Any, address: int | None, size: int) -> None:
        if address:
            mapping, length, _size = self.blocks.pop(address)
            self.libc.munmap(mapping, length)

    def install(self) -> None:
        """Let NumPy take the memory of all arrays from here on, until the process ends."""
        entry = ctypes.pythonapi.PyCapsule_GetPointer
        entry.restype, entry.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
        table = ctypes.cast(entry(np._core._multiarray_umath._ARRAY_API, None), ctypes.POINTER(ctypes.c_void_p))
        set_handler = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(table[304])  # PyDataMem_SetHandler
        capsule = ctypes.pythonapi.PyCapsule_New
        capsule.restype, capsule.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        set_handler(capsule(ctypes.addressof(self.handler), b"mem_handler", None))


def run(backend: str, seeds: range) -> None:
    """Run every op forward and backward; what it computes is checked elsewhere."""
    from derived import OPS, EachItsOwn, refuses_to_write, sample

    from tinymed import check, dispatch, memory

    memory.SMALL = sys.maxsize  # every array comes from NumPy's memory, none from the package's reserved heap
    with dispatch.use_backend(backend):
        for op in OPS:
            for seed in seeds:
                print(op.__name__, seed, flush=True)
                check.results(op.apply, sample(op, seed), np.float32)
                try:
                    check.results(op.apply, sample(op, seed), np.float32, arrange=EachItsOwn(seed))
                except RuntimeError as refusal:
                    if not refuses_to_write(op, refusal):
                        raise


def main() -> None:
    """Run every op on guarded memory and leave without tidying up: NumPy would call what Python has already freed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--backend", default="numba")
    parser.add_argument("--side", choices=["start", "end"], default="end")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--planted", action="store_true", help="read a byte behind an array: the guard must see it")
    options = parser.parse_args()
    memory = GuardedMemory(options.side)
    memory.install()
    if options.planted:
        array = np.zeros(100, np.uint8)
        print("planted", flush=True)
        ctypes.string_at(array.ctypes.data + (100 if options.side == "end" else -1), 1)
    else:
        run(options.backend, range(options.seeds))
    print("done", flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
