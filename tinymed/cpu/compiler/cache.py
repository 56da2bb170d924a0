"""compiler/cache."""

import functools
import hashlib
import os
import sys
from pathlib import Path

import numba

# Never fastmath=True: with reassociation allowed, a process that compiles a kernel and one that loads it from the cache
# were seen to round differently.
# Nor "nnan": a NaN must come out of a kernel that it went into, or a diverged training looks healthy.
FAST = frozenset({"contract", "nsz"})


@functools.cache
def cache_directory(module: str = "") -> Path:
    """Where compiled kernels lie: TINYMED_CACHE or the user's cache, by a hash of options and sources.

    A cached kernel names the module it came from; a user's file may go by several, so each has its own.
    """
    outside = "" if module.startswith("tinymed.") else module
    digest = hashlib.sha256(f"{numba.__version__} {sys.version} {sorted(FAST)} {outside}".encode())
    for source in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(source.read_bytes())
    root = (
        os.environ.get("TINYMED_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "tinymed"
    )
    return Path(root) / "kernels" / digest.hexdigest()[:16]
