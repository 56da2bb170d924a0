"""A fixture for tests of CUDA kernels without a GPU: `pytest_plugins = ["tinymed.cuda.pytest_plugin"]` in conftest.py.

def test_add(cuda_emulator):
    y = np.zeros(100, np.float32)
    cuda_emulator("my.cu", "add", 1, 128, cuda_emulator.Out(y), x, 100)      # raises KernelError for a race
    assert np.array_equal(y, x + x)
"""

from pathlib import Path
from typing import Any

import pytest

from . import build, kernel_call
from .emulate import Options


class CudaEmulator:
    """Runs kernels under the checker, in three orders of their threads, and asks for the same bytes each time.

    Args:
        folder: What relative file names start from.
    """

    Out = kernel_call.Out

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, file: str | Path, kernel: str, grid: Any, block: Any, *arguments: Any, shared: int = 0) -> None:
        """Run one kernel, as `tinymed.cuda.kernel_call.emulate` does; AssertionError if the order of threads shows."""
        before = [copied(a) for a in arguments]
        run(self.folder / file, kernel, grid, block, arguments, shared, 0)
        for seed in (1, 2):
            again = [copied(a) for a in before]
            run(self.folder / file, kernel, grid, block, again, shared, seed)
            for i, (ours, other) in enumerate(zip(arguments, again, strict=True), 1):
                a, b = (getattr(x, "array", x) for x in (ours, other))
                if hasattr(a, "tobytes") and a.tobytes() != b.tobytes():
                    raise AssertionError(f"{kernel}: argument {i} depends on the order of threads (seed {seed})")


def run(path: Path, kernel: str, grid: Any, block: Any, arguments: Any, shared: int, seed: int) -> None:
    """Run one kernel in one order of its threads."""
    options = Options(check=True, seed=seed)
    kernel_call.emulate(path, kernel, grid, block, *arguments, shared=shared, options=options)


def copied(argument: Any) -> Any:
    """Return a copy of an array, in its Out if it is in one; numbers as they are."""
    if isinstance(argument, kernel_call.Out):
        return kernel_call.Out(argument.array.copy())
    return argument.copy() if hasattr(argument, "copy") else argument


@pytest.fixture
def cuda_emulator(request: pytest.FixtureRequest) -> CudaEmulator:
    """Run CUDA kernels on the CPU, under the checker; files are found beside the test's.  Skips without a compiler."""
    try:
        build.find_gxx()
    except build.Absent as reason:
        pytest.skip(f"kernels cannot be compiled: {reason}")
    return CudaEmulator(request.path.parent)
