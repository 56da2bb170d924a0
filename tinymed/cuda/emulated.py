"""The kernels of csrc/ on this processor: run, checked access by access, and profiled, without a GPU.

with checking():                       # races, bounds, uninitialised reads, barriers: KernelError names the line
    tinymed.relu(x)
with profiling() as counts:            # sectors per global request and bank conflicts, by line
    tinymed.relu(x)
for row in counts(): ...
"""

import contextlib
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from ..dispatch import BackendError
from ..memory import Order, dense_order, inverse_order
from . import modules, on_demand

ALIGNMENT = 256  # cudaMalloc's: sectors are then counted as on a GPU
module: Any = None  # what holds the launchers in use: _cuda_emulated, or _cuda_checked inside checking()
checked: Any = None  # what holds those that report every access
own: dict[str, Any] = {}  # launchers of users' files, and their modules


class KernelError(RuntimeError):
    """What the emulator or its checker found wrong with a kernel.

    kind: out-of-bounds, misaligned, read-only, uninitialised, race, unwritten, divergence, deadlock, stack or launch.
    file and line: the place in csrc/ that the message names first.
    """

    def __init__(self, message: str):
        super().__init__(message)
        self.kind = message.partition(":")[0]
        place = re.search(r"([\w.]+\.(?:cu|cuh|h)):(\d+)", message)
        self.file, self.line = (place[1], int(place[2])) if place else ("", 0)


class Row(NamedTuple):
    """What the accesses of one line of a kernel moved."""

    file: str
    line: int
    space: str  # global or shared
    access: str  # load or store
    requests: int  # by a warp
    moved: int  # 32-byte sectors of global memory, passes over the banks of shared memory
    ideal: int  # the least that the same bytes need
    lanes: int  # that took part, over all requests


def load() -> None:
    """Make the emulator usable; BackendError says why it is missing."""
    global module
    if module is None:
        module = opened("_cuda_emulated")


def opened(name: str) -> Any:
    """Return a module of csrc/: what was compiled beforehand, and what is compiled when it is first called."""
    path = modules.find(name)
    if path is not None:
        return on_demand.OnDemand(name, whole=modules.load(name, path))
    why = on_demand.why_not()
    if why:
        raise BackendError(f"tinymed.{name} was not built, and cannot be built when it is used: {why}")
    return on_demand.OnDemand(name)


def parts(library: Any) -> list[ModuleType]:
    """Return the compiled modules of what holds launchers: itself, or those of its files that are loaded."""
    return library.loaded() if isinstance(library, on_demand.OnDemand) else [library]


def launch(name: str, args: tuple[Any, ...]) -> None:
    """Call a launcher; what goes wrong in it is a KernelError with file and line."""
    part = own.get(name) or (module.part(name) if isinstance(module, on_demand.OnDemand) else module)
    try:
        getattr(part, name)(0, *args)
    except part.Fault as fault:
        raise KernelError(located(str(fault), str(part.__file__))) from None


def empty(shape: tuple[int, ...], dtype: Any, order: Order | None = None) -> np.ndarray:
    """Return an array full of NaN bytes, so that what no kernel wrote shows; aligned like cudaMalloc's."""
    stored = shape if order is None else tuple(shape[i] for i in order)
    count = int(np.prod(stored, dtype=np.int64)) * np.dtype(dtype).itemsize
    raw = np.full(count + ALIGNMENT, 0xFF, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    a: np.ndarray = raw[start : start + count].view(dtype).reshape(stored)
    return a if order is None else a.transpose(inverse_order(order))


def placed(a: Any) -> Any:
    """Return a copy of an array, in its memory order, where a GPU would put it; anything else as it is."""
    if not isinstance(a, np.ndarray):
        return a
    copied = empty(a.shape, a.dtype, dense_order(a))
    copied[...] = a
    return copied


@contextlib.contextmanager
def scheduled(seed: int) -> Iterator[None]:
    """Run threads and blocks in another order: 0 as numbered, 1 backwards, else shuffled."""
    load()
    module.configure(seed=seed)
    try:
        yield
    finally:
        module.configure()


@contextlib.contextmanager
def checking(seed: int = 0, blocks: int = 0) -> Iterator[None]:
    """Check every access of every kernel inside; blocks of each launch are profiled as well."""
    global module, checked
    load()
    if checked is None:
        checked = opened("_cuda_checked")
    before, module = module, checked
    module.configure(seed=seed, check=True, profile=blocks)
    try:
        yield
    finally:
        module.configure()
        module = before


@contextlib.contextmanager
def profiling(blocks: int = 8) -> Iterator[Callable[[], list[Row]]]:
    """Count the accesses of the first blocks of each launch inside; the function given returns them, by line."""
    with checking(blocks=blocks):
        counted = module
        rows(counted)  # what was counted before
        yield lambda: rows(counted)


@contextlib.contextmanager
def sampling(lines: bool = True) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Run a few blocks of each launch inside; the function given returns what they asked of memory, by launch.

    What the kernels write is incomplete.  What the numbers are is said in tinymed/cuda/timing.py.  lines: which lines
    asked is looked up too, which takes longer than to run small launches.
    """
    with checking():
        counted = module
        counted.configure(check=True, sample=True)
        yield lambda: sampled(counted, lines)


def sampled(counted: Any, lines: bool = True) -> list[dict[str, Any]]:
    """Return the launches since the last call, code as (file, line), or without what each line asked for."""
    found = []
    for part in parts(counted):
        for launch in json.loads(part.sampled()):
            found.append(with_lines(launch, str(part.__file__)) if lines else launch | {"rows": []})
    return found


def with_lines(launch: dict[str, Any], library: str) -> dict[str, Any]:
    """Return a sampled launch with the files and lines of its accesses in the place of their code."""
    places = lines([row[0] for row in launch["rows"]], library)
    return launch | {"rows": [[*place, *row[1:]] for place, row in zip(places, launch["rows"], strict=True)]}


def rows(counted: Any) -> list[Row]:
    """Return the profile since the last call, lines in order, several accesses of a line added up."""
    total: dict[tuple[str, int, str, str], list[int]] = {}
    for part in parts(counted):
        found = part.profile()
        places = lines([offset for offset, *_ in found], str(part.__file__))
        for (_, shared, write, *counts), (file, line) in zip(found, places, strict=True):
            key = (file, line, "shared" if shared else "global", "store" if write else "load")
            total[key] = [a + b for a, b in zip(total.get(key, [0] * 4), counts, strict=True)]
    return [Row(*key, *counts) for key, counts in sorted(total.items())]


def located(message: str, library: str) -> str:
    """Return the message with every "@0x12ab" replaced by the file and line of that code."""
    offsets = [int(o, 16) for o in re.findall(r"@0x([0-9a-f]+)", message)]
    places = iter(lines(offsets, library))
    return re.sub(r"@0x[0-9a-f]+", lambda _: "{}:{}".format(*next(places)), message)


def lines(offsets: list[int], library: str) -> list[tuple[str, int]]:
    """(file, line) of code at these offsets of a library: of the innermost call that is not the emulator's own."""
    if not offsets:
        return []
    command = ["addr2line", "-e", library, "-a", "-i", *map(hex, offsets)]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
    except (OSError, subprocess.CalledProcessError):  # binutils is missing: the offset is better than nothing
        return [(f"+{offset:#x}", 0) for offset in offsets]
    return [innermost(frames.split("\n")[1:]) for frames in said.split("\n0x") if frames]


def innermost(frames: list[str]) -> tuple[str, int]:
    """Return the first of addr2line's frames that lies outside csrc/emulator and csrc/emulate."""
    for frame in frames:
        path, _, line = frame.partition(" ")[0].rpartition(":")
        if path and not re.search("csrc/emulat(or|e)/", path) and line.isdigit():
            return Path(path).name, int(line)
    return "?", 0
