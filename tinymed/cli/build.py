"""`tinymed build`: compile csrc/ for a GPU, or all of it for the emulator, into the user's cache."""

import os
import sys
import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from ..errors import UserError
from .app import FAILED, app, examples, say

WHAT = {  # modules of csrc/ by what is asked for
    "cuda": ("_cuda",),
    "emulated": ("_cuda_emulated", "_cuda_checked"),
}


@app.command(
    epilog=examples("tinymed build cuda", "TINYMED_CUDA_ARCH=90a tinymed build cuda", "tinymed build emulated")
)
def build(
    what: Annotated[
        Literal["cuda", "emulated"], typer.Argument(help="cuda: for the GPU, with nvcc. emulated: with g++.")
    ],
) -> None:
    """Compile the CUDA kernels: for the GPU with nvcc, or all of them for the emulator, which else compiles on demand.

    Installing compiles none of them.  What is compiled lies in the user's cache (TINYMED_CACHE) and serves until the
    kernels change.
    """
    from ..cuda import build as compiler
    from ..cuda import modules

    try:
        folder = modules.own_folder()
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:
        raise UserError(f"build: there is no folder to keep modules in ({error}); TINYMED_CACHE names one") from None
    try:
        say(described(what, folder))
        started = time.perf_counter()
        for module in WHAT[what]:
            target = folder / f"{module}{modules.SUFFIX}"
            compiler.build(module, compiler.CSRC, folder, target, done=Progress(module))
            print(f"{module}: {target.stat().st_size / 2**20:.1f} MiB in {target}")
    except compiler.Absent as error:
        raise UserError(f"build {what}: {error}") from None
    except compiler.Failed as error:
        say(f"tinymed: {error}")
        raise typer.Exit(FAILED) from None
    say(f"built in {time.perf_counter() - started:.0f} s; `tinymed doctor` shows what is there")


def described(what: str, folder: Path) -> str:
    """Say what will be done, before it takes its minutes."""
    from ..cuda import build

    count, cores = len(build.kernels(build.CSRC)), os.cpu_count() or 1
    if what == "cuda":
        count = len(build.of_a_gpu(build.CSRC))
        nvcc, targets = build.find_nvcc(), ", ".join(f"sm_{name}" for name in build.architectures())
        return f"compiling {count} files with {nvcc} for {targets}, on {cores} cores, into {folder}"
    return f"compiling {count} files twice, plain and checked, with {build.find_gxx()}, on {cores} cores, into {folder}"


class Progress:
    """Tells of each source that is compiled, with the seconds since the beginning."""

    def __init__(self, module: str):
        self.module, self.started, self.count = module, time.perf_counter(), 0

    def __call__(self, source: str) -> None:
        """Say that a source is compiled."""
        self.count += 1
        print(
            f"  {self.module} {self.count:3d} {source} ({time.perf_counter() - self.started:.0f} s)",
            file=sys.stderr,
            flush=True,
        )
