"""What a GPU machine is: GPU, driver, clocks, versions, and the two ceilings as measured there.

python benchmarks/device_environment.py --out FILE [--backend emulated --quick]
"""

import importlib.metadata as metadata
import shutil
import subprocess
from typing import Any

from device_clock import arguments, saved
from peers import machine

ASK = (
    "name",
    "driver_version",
    "memory.total",
    "compute_cap",
    "pstate",
    "clocks.sm",
    "clocks.mem",
    "clocks.max.sm",
    "clocks.max.mem",
    "power.limit",
    "temperature.gpu",
)
TOOLS = {"nvcc": "--version", "compute-sanitizer": "--version", "ncu": "--version", "g++": "--version"}
PACKAGES = (
    "cupy-cuda12x",
    "cupy-cuda13x",
    "torch",
    "triton",
    "pybind11",
    "pytest",
    "pytest-xdist",
    "hypothesis",
    "numba",
    "pydantic",
    "typer",
    "rich",
    "pillow",
    "safetensors",
    "matplotlib",
)


def tool(name: str, option: str) -> str:
    """Return the line with a tool's version, or "missing"."""
    found = shutil.which(name)
    if not found:
        return "missing"
    said = subprocess.run([found, option], capture_output=True, text=True).stdout.splitlines()
    return next((line for line in said if "ersion" in line or "release" in line), said[0] if said else "no answer")


def version(package: str) -> str:
    """Of an installed package, or "absent"."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"


def smi() -> dict[str, str]:
    """Return what nvidia-smi says of the first GPU."""
    found = shutil.which("nvidia-smi")
    if not found:
        return {"nvidia-smi": "missing"}
    done = subprocess.run(
        [found, f"--query-gpu={','.join(ASK)}", "--format=csv,noheader"], capture_output=True, text=True
    )
    if done.returncode:
        return {"nvidia-smi": done.stdout.strip() or done.stderr.strip()}
    return dict(zip(ASK, map(str.strip, done.stdout.splitlines()[0].split(",")), strict=False))


def libraries() -> dict[str, Any]:
    """Return what PyTorch was built with, and how it is set in every comparison here."""
    try:
        import torch
    except ImportError as error:
        return {"torch": f"absent: {error}"}
    return {
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "layout": "channels_last",
        "cudnn.benchmark": True,
        "tf32": "allowed in convolutions and products, ours and PyTorch's",
    }


def main() -> None:
    o = arguments(__doc__)
    found: dict[str, Any] = {"gpu": smi(), "machine": machine(), "pytorch": libraries()}
    found["tools"] = {name: tool(name, option) for name, option in TOOLS.items()}
    found["packages"] = {name: version(name) for name in PACKAGES}
    saved(o, found)
    from tinymed.cuda import gpu

    found["GPU"] = gpu.describe()
    saved(o, found)
    print(found)


if __name__ == "__main__":
    main()
