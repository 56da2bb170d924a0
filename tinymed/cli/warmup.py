"""`tinymed warmup`: compile the kernels that networks need, before they are needed, on all processors.

A train step and an inference step of each network run dry (see `dispatch.dry`): they take no time and tell which
kernels they would call, with which types of arguments.  Worker processes compile these into the cache on disk.
"""

import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UserError
from ..report.tables import table
from .app import Computing, app, examples, say
from .fix_hints import contents

if TYPE_CHECKING:
    from ..cpu.compiler.precompile import Built, Job


@app.command(
    cls=Computing, epilog=examples("tinymed warmup", "tinymed warmup --model unet --model resnet50 --batch 16")
)
def warmup(
    model: Annotated[list[str] | None, typer.Option(help="A network of `tinymed models`; repeat for several.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images of a batch.")] = 128,
    size: Annotated[int | None, typer.Option(min=1, help="The side of an image; by default the network's.")] = None,
    processes: Annotated[int | None, typer.Option(min=1, help="By default as many as there are processors.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Compile what training and inference of networks need, so that their first step need not."""
    try:
        from ..cpu.compiler.cache import cache_directory
        from ..cpu.compiler.precompile import build
    except ImportError as error:
        raise UserError(f"warmup: there is nothing to compile without Numba ({error})") from None
    folder = cache_directory()
    if folder is None:
        raise UserError("warmup: there is no folder to keep kernels in; TINYMED_CACHE names one that can be written")
    started, names = time.perf_counter(), model or ["dcnn"]
    jobs = plan_jobs([(name, batch, size) for name in names])
    built = []
    with shown(len(jobs)) as advance:
        for one in build(jobs, min(processes or usable(), len(jobs))):
            advance(one)
            built.append(one)
    seconds = time.perf_counter() - started
    result = {
        "models": names,
        "kernels": len({b.kernel for b in built}),
        "compiled": sum(b.compiled for b in built),
        "cached": sum(len(j.signatures) for j in jobs) - sum(b.compiled for b in built),
        "work_seconds": round(sum(b.seconds for b in built), 2),
        "seconds": round(seconds, 2),
        "cache": str(folder),
        "mib": round(contents(folder)[1], 1),
    }
    if as_json:
        print(json.dumps(result))
        return
    fresh = sorted((b for b in built if b.compiled), key=lambda b: -b.seconds)
    if fresh:
        cells = [(b.kernel, "several" if b.parallel else "one", f"{b.seconds:.1f}") for b in fresh]
        print(table([("kernel", "threads", "seconds"), *cells], right=(2,)))
    print(
        f"{', '.join(names)}: {result['compiled']} compiled ({result['work_seconds']:.1f} s of work), "
        f"{result['cached']} were cached, in {seconds:.1f} s; cache {folder}, {result['mib']} MiB"
    )


def usable() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# ------------------------------------------------------------------------------------------------ what to compile


def plan_jobs(wanted: list[tuple[str, int, int | None]]) -> "list[Job]":
    """Return the jobs of (network, batch, size) triples: train step and inference, eager and captured."""
    from .. import dispatch
    from ..cpu.compiler.precompile import BACKEND, Found

    found = Found()
    with dispatch.use_backend(BACKEND), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values, which mean nothing here
        for name, batch, size in wanted:
            with dispatch.dry(found):
                run_dry(name, batch, size)
    return found.jobs()


def run_dry(name: str, batch: int, size: int | None) -> None:
    """Return a train step and an inference step of a network, as `Trainer` makes them."""
    import numpy as np

    from .. import models, optim, tape
    from ..models.summary import input_shapes
    from ..program import capture
    from ..program.program import run_reference
    from ..program.record import CaptureError
    from ..tasks.base.steps import train_step
    from ..tasks.inference.class_scores import forward_pass
    from ..tensor import Tensor

    options = {} if size is None else {"size": size}
    try:
        model = models.create(name, **options)
    except TypeError as error:
        raise UserError(f"--size: {name} takes images of one size ({error})") from None
    shapes = input_shapes(models.describe(name, **options)["input"])
    inputs = tuple(Tensor(np.zeros((batch, *shape), np.float32)) for shape in shapes)
    images: Any = inputs if len(inputs) > 1 else inputs[0]
    forward = forward_pass(model)
    model.eval()
    with tape.no_grad():
        outputs = forward(images)
        inference = capture(forward).record((images,))
    model.train()
    loss, targets = criterion(model, outputs)
    optimizer = optim.Adam(model.parameters())
    step = train_step(model, optimizer, loss, None)
    step(images, targets)
    programs = [p for p in (inference.program.constants, inference.program) if p is not None]
    with suppress(CaptureError):  # such a step runs uncaptured
        programs.append(capture(step).record((images, targets)).program)
    for call, args in (pair for program in programs for pair in program.steps):
        if call is not run_reference:
            call(*args)


def criterion(model: Any, outputs: Any) -> tuple[Callable[[Any, Any], Any], Any]:
    """(loss, targets): the network's own, sigmoids of classes, or cross-entropy of every place of every output."""
    import numpy as np

    from ..nn import functional
    from ..tasks.heads.class_heads import make_head
    from ..tensor import Tensor

    several = list(outputs) if isinstance(outputs, tuple | list) else [outputs]
    first = several[0]
    if len(several) == 1 and len(first.shape) == 2:
        head = make_head("own" if hasattr(model, "loss") else "sigmoid", first.shape[1], model=model)
        return head, Tensor(head.targets(np.zeros(first.shape[0], np.int64)))
    targets = Tensor(np.zeros((first.shape[0], *first.shape[2:]), np.int64))

    def total(outputs: Any, targets: Any) -> Any:
        given = outputs if isinstance(outputs, tuple | list) else (outputs,)
        losses = [functional.cross_entropy(o, targets) for o in given]
        return losses[0] if len(losses) == 1 else sum(losses[1:], losses[0])

    return total, targets


@contextmanager
def shown(total: int) -> "Iterator[Callable[[Built], None]]":
    """Return a progress bar on a terminal, a line for each kernel that took its time elsewhere."""
    if not sys.stderr.isatty():
        yield lambda built: say(f"{built.kernel} {built.seconds:.1f} s") if built.seconds > 1 else None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:28s}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("compiling", total=total)
        yield lambda built: bar.update(task, advance=1, description=built.kernel)
