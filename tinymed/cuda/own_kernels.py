"""A user's own .cu file, written as csrc's are (BIND, LAUNCH): its launchers for the backend `emulated`, checked."""

import contextlib
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from . import emulated
from .build import CSRC, build
from .emulate import cache
from .modules import load
from .on_demand import emulator_objects

BOUND = re.compile(r"^\s*BIND\(\s*(\w+)\s*,", re.MULTILINE)


def bound(path: Path) -> list[str]:
    """Return the launchers that a file binds; none if it is a CUDA file of another form."""
    return BOUND.findall(path.read_text("utf-8", errors="replace"))


def checked_module(path: Path) -> ModuleType:
    """Return a file's launchers as a checked module of its own; csrc's kernels are not compiled.

    Raises build.Absent without a compiler, build.Failed if the file does not compile.
    """
    name = hashlib.sha256(path.read_bytes()).hexdigest()[:12]  # an imported module is never imported anew
    target = cache() / f"{path.stem}-{name}.so"
    if not target.exists():
        build("_cuda_checked", CSRC, cache() / "own" / name, target, [path], emulator=emulator_objects())
    return load("_cuda_checked", target, target.stem)


def offer(module: ModuleType, names: list[str]) -> None:
    """Let the backend `emulated` find these launchers in this module."""
    for name in names:
        emulated.own[name] = module


@contextlib.contextmanager
def checking(module: ModuleType, seed: int = 0) -> Iterator[None]:
    """Check every access of this module's kernels."""
    module.configure(seed=seed, check=True)
    try:
        yield
    finally:
        module.configure()
