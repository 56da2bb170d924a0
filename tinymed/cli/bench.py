"""`tinymed bench OP`: an op's time against PyTorch in the same run, and its share of the roofline.

Ours and PyTorch's calls take turns, so a busy neighbour slows both; medians of process CPU time on one thread.
"""

import importlib.util
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import typer

from .. import backend
from .. import check as checks
from ..backend import Kernel, Launch, use_backend
from ..draw import Draw
from ..errors import UserError
from ..tape import Op, no_grad, walk
from .app import app, examples
from .ops import find
from .tables import table
from .workloads import workloads as package_workloads


@app.command(
    epilog=examples(
        "tinymed bench conv2d", "tinymed bench my_op.py --rounds 15", "tinymed bench max_pool2d --backend numpy"
    )
)
def bench(
    op: Annotated[str, typer.Argument(help="An op, a function of tinymed.nn.functional, or a file that declares ops.")],
    on: Annotated[str, typer.Option("--backend", help="The backend to time.")] = "numba",
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each; the median counts.")] = 9,
) -> None:
    """Time an op against PyTorch and its roofline: one thread, process CPU time, in turns."""
    if on not in backend.BACKENDS:
        raise UserError(f"--backend {on}: choose one of {', '.join(backend.BACKENDS)}")
    from ..cpu.roofline import bandwidth_gbs, peak_gflops

    with single_thread():
        gflops, gbs = peak_gflops(), bandwidth_gbs()
    rows = [row for one in find(op) for row in bench_op(one, on, rounds)]
    cells = [("op", "workload", "way", "ms", "GFLOP/s", "GB/s", "% of roof", "of PyTorch's time")]
    for r in rows:
        ratio = "-" if r.ratio is None else f"{r.ratio:.2f}"
        cells.append((r.op, r.workload, r.way, f"{1e3 * r.seconds:.3f}", f"{r.flops / r.seconds / 1e9:.1f}",
                      f"{r.nbytes / r.seconds / 1e9:.1f}", f"{100 * r.roof(gflops, gbs):.0f}", ratio))  # fmt: skip
    print(table(cells, right=(3, 4, 5, 6, 7)))
    print(
        f"roof on one thread, measured now: {gflops:.0f} GFLOP/s (microkernel in cache), "
        f"{gbs:.0f} GB/s (stream from memory)"
    )
    if any(r.roof(gflops, gbs) > 1 for r in rows):
        print("above 100 %: what the op reads was still in the cache, which is faster than memory")


@dataclass
class Row:
    """One workload in one direction: seconds, the work counted, and PyTorch's seconds in the same run."""

    op: str
    workload: str
    way: str
    seconds: float
    flops: float
    nbytes: float
    torch_seconds: float | None

    @property
    def ratio(self) -> float | None:
        """Our time over PyTorch's: below 1 is faster."""
        return self.seconds / self.torch_seconds if self.torch_seconds else None

    def roof(self, gflops: float, gbs: float) -> float:
        """The share of the time that the nearer ceiling (arithmetic or memory) explains."""
        return max(self.flops / gflops, self.nbytes / gbs) / 1e9 / self.seconds


class Work(backend.Observer):
    """Counts the floating-point operations and the bytes that the public kernels need."""

    def __init__(self) -> None:
        self.flops, self.nbytes, self.depth = 0.0, 0.0, 0

    def before(self, launch: Launch, kernel: Kernel, args: Sequence[Any]) -> None:
        self.depth += 1

    def after(self, launch: Launch, kernel: Kernel, args: Sequence[Any], outs: Sequence[Any]) -> None:
        self.depth -= 1
        if self.depth == 0:  # not the parts of a composite: what the op asks for, not how it is done
            self.flops += float(kernel.rule.flops(*args)) if kernel.rule.flops else 0.0
            self.nbytes += sum(a.nbytes for a in (*args, *outs) if hasattr(a, "nbytes"))


def workloads(op: type[Op]) -> list[tuple[str, tuple[Any, ...]]]:
    """The op's own `workloads()`, the package's, or the largest of its samples."""
    chosen = list(op.workloads()) if hasattr(op, "workloads") else package_workloads(op)
    if chosen:
        return chosen
    drawn = [op.samples(Draw(seed)) for seed in range(20)]
    size = [sum(a.size for a in args if isinstance(a, np.ndarray)) for args in drawn]
    return [("largest sample (small: this times the overhead)", drawn[int(np.argmax(size))])]


def bench_op(op: type[Op], name: str, rounds: int = 9) -> Iterator[Row]:
    """Time forward and backward of each workload on one backend, in turns with PyTorch where it is installed."""
    for label, args in workloads(op):
        with use_backend(name), single_thread():
            ours = ways(op, args)
            theirs = torch_ways(op, args) if importlib.util.find_spec("torch") and op.oracle is not None else {}
            for way, call in ours.items():
                work = Work()
                with backend.observing(work):
                    call()
                mine, other = in_turns(call, theirs.get(way), rounds)
                yield Row(op.__name__, label, way, mine, work.flops, work.nbytes, other)


def ways(op: type[Op], args: tuple[Any, ...]) -> dict[str, Callable[[], Any]]:
    """{"forward": call, "backward": call} on the backend in use."""
    inputs = checks.leaves(args, np.float32)

    def forward() -> Any:
        with no_grad():
            return op.apply(*inputs)

    if op.backward is None:
        return {"forward": forward}
    ys = [y for y in checks.tensors(op.apply(*inputs)) if y.requires_grad]
    dys = [np.ones_like(y.data) for y in ys]

    def backward() -> Any:
        for i in inputs:
            if hasattr(i, "grad"):
                i.grad = None
        walk(ys, dys, retain_graph=True)

    return {"forward": forward, "backward": backward} if ys else {"forward": forward}


def torch_ways(op: type[Op], args: tuple[Any, ...]) -> dict[str, Callable[[], Any]]:
    """The same by the op's oracle in PyTorch, float32, contiguous NCHW."""
    import torch

    torch.set_num_threads(1)
    inputs = checks.oracle_inputs(args, np.float32)
    call = checks.oracle_function(op)

    def forward() -> Any:
        with torch.no_grad():
            return call(*inputs)

    if op.backward is None:
        return {"forward": forward}
    result = call(*inputs)
    ys = [y for y in (result if isinstance(result, tuple | list) else (result,)) if y.requires_grad]
    dys = [torch.ones_like(y) for y in ys]

    def backward() -> Any:
        for i in inputs:
            if isinstance(i, torch.Tensor):
                i.grad = None
        torch.autograd.backward(ys, dys, retain_graph=True)

    return {"forward": forward, "backward": backward}


def in_turns(ours: Callable[[], Any], theirs: Callable[[], Any] | None, rounds: int) -> tuple[float, float | None]:
    """Medians of process CPU seconds of two calls that take turns."""
    calls = [ours] + ([theirs] if theirs else [])
    repeats = [max(1, min(2000, int(0.01 / max(timed(call, 1), 1e-7)))) for call in calls]
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for kept, call, n in zip(times, calls, repeats, strict=True):
            kept.append(timed(call, n))
    return statistics.median(times[0]), statistics.median(times[1]) if theirs else None


def timed(call: Callable[[], Any], n: int) -> float:
    """Process CPU seconds of one of n calls."""
    start = time.process_time()
    for _ in range(n):
        call()
    return (time.process_time() - start) / n


@contextmanager
def single_thread() -> Iterator[None]:
    """One thread for Numba's loops; spinning pools would count as CPU time."""
    import numba

    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        yield
    finally:
        numba.set_num_threads(before)
