"""The GPU through CuPy: what is missing where it cannot be used, memory, the stream, and the launchers of `_cuda`."""

import functools
import importlib
import shutil
import subprocess
import warnings
from types import ModuleType
from typing import Any

from ..dispatch import BackendError
from ..memory import Order, inverse_order
from . import modules

INSTALL = "pip install 'tinymed[cuda13]' (or cuda12 for older drivers)"
module: Any = None  # tinymed._cuda, or what a test puts in its place


@functools.cache
def why_not() -> str:
    """Why CuPy cannot use a GPU here, or nothing."""
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        return f"CuPy is not installed ({error}): {INSTALL}"
    if not cupy.cuda.is_available():
        return "CuPy sees no GPU: no NVIDIA driver, or no device (nvidia-smi tells which)"
    return ""


def load(kernels: bool) -> None:
    """Make the GPU usable, with the kernels of csrc/ if asked; BackendError says what is missing."""
    global module
    why = why_not()
    if not why and kernels and module is None:
        why = modules.why_not_built("_cuda")
        found = None if why else extension()
        why = why or unusable(found)
        module = None if why else found
    if why:
        raise BackendError(why)


def unusable(found: Any) -> str:
    """Why a compiled module cannot serve this GPU and this driver, or nothing; one kernel is launched to see."""
    if not found.device_count:
        return f"tinymed._cuda cannot use the GPU: {found.why_no_device}"
    import cupy

    runtime = cupy.cuda.runtime
    if number := runtime.getDevice():
        return f"CuPy's current device is GPU {number}; tinymed uses GPU 0 alone: CUDA_VISIBLE_DEVICES={number}"
    ours, theirs, driver = found.cuda_version // 1000, runtime.runtimeGetVersion() // 1000, runtime.driverGetVersion()
    if driver // 1000 < ours:
        return (
            f"tinymed._cuda was built for CUDA {ours}, the driver knows CUDA {driver // 1000}; build it with that nvcc"
        )
    if ours != theirs:
        warnings.warn(
            f"tinymed._cuda was built for CUDA {ours}, CuPy for CUDA {theirs}: both work side by side, in more memory; "
            "`tinymed build cuda` with CuPy's version makes them one",
            RuntimeWarning,
            stacklevel=2,
        )
    try:
        found.fill(stream(), cupy.empty(1, cupy.float32), (1,), 1.0)
    except RuntimeError as error:
        sm = cupy.cuda.Device().compute_capability
        return (
            f"tinymed._cuda has no code for this GPU (sm_{sm}): {error}; build it here, or with TINYMED_CUDA_ARCH={sm}"
        )
    return ""


def extension() -> ModuleType:
    """Return tinymed._cuda, which was built."""
    path = modules.find("_cuda")
    if path is None:
        raise BackendError(modules.why_not_built("_cuda"))
    return modules.load("_cuda", path)


def launch(name: str, args: tuple[Any, ...]) -> None:
    """Call a launcher on CuPy's current stream."""
    try:
        launcher = getattr(module, name)
    except AttributeError:
        raise BackendError(
            f"{name}: tinymed._cuda was built without it; `tinymed build cuda` without TINYMED_LADDERS=0 brings the "
            "kernels of the ladders too"
        ) from None
    launcher(stream(), *args)


def stream() -> int:
    """Return the address of CuPy's current stream."""
    import cupy

    return int(cupy.cuda.get_current_stream().ptr)


def empty(shape: tuple[int, ...], dtype: Any, order: Order | None = None) -> Any:
    """Return an uninitialised array on the GPU whose axes lie in `order` (C by default)."""
    import cupy

    if order is None:
        return cupy.empty(shape, dtype)
    return cupy.empty(tuple(shape[i] for i in order), dtype).transpose(inverse_order(order))


def describe() -> dict[str, str]:
    """Return the GPU, its driver and CuPy, and what uploads and captured steps need of them; or what is missing."""
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        return {"driver": driver(), "CuPy": f"absent ({error}): {INSTALL}"}
    found = {"driver": driver(), "CuPy": cupy.__version__}
    if why := why_not():
        return found | {"GPU": f"none: {why}"}
    try:
        properties, (_, memory) = cupy.cuda.runtime.getDeviceProperties(0), cupy.cuda.runtime.memGetInfo()
        found["CuPy"] += f", CUDA {cupy.cuda.runtime.runtimeGetVersion()}"
        name = properties["name"].decode()
        found["GPU"] = f"{name}, sm_{properties['major']}{properties['minor']}, {memory / 2**30:.0f} GiB"
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return found | {"GPU": f"cannot be used: {error}"}
    for what, attempt in (("pinned memory", lambda: cupy.cuda.alloc_pinned_memory(1)), ("graphs", lambda: graph(cupy))):
        try:
            attempt()
            found[what] = "available"
        except Exception as error:
            found[what] = f"absent: {error}"
    return found


def graph(cupy: Any) -> None:
    """Capture and launch a graph that clears a byte."""
    cleared, stream = cupy.zeros(1, cupy.uint8), cupy.cuda.Stream(non_blocking=True)
    stream.wait_event(cupy.cuda.get_current_stream().record())
    with stream:
        stream.begin_capture()
        try:
            cleared.fill(0)
        finally:
            captured = stream.end_capture()
        captured.launch()
    stream.synchronize()


def driver() -> str:
    """Return the driver's version as nvidia-smi states it, or that there is none."""
    smi = shutil.which("nvidia-smi")
    if smi is None:
        return "none: no nvidia-smi on PATH"
    asked = [smi, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=20)  # noqa: S603  found on PATH
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"nvidia-smi does not answer: {error}"
    said = (done.stdout if done.returncode == 0 else done.stdout + done.stderr).strip()
    return said.splitlines()[0] if said else "nvidia-smi says nothing"


def device_count() -> int:
    """Return the number of GPUs that CuPy can use."""
    import cupy

    return 0 if why_not() else int(cupy.cuda.runtime.getDeviceCount())


def synchronize() -> None:
    """Wait for the current stream."""
    import cupy

    cupy.cuda.get_current_stream().synchronize()
