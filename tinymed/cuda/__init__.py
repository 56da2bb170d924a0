"""The `cupy`, `cuda` and `emulated` backends: csrc's kernels on a GPU, or on this processor.  Imported at first use.

Each family declares what its file in csrc/ offers; the body of such a kernel is the launcher of that name:

    @kernel(backend="csrc", flat="y x")        csrc/activations.cu: void relu_forward(Out<float> y, In<float> x, ...)
    def relu_forward(y, x): ...

`cupy` has no kernels of its own: the references run on CuPy.  `cuda` and `emulated` share theirs.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from . import emulated, families, gpu

Kernel = Callable[..., None]


def allocator(name: str) -> Callable[..., Any]:
    """Return the allocator of a backend's arrays; BackendError says what is missing if the backend cannot work here."""
    if name == "emulated":
        emulated.load()
        return emulated.empty
    gpu.load(kernels=name == "cuda")
    return gpu.empty


def compile_kernel(fn: Callable[..., Any], parallel: bool = True) -> Kernel:
    """Return the launcher of this name: in the emulator for NumPy's arrays, on the GPU for others."""
    name = fn.__name__

    def launch(*args: Any) -> None:
        if isinstance(args[0], np.ndarray):
            emulated.launch(name, args)
        else:
            gpu.launch(name, args)

    return launch


def is_available() -> bool:
    """Return whether there is a GPU that CuPy can use."""
    return not gpu.why_not()


def device_count() -> int:
    """Return the number of GPUs that CuPy can use."""
    return gpu.device_count()


def synchronize() -> None:
    """Wait until the GPU has done everything it was given on the current stream."""
    gpu.synchronize()


__all__ = ["allocator", "compile_kernel", "device_count", "families", "is_available", "synchronize"]
