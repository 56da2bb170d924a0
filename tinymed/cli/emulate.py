"""`tinymed emulate FILE.cu`: anyone's CUDA program on this processor, checked and counted, without a GPU."""

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UserError
from ..report.tables import table
from .app import app, examples, say
from .predicting_files import file_code, tell_predictions
from .predicting_rungs import known_gpu

if TYPE_CHECKING:
    from ..cuda.emulate import Options, Report

WHOLE = 1 << 20  # blocks of a launch to count accesses in: all of them
DTYPES = {"f16", "f32", "f64", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64"}
CODES = """Exit codes: the program's own; 70 a fault was found; 71 it needs what is not supported; 72 it hangs;
2 wrong input, no compiler, or a file that does not compile; 130 interrupted."""


@app.command(
    epilog=examples(
        "tinymed emulate my.cu",
        "tinymed emulate my.cu --check",
        "tinymed emulate my.cu --check --seed 3 -- 1024 --verbose",
        "tinymed emulate my.cu --profile --json",
        "tinymed emulate my.cu --predict a100",
        "tinymed emulate my.cu --check --kernel add --grid 4 --block 256 --arg out:f32:1024 --arg in:f32:1024",
    )
    + f"\n\n{CODES}"
)
def emulate(
    file: Annotated[Path, typer.Argument(help="A CUDA file, as nvcc takes it.")],
    arguments: Annotated[list[str] | None, typer.Argument(help="For its main; put -- before options.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Watch every access: races, bounds, uninitialised reads.")
    ] = False,
    profile: Annotated[
        bool, typer.Option("--profile", help="Count sectors and bank conflicts by line; checks, too.")
    ] = False,
    seed: Annotated[
        int, typer.Option(min=0, help="The order of threads: 0 as numbered, 1 backwards, else shuffled.")
    ] = 0,
    arch: Annotated[int, typer.Option(help="Compute capability whose limits hold, 80 for 8.0.")] = 80,
    patience: Annotated[float, typer.Option(min=0.1, help="Seconds that a kernel may wait without any progress.")] = 10,
    include: Annotated[list[Path] | None, typer.Option("-I", help="A folder of headers.")] = None,
    define: Annotated[list[str] | None, typer.Option("-D", help="A macro, NAME or NAME=VALUE.")] = None,
    kernel: Annotated[str, typer.Option("--kernel", help="Run this kernel alone, on the arrays of --arg.")] = "",
    grid: Annotated[str, typer.Option(help="Blocks for --kernel: 4 or 4,2.")] = "1",
    block: Annotated[str, typer.Option(help="Threads of a block for --kernel: 256 or 16,16.")] = "1",
    shared: Annotated[int, typer.Option(min=0, help="Bytes of dynamic shared memory for --kernel.")] = 0,
    arg: Annotated[
        list[str] | None, typer.Option(help="in:f32:1024 (0, 1, 2, ...), out:f32:1024, or a number.")
    ] = None,
    predict: Annotated[
        str, typer.Option(help="Predict the time of each launch on a GPU: a100, h100, ...; a few blocks of it run.")
    ] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON, after the program's output.")
    ] = False,
) -> int:
    """Run a CUDA file on this processor: no GPU, no nvcc; its faults with file and line. Needs g++."""
    from ..cuda.build import Absent, Failed
    from ..cuda.emulate import ARCHITECTURES, Options, Refused

    if arch not in ARCHITECTURES:
        raise UserError(f"--arch {arch}: choose one of {', '.join(map(str, ARCHITECTURES))}")
    blocks = WHOLE if profile else 0
    gpu = known_gpu(predict) if predict else None
    if gpu is not None and (check or profile or seed):
        raise UserError("--predict runs a few blocks of each launch: leave out --check, --profile and --seed")
    arch = int(gpu.arch) if gpu is not None else arch
    folders = tuple(include or ())
    options = Options(check, blocks, seed, arch, patience, folders, tuple(define or ()), sample=gpu is not None)
    code = file_code(file, gpu, options) if gpu is not None else []
    sys.stdout.flush()
    try:
        if kernel:
            report = run_kernel(file, kernel, (grid, block, shared), arg or [], options)
        else:
            report = run_main(file, options, arguments or [])
    except Absent as reason:
        raise UserError(f"emulate needs a C++ compiler: {reason}") from None
    except Failed as reason:
        raise UserError(str(reason)) from None
    except Refused as reason:
        report = refused(reason)
    if gpu is not None and not report.code:
        tell_predictions(code, report, gpu, as_json)
        return report.code
    tell(report, as_json, profile)
    return report.code


def refused(reason: Exception) -> "Report":
    """Return the report on a file that needs what is not supported."""
    from ..cuda.emulate import REFUSED, Report

    return Report(REFUSED, str(reason), (), ())


def run_main(file: Path, options: "Options", arguments: list[str]) -> "Report":
    """Run a file's own main."""
    from ..cuda.emulate import run

    return run(file, options, arguments)


def run_kernel(file: Path, kernel: str, launch: tuple[str, str, int], given: list[str], options: "Options") -> "Report":
    """Run one kernel on arrays described by words, and print what is in them afterwards."""
    from ..cuda.emulate import FAULT, HUNG, Report
    from ..cuda.emulated import KernelError
    from ..cuda.kernel_call import Out, emulate

    arguments = [described(word) for word in given]
    grid, block, shared = launch
    try:
        report = emulate(
            file, kernel, numbers(grid, "grid"), numbers(block, "block"), *arguments, shared=shared, options=options
        )
    except KernelError as fault:
        return Report(HUNG if fault.kind in ("hang", "deadlock") else FAULT, str(fault), (), ())
    for i, argument in enumerate(arguments):
        if isinstance(argument, Out):
            print(f"argument {i + 1}: {summary(argument.array)}")
    return report


def numbers(text: str, what: str) -> list[int]:
    """Return "16,16" as numbers."""
    if not re.fullmatch(r"\d+([,x]\d+){0,2}", text):
        raise UserError(f"--{what} {text}: give one to three numbers, as in 16,16")
    return [int(n) for n in re.split("[,x]", text)]


def described(word: str) -> Any:
    """Return the argument that a word describes: an array or a number."""
    import numpy as np

    from ..cuda.kernel_call import Out

    match = re.fullmatch(r"(in|out|inout):([fiu]\d+):(\d+)", word)
    if match and match[2] in DTYPES:
        kind, count = match[2][0] + str(int(match[2][1:]) // 8), int(match[3])
        values = np.arange(count).astype(kind)
        return Out(np.zeros(count, kind)) if match[1] == "out" else values
    try:
        return int(word) if re.fullmatch(r"[-+]?\d+", word) else float(word)
    except ValueError:
        raise UserError(
            f"--arg {word}: give in:f32:1024, out:f32:1024 or a number; types: {', '.join(sorted(DTYPES))}"
        ) from None


def summary(array: Any) -> str:
    """Return the first numbers of an array."""
    shown = " ".join(f"{v:g}" for v in array[:8])
    return f"{shown}{' ...' if array.size > 8 else ''}  ({array.size} of {array.dtype})"


# --------------------------------------------------------------------------------------------------------- telling


def tell(report: "Report", as_json: bool, profile: bool) -> None:
    """Print what was found: on stderr, so that the program's output stays its own; as JSON or counters on stdout."""
    if as_json:
        fault = report.fault
        where = {} if fault is None else {"kind": fault.kind, "file": fault.file, "line": fault.line}
        rows = [row._asdict() for row in report.rows]
        found = {"code": report.code, "what": report.what, **where, "notes": report.notes, "rows": rows}
        print(json.dumps(found, indent=1))
        return
    if profile and report.rows:
        print(table([HEADER, *(cells(row) for row in report.rows)], right=tuple(range(3, 8))))
    for note in report.notes:
        say(f"note: {note}")
    if report.what:
        say(report.what)


HEADER = ("line", "memory", "access", "requests", "lanes", "moved", "of the least", "a request")


def cells(row: Any) -> tuple[str, ...]:
    """Return a line of the counters: sectors of 32 bytes of global memory, passes over the banks of shared memory."""
    return (
        f"{row.file}:{row.line}",
        row.space,
        row.access,
        str(row.requests),
        str(row.lanes),
        str(row.moved),
        f"{row.moved / row.ideal:.2f}" if row.ideal else "-",
        f"{row.moved / row.requests:.2f}" if row.requests else "-",
    )
