"""What a call from Python into a CUDA launcher costs before anything is launched, with arrays of the real CuPy.

    python benchmarks/bindings.py [--json FILE]

Needs nvcc, CuPy and no GPU: an array may lie over memory of the host (cupy.cuda.UnownedMemory), and a launcher that is
given no elements checks its arguments and launches nothing.  A module of a few files of csrc/ is compiled for sm_80.
The best of several runs counts, as other work of the machine only ever adds.
"""

import argparse
import json
import os
import platform
import tempfile
import time
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tinymed.cuda import build
from tinymed.cuda.modules import SUFFIX, load

SOURCES = ("activations.cu", "conv.cu", "optim.cu")
CALLS, RUNS = 20_000, 9


def compiled(folder: Path) -> Any:
    """Return the module `_cuda` of SOURCES."""
    os.environ["TINYMED_CUDA_ARCH"] = "80"
    target = folder / f"_cuda{SUFFIX}"
    build.build("_cuda", build.CSRC, folder, target, [build.CSRC / name for name in SOURCES])
    return load("_cuda", target)


def without_elements(*shape: int) -> Any:
    """Return an array of CuPy over the host's memory; one of its lengths is 0."""
    import cupy

    owner = np.zeros(256, np.uint8)
    memory = cupy.cuda.UnownedMemory(owner.ctypes.data, owner.nbytes, owner, 0)
    return cupy.ndarray(shape, np.float32, memptr=cupy.cuda.MemoryPointer(memory, 0))


def microseconds(call: Callable[[], Any]) -> float:
    """Return the time of a call, less that of a call of nothing."""

    def best(f: Callable[[], Any]) -> float:
        return min(timeit.repeat(f, timer=time.process_time, number=CALLS, repeat=RUNS))

    return (best(call) - best(lambda: None)) / CALLS * 1e6


def measured(module: Any) -> dict[str, dict[str, float]]:
    """Return the cost of each call, and how many arrays it has."""
    new = without_elements
    y, x, image, weight, bias = new(0, 4, 4, 8), new(0, 4, 4, 8), new(0, 8, 8, 4), new(3, 3, 4, 8), new(8)
    out, state = new(0, 8, 8, 8), [new(0) for _ in range(5)]
    two = ((8, 8), (1, 1), (1, 1), (1, 1))
    calls = {
        "relu_forward": (2, lambda: module.relu_forward(0, y, x)),
        "leaky_relu_backward": (3, lambda: module.leaky_relu_backward(0, y, x, x, 0.01)),
        "conv2d_gemm": (4, lambda: module.conv2d_gemm(0, out, image, weight, bias, *two, 1, 0)),
        "adam_step": (5, lambda: module.adam_step(0, *state, False)),
    }
    return {name: {"arrays": n, "us": round(microseconds(call), 2)} for name, (n, call) in calls.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where to write the results")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measured(compiled(Path(folder)))
    for name, row in found.items():
        print(f"{name:22} {row['arrays']:.0f} arrays {row['us']:6.2f} us, {row['us'] / row['arrays']:5.2f} an array")
    if given.json:
        import cupy

        about = {"python": platform.python_version(), "cupy": cupy.__version__, "calls": CALLS, "runs": RUNS}
        given.json.write_text(json.dumps(about | {"results": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
