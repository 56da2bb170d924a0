"""Which instructions multiply numbers of bfloat16 here, asked once in each process that loads the kernels.

    amx           tdpbf16ps, on tiles: 16 x 16 sums over 16 pairs; Linux gives the tiles to a process that asks for them
    avx512_bf16   vdpbf16ps, on vectors: 16 sums over one pair
    float32       float32's multiply-add on numbers of bfloat16; any processor

The first that the processor has and the system grants is used.  TINYMED_ISA forces one.  The three add in different
orders, so the path is part of the kernels' cache and of a run's record.
"""

import ctypes
import os
import platform
import sys
from functools import cache

from llvmlite import binding
from numba.core import config

from ...errors import one_line_for_commands

PATHS = ("amx", "avx512_bf16", "float32")
NEEDS: dict[str, tuple[str, ...]] = {
    "amx": ("amx-tile", "amx-bf16", "avx512f"),
    "avx512_bf16": ("avx512bf16", "avx512f"),
    "float32": (),
}
ARCH_PRCTL, REQUEST_PERMISSION, TILE_DATA = 158, 0x1023, 18  # Linux on x86-64: arch_prctl(ARCH_REQ_XCOMP_PERM, 18)


def features() -> set[str]:
    """Return the names of the instruction sets that code is made for, as LLVM spells them: avx2, avx512f, fma, ..."""
    told = getattr(config, "CPU_FEATURES", None)
    if told:  # Numba compiles for these instead of the host's when told to
        return {f[1:] for f in told.split(",") if f.startswith("+")}
    return {name for name, present in binding.get_host_cpu_features().items() if present}


@cache
def tiles_refused() -> str:
    """Ask the system for the tile registers, for this process and all its threads; return why not, or "" if granted."""
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        return "only Linux on x86-64 is asked for tiles"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(ARCH_PRCTL, REQUEST_PERMISSION, TILE_DATA) == 0:
        return ""
    return f"Linux refused the tile registers: {os.strerror(ctypes.get_errno())}"


def missing(path: str) -> str:
    """Return why the processor cannot take a path, or "" if it can."""
    names = [name for name in NEEDS[path] if name not in features()]
    return f"the processor has no {', '.join(names)}" if names else ""


def lacking(path: str) -> str:
    """Return why a path cannot be used here, or "" if it can."""
    return missing(path) or (tiles_refused() if path == "amx" else "")


def chosen(wanted: str) -> str:
    """Return the path: the one that is wanted by name, or the first that works.

    Raises:
        ValueError: the name is unknown, or this machine lacks what it names.
    """
    if not wanted:
        return next(path for path in PATHS if not lacking(path))
    if wanted not in PATHS:
        raise ValueError(f"TINYMED_ISA is {wanted!r}; choose one of {', '.join(PATHS)}, or leave it unset")
    if why := lacking(wanted):
        works = [path for path in PATHS if not lacking(path)]
        raise ValueError(f"TINYMED_ISA is {wanted!r}, but {why}; here it takes {', '.join(works)}, or leave it unset")
    return wanted


@cache
def path() -> str:
    """Return the path of this process."""
    with one_line_for_commands():
        return chosen(os.environ.get("TINYMED_ISA", ""))


def describe() -> str:
    """Return the path and why it is this one, for people."""
    forced = os.environ.get("TINYMED_ISA", "")
    reasons = [f"{name}: {lacking(name)}" for name in PATHS[: PATHS.index(path())] if lacking(name)]
    why = "forced by TINYMED_ISA" if forced else "; ".join(reasons) or "the fastest of three"
    return f"{path()} ({why})"
