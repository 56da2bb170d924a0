"""`tinymed check OP`: gradients, backends and PyTorch, over samples that the op itself draws."""

import functools
import importlib.util
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from .. import check as checks
from ..dispatch import BACKENDS, REFERENCE, absence, implementations, record, use_backend
from ..draw import Draw
from ..errors import UserError
from ..precision import FLOAT32, use_precision
from ..tape import Op
from .app import FAILED, Computing, app, examples
from .ops import find
from .puzzle import compiler_errors

Counts = dict[str, tuple[int, int]]  # kernel -> (native, fallback) calls


@app.command(
    cls=Computing,
    epilog=examples("tinymed check leaky_relu", "tinymed check my_op.py --samples 50", "tinymed check Conv --seed 3"),
)
def check(
    op: Annotated[str, typer.Argument(help="An op, a function of tinymed.nn.functional, or a file that declares ops.")],
    samples: Annotated[int, typer.Option(min=1, help="How many samples the op draws.")] = 20,
    seed: Annotated[int | None, typer.Option(min=0, help="Only this sample: repeats a failure.")] = None,
) -> None:
    """Check an op: gradient by finite differences, every backend, PyTorch where installed; a .cu beside it, races."""
    failures, seeds = 0, range(samples) if seed is None else [seed]
    ops, kernels = find(op), Path(op).with_suffix(".cu")
    beside = op.endswith(".py") and kernels.is_file()
    module = bound_kernels(kernels, print) if beside else None
    for one in ops:
        print(one.__name__)
        failures += check_op(one, seeds, print)
        if module is not None:
            race = functools.partial(races, one, module)
            failures += one_check(one, f"{kernels.name} under the race checker", race, seeds, print)
    if beside and module is None:
        failures += check_program(kernels, print)
    if failures:
        raise typer.Exit(FAILED)


def bound_kernels(path: Path, write: Callable[[str], Any]) -> Any:
    """Return the launchers of the .cu file beside an op's, offered to the backend `emulated`; None if it binds none."""
    from ..cuda.build import Absent, Failed
    from ..cuda.own_kernels import bound, checked_module, offer

    names = bound(path)
    if not names:
        return None
    if why := absence("emulated"):
        write(f"  skipped  {path.name}: {why}")
        return None
    try:
        module = checked_module(path)
    except Absent as reason:
        raise UserError(f"{path.name} needs a compiler: {reason}") from None
    except Failed as reason:
        raise UserError("; ".join(compiler_errors(str(reason)))) from None
    offer(module, names)
    return module


def races(op: type[Op], module: Any, args: tuple[Any, ...], seed: int) -> str:
    """Run forward and backward of one sample with every access of the user's kernels watched."""
    from ..cuda.own_kernels import checking

    with use_backend("emulated"), checking(module):
        checks.results(op.apply, args, np.float32, seed)
    return ""


def check_program(path: Path, write: Callable[[str], Any]) -> int:
    """Run the main of a CUDA file that binds no launcher under the race checker; return the number of failures."""
    from ..cuda.build import Absent, Failed
    from ..cuda.emulate import Options, run

    if not re.search(r"\bmain\s*\(", path.read_text("utf-8", errors="replace")):
        raise UserError(f"{path}: it neither binds a launcher (BIND) nor has a main that could be run")
    try:
        report = run(path, Options(check=True))
    except (Absent, Failed) as reason:
        raise UserError(str(reason)) from None
    if report.code:
        write(f"  FAILED   {path.name} under the race checker: {report.what or f'exit code {report.code}'}")
        write(f"           repeat: tinymed emulate {path} --check")
        return 1
    write(f"  passed   {path.name} under the race checker")
    return 0


def check_op(op: type[Op], seeds: Sequence[int], write: Callable[[str], Any]) -> int:
    """Check one op on each sample; write a line a check; return the number of failures."""
    kinds: list[tuple[str, Callable[[tuple[Any, ...], int], str]]] = []
    if op.backward is not None:
        kinds.append(("gradient, finite differences", functools.partial(gradient, op)))
    for name in BACKENDS:
        if why := absence(name):
            write(f"  skipped  {name}: {why}")
        else:
            kinds += [(f"{name} against float64, {p}", functools.partial(backends, op, name, p)) for p in FLOAT32]
    if op.oracle is None:
        write(f"  skipped  PyTorch: {op.oracle_reason}")
    elif importlib.util.find_spec("torch") is None:
        write("  skipped  PyTorch is not installed: pip install torch")
    else:
        kinds.append(("PyTorch, forward and gradients", functools.partial(oracle, op)))
    failures = 0
    for title, run in kinds:
        failures += one_check(op, title, run, seeds, write)
    return failures


def one_check(
    op: type[Op],
    title: str,
    run: Callable[[tuple[Any, ...], int], str],
    seeds: Sequence[int],
    write: Callable[[str], Any],
) -> int:
    """Run one kind of check over the samples; the first failure is written with the command that repeats it."""
    last, done = "", 0
    for seed in seeds:
        args = op.samples(Draw(seed))
        try:
            last = run(args, seed)
            done += 1
        except Exception as e:
            write(f"  FAILED   {title}: sample {seed}: {type(e).__name__}: {e}")
            write(f"           repeat: tinymed check {where(op)} --seed {seed}")
            return 1
    write(f"  passed   {title}: {done} samples{last}")
    return 0


def where(op: type[Op]) -> str:
    """Return what `tinymed check` finds the op by: its name, or the file of a user's own."""
    own = op.__module__.startswith("tinymed_user_")
    return str(getattr(sys.modules[op.__module__], "__file__", op.__name__)) if own else op.__name__


def gradient(op: type[Op], args: tuple[Any, ...], seed: int) -> str:
    """Finite differences on the reference; samples without elements have nothing to check."""
    if not any(isinstance(a, np.ndarray) and a.size == 0 for a in args):
        with use_backend("numpy"):
            checks.gradcheck(op.apply, args, seed=seed)
    return ""


def backends(op: type[Op], name: str, precision: str, args: tuple[Any, ...], seed: int) -> str:
    """Compare float32 on one backend, in one precision, with the float64 reference; return what fell back, and why.

    `exact` is held to the op's tolerance; `tf32` too, unless it computes other numbers: then to what its rounding
    allows, see `check.tf32_bound`.
    """
    allowed = getattr(op, "tolerance", None) or checks.TOLERANCE
    before = record(name)
    if precision == "tf32":
        with use_backend(name):
            rounds = not checks.same_bits(op.apply, args, seed)
        allowed += checks.tf32_bound(op.apply, args, seed) if rounds else 0.0
    with use_precision(precision):
        checks.compare_backends(op.apply, args, [name], rtol=allowed, seed=seed)
    return "" if name == "numpy" else fallbacks(name, before)


def fallbacks(name: str, before: Counts) -> str:
    """Return how many kernels of a backend ran natively since `before`, and which fell back and why."""
    native, fell = 0, []
    for kernel, (own, other) in record(name).items():
        was = before.get(kernel, (0, 0))
        native += own - was[0]
        if other > was[1]:
            compiled = any(where != REFERENCE and called == kernel for where, called in implementations)
            why = "its compiled form does not take these arguments" if compiled else "it has no compiled form"
            fell.append(f"{kernel} fell back: {why}")
    return "; ".join([f"; the last ran {native} native kernels", *fell])


def oracle(op: type[Op], args: tuple[Any, ...], seed: int) -> str:
    """Compare the float64 reference with PyTorch."""
    with use_backend("numpy"):
        ours = checks.results(op.apply, args, np.float64, seed)
    checks.compare(ours, checks.oracle_results(op, args, np.float64, seed), 1e-9, op.__name__)
    return ""
