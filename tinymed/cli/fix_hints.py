"""What `tinymed doctor --fix-hints` says: what is missing or slow on this machine, with the commands that mend it."""

import os
import shlex
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from ..dispatch import tables
from ..errors import UserError

# Packages of the extras, each with what works once it is there.
EXTRAS = {
    "medical": ("nibabel", "NIfTI volumes"),
    "onnx": ("onnx", "`tinymed export`"),
    "baselines": ("scikit-learn", "classical classifiers in `tinymed compare`"),
    "emulator": ("pybind11", "CUDA kernels on the CPU: `tinymed puzzle`, `tinymed emulate`"),
    "tensorboard": ("tensorboard", "`tinymed train --tensorboard`"),
}
LEAST_ROOM = 2.0  # GiB that runs and compiled kernels should find


class Hint(NamedTuple):
    """One thing to mend."""

    seen: str
    mend: str


def hints() -> list[Hint]:
    """Return what could be mended here, what hinders first."""
    first = [*of_backend(), *of_cache(), *of_room(), *of_threads()]
    return [*first, *of_compiler(), *of_gpu(), *of_packages(), *of_settings()]


def of_backend() -> Iterator[Hint]:
    """Yield a hint where TINYMED_BACKEND names no backend, or one that cannot work here: no command computes then."""
    try:
        tables.check_environment()
    except UserError as error:
        yield Hint(error.message, f"unset {tables.VARIABLE}")


def of_cache() -> Iterator[Hint]:
    """Yield a hint where kernels are compiled anew in each process, or have not been compiled yet."""
    from ..cpu.compiler.cache import cache_directory

    folder = cache_directory()
    if folder is None:
        yield Hint("no folder for compiled kernels: each process compiles anew", "export TINYMED_CACHE=FOLDER")
    elif not contents(folder)[0]:
        yield Hint(f"no kernel is compiled yet ({folder}): the first step takes longest", "tinymed warmup")
    else:
        others = [path for path in folder.parent.glob("*") if path.is_dir() and path != folder]
        if others:
            size = sum(contents(path)[1] for path in others)
            rest = ["-mindepth", "1", "-maxdepth", "1", "!", "-name", folder.name, "-exec", "rm", "-r", "{}", "+"]
            yield Hint(f"{size:.0f} MiB of kernels of other versions", shlex.join(["find", str(folder.parent), *rest]))


def of_room() -> Iterator[Hint]:
    """Yield a hint where the disk is nearly full."""
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    if free < LEAST_ROOM:
        yield Hint(
            f"{free:.1f} GiB are free here, and a run takes some", "make room, or train with --out ELSEWHERE/run"
        )


def of_threads() -> Iterator[Hint]:
    """Yield a hint where fewer processors are used than may be, or more threads than there are."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = os.environ.get("NUMBA_NUM_THREADS", "")
    if wanted.isdigit() and int(wanted) < usable:
        yield Hint(f"NUMBA_NUM_THREADS={wanted}, and {usable} processors may be used", "unset NUMBA_NUM_THREADS")
    if hasattr(os, "getloadavg") and os.getloadavg()[0] > 2 * usable:
        yield Hint(
            f"{os.getloadavg()[0]:.0f} processes want {usable} processors: times will be long",
            "export OMP_WAIT_POLICY=passive, or train when the machine is idle",
        )


def of_compiler() -> Iterator[Hint]:
    """Yield a hint where CUDA kernels cannot be compiled for the CPU."""
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        yield Hint("no C++ compiler: CUDA kernels cannot run on the CPU (lessons only)", "apt-get install g++")


def of_gpu() -> Iterator[Hint]:
    """Yield a hint where there is a GPU that is not used."""
    from .. import dispatch

    if shutil.which("nvidia-smi") is not None and dispatch.absence("cuda"):
        reason = dispatch.absence("cuda")
        yield Hint(
            f"a GPU's driver is there, and the backend cuda is absent: {reason}",
            "pip install 'tinymed[cuda12]' (or cuda13, by `nvidia-smi`), then tinymed build cuda",
        )


def of_packages() -> Iterator[Hint]:
    """Yield a hint for each extra that is not installed."""
    for extra, (package, use) in EXTRAS.items():
        try:
            version(package)
        except PackageNotFoundError:
            yield Hint(f"{package} is not installed: needed for {use}", f"pip install 'tinymed[{extra}]'")


def of_settings() -> Iterator[Hint]:
    """Yield a hint for each setting that slows every kernel call."""
    for name in ("TINYMED_VALIDATE", "TINYMED_DEBUG"):
        if os.environ.get(name, "0") not in ("", "0", "off"):
            yield Hint(f"{name}={os.environ[name]}: each kernel call is watched, which takes time", f"unset {name}")


def contents(folder: Path) -> tuple[int, float]:
    """Return the number of files in a folder and below, and their MiB."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()] if folder.exists() else []
    return len(sizes), sum(sizes) / 2**20
