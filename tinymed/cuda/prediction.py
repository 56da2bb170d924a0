"""From sampled launches and machine code to predicted times: which code a launch runs, and the tables that ship.

`tinymed ladder OP --predict GPU` has the machine code of its rungs in machine_code.json beside this file;
`tinymed emulate FILE --predict GPU` asks nvcc and nvdisasm for that of the file.
"""

import functools
import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from math import log
from pathlib import Path
from typing import Any

from .build import CSRC, run
from .gpus import GPU
from .machine_code import BasicBlock, Kernel
from .ptxas import Usage
from .timing import FITTED, Constants, Launch, Prediction, launch_of, predict

SHIPPED = Path(__file__).with_name("machine_code.json")
GENERATIONS = {"80": "80", "86": "80", "90": "90"}  # the tables of which a GPU's code is taken from


class Unknown(RuntimeError):
    """No machine code is known of a kernel that was launched."""


def predictions(
    kernels: Sequence[Kernel], samples: Iterable[dict[str, Any]], gpu: GPU, constants: Constants = FITTED
) -> list[Prediction]:
    """Return the predicted time of each launch.

    Args:
        kernels: The machine code of the file or rung.
        samples: Launches as emulated.sampling() or a report of emulate gives them.
        gpu: The GPU.
        constants: What was fitted.

    Raises:
        Unknown: A launch fits none of the kernels.
    """
    found = []
    for sample in samples:
        launch = launch_of(sample)
        found.append(predict(code_of(kernels, launch), launch, gpu, constants))
    return found


def code_of(kernels: Sequence[Kernel], launch: Launch) -> Kernel:
    """Return the kernel that a launch runs: of its name, of its arguments' types, and of what it accesses where."""
    name = kernel_name(launch.kernel)
    candidates = [k for k in kernels if re.search(rf"\d{name}(?![a-z_0-9])", k.name)] or [
        k for k in kernels if name in k.name
    ]
    if not candidates:
        raise Unknown(f"no machine code of the kernel {name}")
    other = mismatches([kernel.name for kernel in candidates], launch.types)
    return min(zip(other, candidates, strict=True), key=lambda one: (one[0], distance(one[1], launch)))[1]


def mismatches(kernels: Sequence[str], types: str) -> list[int]:
    """Return how many arguments of a launch are of another type than each kernel's parameter.

    Names and types are mangled; a pointer to what is constant counts as one to what is not, as arguments become that.
    """
    demangle = shutil.which("c++filt")
    if not types or len(kernels) < 2 or demangle is None:
        return [0] * len(kernels)
    said = run([demangle, f"_Z1f{types}", *kernels]).splitlines()
    given, *wanted = [  # the first one's parameter is a tuple of the types
        parameters(re.sub(r" const\b", "", line)) for line in said
    ]
    given = parameters(f"({given[0].removeprefix('std::tuple<')[:-1]})")
    return [sum(a != b for a, b in zip_longest(given, one)) for one in wanted]


def parameters(text: str) -> list[str]:
    """Return the types in the last parentheses of a demangled name.

    Example:
        >>> parameters("void k<float, (A)1>(A<int, 2>, float*)")
        ['A<int, 2>', 'float*']
    """
    depth, end, found = 0, len(text), list[str]()
    for i in range(len(text) - 1, -1, -1):
        closes = text[i] in ")>"
        depth += closes
        if text[i] == ")" and depth == 1:
            end = i
        if (text[i] == "," or text[i] == "(") and depth == 1:
            found.insert(0, text[i + 1 : end].strip())
            end = i
            if text[i] == "(":
                break
        depth -= text[i] in "(<"
    return [one for one in found if one]


def kernel_name(text: str) -> str:
    """Return the name of a kernel from the words of its launch.

    Example:
        >>> kernel_name("(ladder::warp_tile_kernel<P>)"), kernel_name("add<float, 4>")
        ('warp_tile_kernel', 'add')
    """
    words = re.findall(r"\w+", text.partition("<")[0])
    return str(words[-1]) if words else text


def distance(kernel: Kernel, launch: Launch) -> float:
    """Return how badly a kernel's accesses fit a launch: lines that only one of them has, and widths that differ."""
    widths: dict[Any, int] = {}
    for block in kernel.blocks:
        for key, width in block.bytes.items():
            widths[key] = min(width, widths.get(key, width))
    total = 0.0
    for file, line, shared, write, requests, moved in launch.rows:
        found = widths.get((file, line, shared, write))
        total += 8.0 if found is None else abs(log(max(1.0, found) / max(1.0, moved / requests)))
    return total


# ----------------------------------------------------------------------------------------------- tables that ship


def as_table(kernel: Kernel) -> list[Any]:
    """Return a kernel as plain lists, for JSON."""
    blocks = [
        [
            block.count,
            [[*key, n] for key, n in block.bytes.items()],
            [[*key, n] for key, n in block.places.items()],
            round(block.alone),
            [round(slack) for slack in block.slacks],
            list(block.loops),
        ]
        for block in kernel.blocks
    ]
    return [kernel.name, list(kernel.usage), blocks]


def from_table(table: Sequence[Any]) -> Kernel:
    """Return the kernel of such lists."""
    name, used, blocks = table
    made = [
        BasicBlock(
            count,
            {(file, line, bool(shared), bool(write)): n for file, line, shared, write, n in moved},
            {(file, line, bool(barrier)): n for file, line, barrier, n in places},
            float(alone),
            [float(slack) for slack in slacks],
            tuple(loops),
        )
        for count, moved, places, alone, slacks, loops in blocks
    ]
    return Kernel(name, Usage(*used), made)


def digest(source: str) -> str:
    """Return a short name for the text of a file of csrc/ and of all that it includes from there."""
    found: dict[Path, bytes] = {}
    waiting = [CSRC / source]
    while waiting:
        path = waiting.pop().resolve()
        if path in found or not path.is_file():
            continue
        found[path] = text = path.read_bytes()
        names = [name.decode() for name in re.findall(rb'#\s*include\s*"([^"]+)"', text)]
        waiting += [folder / name for name in names for folder in (path.parent, CSRC)]
    return hashlib.sha256(b"\0".join(found[path] for path in sorted(found))).hexdigest()[:12]


def tables() -> dict[str, Any]:
    """Return the tables that ship, by source: its digest, and by generation its kernels."""
    return read_tables(SHIPPED, SHIPPED.stat().st_mtime_ns) if SHIPPED.exists() else {}


@functools.lru_cache(1)
def read_tables(path: Path, written: int) -> dict[str, Any]:
    """Return what a file of tables holds; it is read anew once it was written anew."""
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))["files"]
    return found


def shipped(source: str, gpu: GPU) -> list[Kernel]:
    """Return the kernels of a file of csrc/ for a GPU, from the tables; none if these are of another text."""
    table = tables().get(source)
    if table is None or table["digest"] != digest(source):
        return []
    return [from_table(kernel) for kernel in table.get(GENERATIONS[gpu.arch], [])]
