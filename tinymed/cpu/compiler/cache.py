"""The folder of compiled kernels, and files in it that are whole or not there.

Numba keys its cache by CPU, signature and the function's own file.  LLVM functions and helpers in other files and the
compile options are not part of that key, so stale machine code could be loaded; here they name the folder.

A file is written under another name and then renamed, so another process finds all of it or nothing.  It ends in its
length and a checksum: one that a crash or a full disk left damaged is deleted, and what it held is compiled anew.
Where no folder can be written, all goes on without a cache, and a warning says so once.
"""

import functools
import hashlib
import os
import struct
import sys
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path

import numba

from ...files import cache_folder
from . import isa

# Never fastmath=True: with reassociation allowed, a process that compiles a kernel and one that loads it from the cache
# were seen to round differently.
# Nor "nnan": a NaN must come out of a kernel that it went into, or a diverged training looks healthy.
FAST = frozenset({"contract", "nsz"})
SEAL = struct.Struct("<8sQ32s")  # mark, length of what comes before, its SHA-256
MARK = b"tinymed1"


# ------------------------------------------------------------------------------------------------------ the folder


@functools.cache
def cache_directory(module: str = "") -> Path | None:
    """Return where compiled kernels lie, by a hash of options and sources; None where nothing can be written.

    A cached kernel names the module it came from; a user's file may go by several, so each has its own folder.
    """
    root = writable_root()
    return None if root is None else root / "kernels" / fingerprint("" if module.startswith("tinymed.") else module)


def fingerprint(outside: str) -> str:
    """Return the hash of all that compiled code depends on: versions, options, the path of bf16's products, sources."""
    digest = hashlib.sha256(f"{numba.__version__} {sys.version} {sorted(FAST)} {isa.path()} {outside}".encode())
    for source in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


@functools.cache
def writable_root() -> Path | None:
    """Return TINYMED_CACHE, or tinymed's folder in the user's cache, once a file could be written there; else None."""
    try:
        root = cache_folder()
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root) as file:
            file.write(b"tinymed")
    except (OSError, RuntimeError) as error:  # RuntimeError: the user has no home
        warn_uncached(str(error))
        return None
    return root


@functools.cache
def warn_uncached(why: str) -> None:
    """Say once that kernels are not kept."""
    warnings.warn(
        f"compiled kernels are not kept, so each process compiles them anew ({why}); "
        "TINYMED_CACHE names a folder that can be written",
        RuntimeWarning,
        stacklevel=3,
    )


# ------------------------------------------------------------------------------------------------------- its files


def write_sealed(path: Path, content: bytes) -> None:
    """Write a file with its seal, whole or not at all; warn where that is not possible."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content + SEAL.pack(MARK, len(content), hashlib.sha256(content).digest()))
                file.flush()
                os.fsync(file.fileno())  # or a crash may leave the new name on an empty file
            os.replace(name, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise
    except OSError as error:
        warn_uncached(str(error))


def read_sealed(path: Path) -> bytes | None:
    """Return what a file holds without its seal; None if it is not there, or damaged, which deletes it."""
    try:
        stored = path.read_bytes()
    except OSError:
        return None
    content, seal = stored[: -SEAL.size], stored[-SEAL.size :]
    if len(seal) == SEAL.size and seal == SEAL.pack(MARK, len(content), hashlib.sha256(content).digest()):
        return content
    with suppress(OSError):
        path.unlink()
    return None
