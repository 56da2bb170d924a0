"""Predicted times of the launches of a CUDA file, for `tinymed emulate FILE --predict GPU`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..report.tables import table
from .app import say

if TYPE_CHECKING:
    from ..cuda.emulate import Options, Report
    from ..cuda.gpus import GPU
    from ..cuda.machine_code import Kernel

HEADER = ("launch", "kernel", "predicted us", "bound by", "blocks a multiprocessor", "waves", "MB of memory")
INSTALL = "pip install nvidia-cuda-nvcc nvidia-cuda-nvdisasm brings both, no GPU is needed"


def file_code(file: Path, gpu: "GPU", options: "Options") -> "list[Kernel]":
    """Return the machine code of a file's kernels; UserError that says what to install where a tool is missing."""
    from ..cuda.build import Absent, Failed

    flags = [f"-I{folder}" for folder in (file.parent, *options.folders)] + [f"-D{name}" for name in options.defines]
    try:
        return compiled_code(file, gpu, flags)
    except Absent as reason:
        raise UserError(f"--predict needs the kernels' machine code: {reason}; {INSTALL}") from None
    except Failed as reason:
        raise UserError(f"--predict: {str(reason)[:2000]}") from None


def compiled_code(file: Path, gpu: "GPU", flags: list[str]) -> "list[Kernel]":
    """Return what nvcc makes of a file."""
    from ..cuda.machine_code import compiled

    return compiled(file, gpu.arch, flags)


def tell_predictions(kernels: "list[Kernel]", report: "Report", gpu: "GPU", as_json: bool) -> None:
    """Print the predicted time of each launch, and what kind of number it is."""
    from ..cuda.prediction import Unknown, predictions
    from ..cuda.timing import MISPLACED, doubt_text, error_text

    try:
        times = predictions(kernels, report.launches, gpu)
    except (Unknown, ValueError) as reason:
        raise UserError(f"--predict: {reason}") from None
    about = f"predicted: {error_text()}, on {gpu.name}; no GPU was asked"
    doubts = {t.kernel: doubt_text(t.misplaced) for t in times if t.misplaced > MISPLACED}
    if as_json:
        print(json.dumps({"gpu": gpu.name, "about": about, "launches": [asdict(t) for t in times]}, indent=1))
        return
    rows = [
        (
            str(i + 1),
            t.kernel,
            f"{1e6 * t.seconds:.1f}",
            t.bound,
            str(t.resident),
            f"{t.waves:.2f}",
            f"{t.dram_bytes / 1e6:.1f}",
        )
        for i, t in enumerate(times)
    ]
    print(table([HEADER, *rows], right=(2, 4, 5, 6)))
    say(about)
    for kernel, doubt in doubts.items():
        say(f"{kernel}: {doubt}")
