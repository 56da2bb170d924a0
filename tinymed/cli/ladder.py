"""`tinymed ladder OP`: the rungs of an op's ladder side by side, from a naive kernel to the engine's own."""

import functools
import json
import re
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from .. import dispatch
from ..errors import UserError
from ..report.tables import table
from .app import app, examples, say
from .predicting_rungs import PREDICTED, known_gpu, predict_rungs, predicted_cells
from .rung_sources import chosen_ladder, difference_of_rungs

WHOLE = 1 << 20  # blocks of a launch to count accesses in: all of them
ROUNDS, REPEATS = 9, 10  # timings, of which the median counts, of so many launches each
LANES = {75: 64, 80: 64}  # float32 multiply-adds a clock of a multiprocessor, by compute capability; 128 on others
OFF, OFF_TF32 = 1e-4, 2e-3  # by which a rung's result may differ from the first's, of the largest value
TENSOR = {80: 512, 90: 1024}  # the same in tf32 on tensor cores
COPIED = 1 << 27  # floats, to find the bandwidth of memory: more than a cache holds


@app.command(
    epilog=examples(
        "tinymed ladder matmul",
        "tinymed ladder reduction --predict a100 --plot reduction.png",
        "tinymed ladder matmul --diff 6 7",
    )
)
def ladder(
    op: Annotated[str, typer.Argument(help="Whose ladder: matmul, conv2d, reduction, softmax, transpose, ...")],
    diff: Annotated[
        tuple[int, int] | None, typer.Option(help="Print what changes in the source between two rungs, by number.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw what the rungs move into this PNG file.")] = None,
    predict: Annotated[str, typer.Option(help="Predict times on a GPU that need not be here: a100, h100, ...")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the rungs as JSON.")] = False,
) -> None:
    """Compare an op's CUDA kernels, naive to shipped: memory traffic, bank conflicts, registers; time on a GPU."""
    if diff is not None:
        if plot or as_json or predict:
            raise UserError("--diff prints text alone: leave out --plot, --predict and --json")
        print(difference_of_rungs(op, *diff), end="")
        return
    gpu = known_gpu(predict) if predict else None
    climbed, notes = climb(op)
    if gpu is not None:
        notes += predict_rungs(chosen_ladder(op), climbed, gpu)
    if plot is not None:
        from ..report.ladder_plot import save_ladder

        save_ladder([asdict(step) for step in climbed], plot, op)
        say(f"wrote {plot}")
    if as_json:
        print(json.dumps({"ladder": op, "rungs": [asdict(step) for step in climbed], "notes": notes}, indent=1))
        return
    rows = [HEADER, *(step.cells() for step in climbed)]
    if gpu is not None:
        rows = [(*row, *more) for row, more in zip(rows, [PREDICTED, *map(predicted_cells, climbed)], strict=True)]
    print(table(rows))
    print("\n".join(["", *LEGEND, *notes]))


HEADER = (
    "rung",
    "sectors/request",
    "of the least",
    "sectors/1000 flops",
    "bank passes/request",
    "of the least",
    "registers",
    "spilled",
    "ms",
    "% of roof",
)
LEGEND = (
    "sectors: 32 bytes of global memory each, by request of a warp; 32 neighbouring floats need 4, 32 float4 16",
    "flops: what the op takes, as many for every rung of a convolution or a product",
    "bank passes: over the 32 banks of shared memory, by request of a warp; above the least where lanes share a bank",
)


@dataclass
class Step:
    """What is known of one rung; None where a tool is missing.

    sectors: of global memory for each request; waste: by the least that the same bytes need.  traffic: sectors for each
    1000 operations.  passes: over the banks of shared memory for each request; conflicts: by the least.  moved, waited:
    all sectors and passes.  predicted_us, bound, waves: what the timing model says on a large problem.
    """

    rung: str
    sectors: float | None = None
    waste: float | None = None
    traffic: float | None = None
    passes: float | None = None
    conflicts: float | None = None
    registers: int | None = None
    spilled: int | None = None
    seconds: float | None = None
    roof: float | None = None
    moved: int | None = None
    waited: int | None = None
    predicted_us: float | None = None
    bound: str = ""
    waves: float | None = None

    def cells(self) -> tuple[str, ...]:
        """Return a row of the table."""
        ms = None if self.seconds is None else 1e3 * self.seconds
        roof = None if self.roof is None else 100 * self.roof
        numbers = (
            (self.sectors, ".2f"),
            (self.waste, ".2f"),
            (self.traffic, ".1f"),
            (self.passes, ".2f"),
            (self.conflicts, ".2f"),
            (self.registers, "d"),
            (self.spilled, "d"),
            (ms, ".3f"),
            (roof, ".0f"),
        )
        return (self.rung, *("-" if value is None else f"{value:{form}}" for value, form in numbers))


def climb(name: str) -> tuple[list[Step], list[str]]:
    """Return the rungs of a ladder, and why some numbers are missing.  UserError if there is no such ladder."""
    chosen, notes = chosen_ladder(name), []
    steps = [Step(rung.label) for rung in chosen.rungs]
    for fill in (count_accesses, count_registers, measure):
        why = fill(chosen, steps)
        if why:
            notes.append(why)
    return steps, notes


def count_accesses(chosen: Any, steps: Sequence[Step]) -> str:
    """Fill in what the emulator counts on the small problem; or say why it cannot."""
    from ..cuda import emulated
    from ..cuda.ladders import ready

    why = dispatch.absence("emulated")
    if why:
        return f"sectors and conflicts need the emulator: {why}"
    problem = [emulated.placed(a) for a in chosen.problem(np.random.default_rng(0), *chosen.small)]
    true = outputs(chosen.reference(*problem))
    wrong = []
    for rung, step in zip(chosen.rungs, steps, strict=True):
        dispatcher = getattr(dispatch.table("emulated"), rung.kernel)
        args = ready(dispatcher, rung.arguments(*problem))
        with emulated.profiling(blocks=WHOLE) as counts:
            made = outputs(dispatcher(*args))
        off = max(difference(np, y, t) for y, t in zip(made, true, strict=False))
        if not off < (OFF_TF32 if rung.tf32 else OFF):
            wrong.append(f"{rung.label} differs from the reference by {off:.1e} of the largest value")
            continue  # a wrong result has no counts
        rows = counts()
        far, near = ([r for r in rows if r.space == space] for space in ("global", "shared"))
        flops = dispatcher.plan_for(args).kernel.rule.flops(*args)
        (step.sectors, step.waste), (step.passes, step.conflicts) = economy(far), economy(near)
        step.moved = sum(r.moved for r in far)
        step.waited = sum(r.moved for r in near)
        step.traffic = ratio(1000 * step.moved, flops)
    return "; ".join(wrong)


def outputs(results: Any) -> tuple[Any, ...]:
    """Return what a kernel returns as a tuple."""
    return results if isinstance(results, tuple) else (results,)


def economy(rows: Sequence[Any]) -> tuple[float | None, float | None]:
    """Return what was moved for each request, and by the least that the same bytes need."""
    moved = sum(r.moved for r in rows)
    return ratio(moved, sum(r.requests for r in rows)), ratio(moved, sum(r.ideal for r in rows))


def ratio(a: float, b: float) -> float | None:
    """Return a / b, None where b is 0."""
    return a / b if b else None


def count_registers(chosen: Any, steps: Sequence[Step]) -> str:
    """Fill in what ptxas says; or say why it cannot."""
    from ..cuda import modules, ptxas
    from ..cuda.build import CSRC, Absent, Failed

    known = ptxas.usage(modules.record().get("_cuda", {}).get("log", ""))
    own = [rung.entry for rung in chosen.rungs if rung.source.startswith("ladders/")]
    if not any(re.search(entry, name) for entry in own for name in known):  # nothing was built, or not the ladders
        try:
            with ThreadPoolExecutor() as pool:
                for one in pool.map(ptxas.compiled, {CSRC / rung.source for rung in chosen.rungs}):
                    known |= one
        except (Absent, Failed) as reason:
            return f"registers need nvcc: {str(reason).splitlines()[0]}"
    for rung, step in zip(chosen.rungs, steps, strict=True):
        found = next((u for entry, u in known.items() if re.search(rung.entry, entry)), None)
        if found is not None:
            step.registers, step.spilled = found.registers, found.spilled
    return ""


def measure(chosen: Any, steps: Sequence[Step]) -> str:
    """Fill in times and shares of the roof on the large problem; or say why it cannot."""
    why = dispatch.absence("cuda")
    if why:
        return f"time needs a GPU: {why}"
    import cupy

    from ..cuda.ladders import ready

    problem = [
        cupy.asarray(a) if isinstance(a, np.ndarray) else a
        for a in chosen.problem(np.random.default_rng(0), *chosen.large)
    ]
    device = cupy.cuda.Device()
    cycles = device.attributes["MultiProcessorCount"] * device.attributes["ClockRate"] * 1e3  # of all, a second
    bandwidth = copy_bandwidth(cupy)
    first: tuple[Any, ...] = ()
    wrong = []
    for rung, step in zip(chosen.rungs, steps, strict=True):
        dispatcher = getattr(dispatch.table("cuda"), rung.kernel)
        args = ready(dispatcher, rung.arguments(*problem))
        kernel, made = dispatcher.plan_for(args).kernel, dispatcher(*args)
        outs = outputs(made)
        first = first or outs
        off = max(difference(cupy, a, b) for a, b in zip(outs, first, strict=False))
        if not off < (OFF_TF32 if rung.tf32 else OFF):
            wrong.append(f"{rung.label} differs from {chosen.rungs[0].label} by {off:.1e} of the largest value")
            continue  # a wrong result has no time
        step.seconds = seconds(cupy, functools.partial(dispatcher, *args))
        lanes = (TENSOR if rung.tf32 else LANES).get(int(device.compute_capability), 128)
        nbytes = sum(a.nbytes for a in (*args, *outs) if hasattr(a, "nbytes"))
        step.roof = max(kernel.rule.flops(*args) / (2 * lanes * cycles), nbytes / bandwidth) / step.seconds
    return "; ".join(wrong)


def difference(xp: Any, a: Any, b: Any) -> float:
    """Return how far two results lie apart, by the largest value of the second."""
    a, b = a.astype(xp.float32), b.astype(xp.float32)
    return float(xp.abs(a - b).max() / xp.maximum(xp.abs(b).max(), 1e-30))


def seconds(cupy: Any, call: Callable[[], Any]) -> float:
    """Return the GPU's time for one call: the median of ROUNDS, each of REPEATS launches between two events."""
    times = []
    for _ in range(ROUNDS + 1):
        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        for _ in range(REPEATS):
            call()
        end.record()
        end.synchronize()
        times.append(float(cupy.cuda.get_elapsed_time(start, end)) / 1e3 / REPEATS)
    return statistics.median(times[1:])  # the first warms up


def copy_bandwidth(cupy: Any) -> float:
    """Return bytes a second that a copy reads and writes."""
    a = cupy.zeros(COPIED, np.float32)
    return float(2 * a.nbytes / seconds(cupy, a.copy))
