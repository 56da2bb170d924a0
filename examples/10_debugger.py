"""One CUDA thread in a debugger, on a machine without a GPU.

    python examples/10_debugger.py                  a script of gdb's, and what it saw
    python examples/10_debugger.py --interactive    gdb, stopped in the kernel, for you

Teaches: what a thread of a tiled matrix product sees: its place in the grid, the tile that its block brought to shared
memory, its registers, its sums as they grow.  The emulator runs csrc/ladders/matmul_5_registers.cu, compiled for a
debugger; a CUDA thread is a stack of its own on the processor, so gdb's `next`, `print` and `info locals` mean what
they mean in any program.
"""

import argparse
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tinymed.cuda import build

KERNEL, SOURCE = "matmul_5_registers", "register_tile.cuh"
ROWS, COLUMNS, DEPTH = 80, 24, 40
TILE, STEP = 64, 16  # rows and columns of a block's tile, and the depth that it brings to shared memory at once
THREAD, BLOCK = 37, 1
Y, X = THREAD // 16 * 4, THREAD % 16 * 4  # where in the tile the thread's 4 x 4 sums begin


def operands() -> tuple[np.ndarray, np.ndarray]:
    """Small whole numbers, so that every sum is exact."""
    rng = np.random.default_rng(0)
    return tuple(rng.integers(-9, 10, shape).astype(np.float32) for shape in ((ROWS, DEPTH), (DEPTH, COLUMNS)))


def launch(library: str) -> None:
    """Do what runs inside gdb: load the module, launch its only kernel."""
    spec = importlib.util.spec_from_file_location("_cuda_emulated", library)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    a, b = operands()
    y = np.empty((ROWS, COLUMNS), np.float32)
    getattr(module, KERNEL)(0, y, a, b)
    assert np.array_equal(y, a @ b)


def script() -> list[str]:
    """gdb's commands: stop in one thread of one block, look, step, and go on to the end of the first step."""
    lines = (build.CSRC / "ladders" / SOURCE).read_text().splitlines()
    loaded = next(i for i, text in enumerate(lines, 1) if "float x[4] =" in text)
    done = next(i for i, text in enumerate(lines, 1) if i > loaded and "__syncthreads" in text)
    mine = f"if threadIdx.x == {THREAD} && blockIdx.x == {BLOCK}"
    return [
        "set pagination off",
        "set debuginfod enabled off",
        "set breakpoint pending on",
        "set print frame-arguments none",
        f"break {SOURCE}:{loaded} {mine}",
        "run",
        "print threadIdx",
        "print blockIdx",
        "print m0",
        "print ty",
        "print tx",
        "print sum",
        f"print as[0][{Y}]@4",
        "print a",
        "print b",  # what this thread has read from shared memory, in registers
        "next",
        "print x",
        "continue",
        "print k",
        "print sum",  # the next depth: 16 products are in the sums
        "delete",
        f"tbreak {SOURCE}:{done} {mine}",
        "continue",
        "print sum",  # all depths of the step
        "next",
        "print k0",  # over a barrier: the block's other threads run, then this one goes on
    ]


def value(said: str, number: int) -> np.ndarray:
    """Return the numbers that gdb printed as $number."""
    found = re.search(rf"^\${number} = (.*)$", said, re.MULTILINE)
    assert found, f"${number} is missing in\n{said}"
    return np.array(re.findall(r"-?\d+(?:\.\d+)?", re.sub(r"[xyzw] =", "", found[1])), np.float64)


def check(said: str) -> None:
    """gdb saw what NumPy says."""
    a, b = operands()
    rows, columns = a[TILE * BLOCK + Y :][:4], b[:, X : X + 4]
    assert value(said, 1)[0] == THREAD
    assert (value(said, 3), value(said, 4), value(said, 5)) == (TILE * BLOCK, Y, X)
    assert not value(said, 6).any()
    assert np.array_equal(value(said, 7), rows[:, 0])  # shared memory
    assert np.array_equal(value(said, 8), rows[:, 0])
    assert np.array_equal(value(said, 9), columns[0])
    assert value(said, 11) == 1
    assert np.array_equal(value(said, 12), np.outer(rows[:, 0], columns[0]).ravel())
    assert np.array_equal(value(said, 13), (rows[:, :STEP] @ columns[:STEP]).ravel())


def readable(said: str) -> str:
    """gdb's words without those about the process, and with what was asked for in place of $1, $2, ..."""
    asked = [command.removeprefix("print ") for command in script() if command.startswith("print ")]
    lines = [text for text in said.splitlines() if not text.startswith(("[", "Using host", "warning"))]
    return re.sub(r"^\$(\d+) =", lambda m: f"{asked[int(m[1]) - 1]:>12} =", "\n".join(lines), flags=re.MULTILINE)


def why_not() -> str:
    """Return what is missing here, or nothing."""
    try:
        build.find_gxx()
        build.includes()
    except build.Absent as reason:
        return str(reason)
    return "" if shutil.which("gdb") else "no gdb in PATH"


def debug(folder: Path, interactive: bool) -> str:
    """Compile the kernel for a debugger, run it in gdb; what gdb said."""
    library, commands = folder / "_cuda_emulated.so", folder / "commands"
    print("compiling one kernel and the emulator with -O0 -g ...", flush=True)
    source = build.CSRC / "ladders" / f"{KERNEL}.cu"
    build.build("_cuda_emulated", build.CSRC, folder, library, [source], ["-O0", "-g"])
    program = ["--args", sys.executable, __file__, "--launch", str(library)]
    steps = script()
    commands.write_text("\n".join(steps[: steps.index("run") + 1] if interactive else steps) + "\n")
    gdb = [
        "gdb",
        "-q",
        "-nx",
        "-iex",
        "set auto-load python-scripts off",
        *([] if interactive else ["-batch"]),
        "-x",
        str(commands),
        *program,
    ]
    if interactive:
        subprocess.run(gdb, check=False)  # noqa: S603  found in PATH
        return ""
    return subprocess.run(gdb, capture_output=True, text=True, timeout=200, check=False).stdout  # noqa: S603


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--interactive", action="store_true", help="leave gdb open in the kernel")
    parser.add_argument("--launch", help=argparse.SUPPRESS)
    o = parser.parse_args()
    if o.launch:
        return launch(o.launch)
    why = why_not()
    if why:
        return print(f"skipped: {why}")
    with tempfile.TemporaryDirectory() as folder:
        said = debug(Path(folder), o.interactive)
    if o.interactive:
        return None
    if "$1 = " not in said:  # a container may forbid it
        return print("skipped: gdb cannot stop a program here:", said.strip().splitlines()[-1:])
    print(readable(said))
    check(said)
    print(
        "\nLesson: a kernel is a program. gdb saw one thread's registers and its block's shared memory, as NumPy says."
    )
    return None


if __name__ == "__main__":
    main()
