"""`tinymed doctor`: what this machine offers, and what is missing and why."""

import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any

import typer

from .app import app, examples
from .fix_hints import contents

PACKAGES = (
    "numpy",
    "numba",
    "llvmlite",
    "pillow",
    "safetensors",
    "typer",
    "rich",
    "pydantic",
    "matplotlib",
    "nibabel",
    "cupy-cuda12x",
    "cupy-cuda13x",
)
FEATURES = ("sse4.2", "avx", "avx2", "fma", "avx512f", "avx512vl", "avx512bw", "avx512bf16", "amx-bf16", "neon", "sve")
SETTINGS = (
    "TINYMED_BACKEND",
    "TINYMED_CACHE",
    "TINYMED_DEBUG",
    "TINYMED_ISA",
    "TINYMED_PRECISION",
    "TINYMED_STRICT",
    "TINYMED_VALIDATE",
    "NUMBA_NUM_THREADS",
    "NUMBA_THREADING_LAYER",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "OPENBLAS_CORETYPE",
)


@app.command(epilog=examples("tinymed doctor", "tinymed doctor --fix-hints", "tinymed doctor --json"))
def doctor(
    fix_hints: Annotated[
        bool, typer.Option("--fix-hints", help="Show only what is missing or slow, and the command that mends it.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Show versions, processor, threads, BLAS, backends (absent ones with the reason) and the kernel cache."""
    if fix_hints:
        from .fix_hints import hints

        missing = hints()
        if as_json:
            print(json.dumps([hint._asdict() for hint in missing]))
        else:
            print("\n".join(f"{hint.seen}\n    {hint.mend}" for hint in missing) or "nothing to mend")
        return
    found = examine()
    if as_json:
        print(json.dumps(found))
        return
    from ..report.tables import table

    for section, content in found.items():
        rows = [(f"  {name}", str(value)) for name, value in content.items()]
        print(f"{section}\n{table(rows, right=()) if rows else '  -'}")


def examine() -> dict[str, dict[str, Any]]:
    """Everything the command shows, by section."""
    return {
        "versions": versions(),
        "processor": processor(),
        "threads": threads(),
        "BLAS": blas(),
        "backends": backends(),
        "GPU": gpu(),
        "CUDA build": cuda_build(),
        "kernel cache": kernel_cache(),
        "checks": checks(),
        "settings": {name: os.environ[name] for name in SETTINGS if name in os.environ},
    }


def versions() -> dict[str, str]:
    """Of tinymed, Python and the packages, or "absent"."""
    from .. import __version__

    result = {"tinymed": __version__, "python": platform.python_version(), "system": platform.platform()}
    for name in PACKAGES:
        try:
            result[name] = version(name)
        except PackageNotFoundError:
            result[name] = "absent"
    return result


def processor() -> dict[str, str]:
    """Return name, vector instructions, as LLVM sees them, and what multiplies bfloat16: kernels use these."""
    try:
        from llvmlite import binding
    except ImportError as error:
        return {"name": platform.processor() or platform.machine(), "vector": f"unknown ({error})"}
    have = binding.get_host_cpu_features()
    vector = [name for name in FEATURES if have.get(name)]
    name = f"{binding.get_host_cpu_name()} ({platform.machine()})"
    from ..cpu.compiler import isa

    return {"name": name, "vector": " ".join(vector) or "none listed", "bf16": isa.describe()}


def threads() -> dict[str, Any]:
    """Processors there are, those this process may use, Numba's threads, whose they are and how they wait."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    result: dict[str, Any] = {"processors": os.cpu_count(), "usable": usable}
    try:
        import numba

        from ..cpu.compiler import pool

        result["numba"] = numba.get_num_threads()
        result["layer"], result["wait"] = pool.describe()
    except ImportError as error:
        result["numba"] = f"absent ({error})"
    return result


def blas() -> dict[str, str]:
    """Return the library NumPy multiplies matrices with; only the numpy backend uses it."""
    import numpy as np

    config: Any = np.show_config(mode="dicts")
    found = config.get("Build Dependencies", {}).get("blas", {})
    return {"name": str(found.get("name", "unknown")), "version": str(found.get("version", "unknown"))}


def backends() -> dict[str, str]:
    """Return of each backend how many kernels it has and who serves the others, or why it is absent."""
    from .. import dispatch, ops  # noqa: F401  (ops declares the kernels)

    result = {}
    for name, entry in dispatch.BACKENDS.items():
        if why := dispatch.absence(name):
            result[name] = f"absent: {why}"
            continue
        first, *rest = entry.chain
        own = sum(1 for where, _ in dispatch.implementations if where == first)
        default = ", the default" if name == dispatch.declare.DEFAULT else ""
        result[name] = f"present, {own} kernels of {first}{''.join(f', else {b}' for b in rest)}{default}"
    return result


def checks() -> dict[str, str]:
    """Return what watches every kernel call of this process, or how to switch it on."""
    validate = os.environ.get("TINYMED_VALIDATE") or "off; reference"
    off = {
        "TINYMED_DEBUG": "off; 1 writes one line for each kernel call, 2 also what is saved, nan finds the first NaN",
        "TINYMED_STRICT": "off; 1 raises where a kernel on the native list falls back",
    }
    said = "replays each kernel in float64 and stops where one disagrees; at the end it says how many agreed"
    return {name: os.environ.get(name) or text for name, text in off.items()} | {
        "TINYMED_VALIDATE": f"{validate} {said}"
    }


def gpu() -> dict[str, str]:
    """Return the driver, the GPU and CuPy, pinned memory and graphs, or what is missing."""
    from ..cuda import gpu

    return gpu.describe()


def cuda_build() -> dict[str, str]:
    """Return the modules of csrc/, or why one is missing; the tools' messages follow where a source was refused."""
    from ..cuda import build, modules, on_demand

    found, record = {}, modules.record()
    for name in build.MODULES:
        why, note = modules.why_not_built(name), record.get(name, {})
        if why and name != "_cuda" and not on_demand.why_not():
            why = "each file is compiled when it is first used; `tinymed build emulated` compiles all"
        said = "" if note.get("built", True) else str(note["log"]).strip()
        found[name] = (why or "built") + (f"\n{said}" if said else "")
    return found


def kernel_cache() -> dict[str, str]:
    """Return where compiled kernels lie, and how much room they take."""
    try:
        from ..cpu.compiler.cache import cache_directory
    except ImportError as error:
        return {"path": f"none ({error})"}
    folder = cache_directory()
    if folder is None:
        return {"path": "none that can be written, so each process compiles anew; TINYMED_CACHE names another"}
    count, size = contents(folder)
    found = {"path": str(folder), "size": f"{size:.1f} MiB in {count} files"}
    if not count:
        found["size"] = "empty: the first step of a network compiles its kernels, or tinymed warmup does"
    others = [path for path in folder.parent.glob("*") if path.is_dir() and path != folder]
    if others:  # of other versions of tinymed, Numba or Python: never loaded
        older = sum(contents(path)[1] for path in others)
        found["other versions"] = f"{older:.1f} MiB in {len(others)} folders beside it, which may be deleted"
    return found
