"""`tinymed bench OP`: an op's time against PyTorch in the same run, and its share of the roofline.

Ours and PyTorch's calls take turns, so a busy neighbour slows both; medians of process CPU time on one thread.  PyTorch
is timed twice: as it is (NCHW, glibc's malloc), and tuned (images channels-last, a malloc that keeps its pages).
"""

import ctypes
import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
import typer

from .. import check as checks
from .. import dispatch
from ..dispatch import Dispatcher, Kernel, use_backend
from ..draw import Draw
from ..errors import UserError
from ..report.tables import table
from ..tape import Op, no_grad, walk
from .app import Computing, app, examples
from .ops import find
from .workloads import workloads as package_workloads


@app.command(
    cls=Computing,
    epilog=examples(
        "tinymed bench conv2d", "tinymed bench my_op.py --rounds 15", "tinymed bench max_pool2d --backend numpy"
    ),
)
def bench(
    op: Annotated[str, typer.Argument(help="An op, a function of tinymed.nn.functional, or a file that declares ops.")],
    on: Annotated[str, typer.Option("--backend", help="The backend to time.")] = "numba",
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each; the median counts.")] = 9,
    as_json: Annotated[bool, typer.Option("--json", help="Print the rows and the roof as JSON.")] = False,
) -> None:
    """Time an op against PyTorch and its roofline: one thread, process CPU time, in turns."""
    if on not in dispatch.BACKENDS:
        raise UserError(f"--backend {on}: choose one of {', '.join(dispatch.BACKENDS)}")
    from ..cpu.simd.roofline import bandwidth_gbs, peak_gflops

    with single_thread():
        gflops, gbs = peak_gflops(), bandwidth_gbs()
    rows = [row for one in find(op) for row in bench_op(one, on, rounds)]
    if as_json:
        roof = {"gflops": gflops, "gbs": gbs}
        print(json.dumps({"backend": on, "roof": roof, "rows": [r.as_dict(gflops, gbs) for r in rows]}, indent=1))
        return
    cells: list[tuple[str, ...]] = [
        ("op", "workload", "way", "ms", "GFLOP/s", "GB/s", "% of roof", "of PyTorch's time", "of tuned PyTorch's")
    ]
    for r in rows:
        ratios = ("-" if ratio is None else f"{ratio:.2f}" for ratio in (r.ratio, r.tuned_ratio))
        cells.append(
            (
                r.op,
                r.workload,
                r.way,
                f"{1e3 * r.seconds:.3f}",
                f"{r.flops / r.seconds / 1e9:.1f}",
                f"{r.nbytes / r.seconds / 1e9:.1f}",
                f"{100 * r.roof(gflops, gbs):.0f}",
                *ratios,
            )
        )
    print(table(cells, right=(3, 4, 5, 6, 7, 8)))
    print(
        f"roof on one thread, measured now: {gflops:.0f} GFLOP/s (microkernel in cache), "
        f"{gbs:.0f} GB/s (stream from memory)"
    )
    saving = [r for r in rows if r.saving > 1]
    if saving:
        print(
            "Winograd's algorithm does fewer operations than the definition, which GFLOP/s count; the share of the "
            f"roof is of those it does: {', '.join(sorted({f'{r.op} {r.way} 1/{r.saving:g}' for r in saving}))}"
        )
    if any(r.roof(gflops, gbs) > 1 for r in rows):
        print("above 100 %: what the op reads was still in the cache, which is faster than memory")


@dataclass
class Row:
    """One workload in one direction: seconds, the work counted, and PyTorch's seconds, plain and tuned."""

    op: str
    workload: str
    way: str
    seconds: float
    flops: float
    nbytes: float
    torch_seconds: float | None
    tuned_seconds: float | None = None
    saving: float = 1.0  # operations of the definition for each one that was done

    @property
    def ratio(self) -> float | None:
        """Our time over PyTorch's: below 1 is faster."""
        return self.seconds / self.torch_seconds if self.torch_seconds else None

    @property
    def tuned_ratio(self) -> float | None:
        """Our time over that of PyTorch with channels-last images and a malloc that keeps its pages."""
        return self.seconds / self.tuned_seconds if self.tuned_seconds else None

    def as_dict(self, gflops: float, gbs: float) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "ratio": self.ratio, "tuned_ratio": self.tuned_ratio, "roof": self.roof(gflops, gbs)}

    def roof(self, gflops: float, gbs: float) -> float:
        """Return the share of the time that the nearer ceiling (arithmetic or memory) explains."""
        return max(self.flops / self.saving / gflops, self.nbytes / gbs) / 1e9 / self.seconds


def winograd_saving(kernel: str, args: Sequence[Any]) -> float:
    """Return how many products of the definition one of Winograd's F(m x m, 3 x 3) stands for; 1 for other kernels.

    A tile of m x m outputs takes (m + 2)^2 products instead of (3 m)^2: 2.25 times fewer for m = 2, 4 for m = 4.
    """
    place = {"winograd_filter": 1, "conv_winograd_weight": 2}.get(kernel)  # of m among the arguments
    if place is None:
        return 1.0
    m = int(args[place])
    return (3 * m) ** 2 / (m + 2) ** 2


class Work(dispatch.Observer):
    """Counts the floating-point operations and the bytes that the public kernels need; names all kernels that ran."""

    def __init__(self) -> None:
        self.flops, self.nbytes, self.depth, self.saving = 0.0, 0.0, 0, 1.0
        self.kernels: list[str] = []
        self.fallbacks: list[str] = []  # those the reference answered

    def before(self, dispatcher: Dispatcher, kernel: Kernel, args: Sequence[Any]) -> None:
        self.depth += 1
        self.kernels.append(kernel.name)
        if kernel.reference and dispatcher.table.name != "numpy":
            self.fallbacks.append(kernel.name)
        self.saving = max(self.saving, winograd_saving(kernel.name, args))

    def after(self, dispatcher: Dispatcher, kernel: Kernel, args: Sequence[Any], outs: Sequence[Any]) -> None:
        self.depth -= 1
        if self.depth == 0:  # not the parts of a composite: what the op asks for, not how it is done
            self.flops += float(kernel.rule.flops(*args)) if kernel.rule.flops else 0.0
            self.nbytes += sum(a.nbytes for a in (*args, *outs) if hasattr(a, "nbytes"))


def workloads(op: type[Op]) -> list[tuple[str, tuple[Any, ...]]]:
    """Return the op's own `workloads()`, the package's, or the largest of its samples."""
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
            ours, plain, tuned = ways(op, args), {}, {}
            if importlib.util.find_spec("torch") and op.oracle is not None:
                plain, tuned = torch_ways(op, args), torch_ways(op, args, channels_last=True)
            for way, call in ours.items():
                work = Work()
                with dispatch.observing(work):
                    call()
                calls = [call, plain.get(way), keeping_pages(tuned.get(way))]
                mine, other, best = in_turns(calls, rounds)
                assert mine is not None
                yield Row(op.__name__, label, way, mine, work.flops, work.nbytes, other, best, work.saving)


def ways(op: type[Op], args: tuple[Any, ...]) -> dict[str, Callable[[], Any]]:
    """{"forward": call, "backward": call} on the backend in use."""
    inputs = checks.leaves(args, np.float32)

    def forward() -> Any:
        with no_grad():
            return op.apply(*inputs)

    if op.backward is None:
        return {"forward": forward}
    ys = [y for y in checks.tensors(op.apply(*inputs)) if y.requires_grad]
    dys = [np.ones_like(y.array) for y in ys]

    def backward() -> Any:
        for i in inputs:
            if hasattr(i, "grad"):
                i.grad = None
        walk(ys, dys, retain_graph=True)

    return {"forward": forward, "backward": backward} if ys else {"forward": forward}


def torch_ways(op: type[Op], args: tuple[Any, ...], channels_last: bool = False) -> dict[str, Callable[[], Any]]:
    """Return the same by the op's oracle in PyTorch, float32; contiguous NCHW, or channels-last."""
    import torch

    torch.set_num_threads(1)
    inputs = checks.oracle_inputs(args, np.float32)
    if channels_last:
        inputs = [
            i.detach().contiguous(memory_format=torch.channels_last).requires_grad_(i.requires_grad)
            if isinstance(i, torch.Tensor) and i.ndim == 4
            else i
            for i in inputs
        ]
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


def in_turns(calls: Sequence[Callable[[], Any] | None], rounds: int) -> list[float | None]:
    """Medians of process CPU seconds of calls that take turns; None for one that is not there."""
    present = [call for call in calls if call]
    repeats = [max(1, min(2000, int(0.01 / max(timed(call, 1), 1e-7)))) for call in present]
    times: list[list[float]] = [[] for _ in present]
    for _ in range(rounds):
        for kept, call, n in zip(times, present, repeats, strict=True):
            kept.append(timed(call, n))
    medians = iter([statistics.median(t) for t in times])
    return [next(medians) if call else None for call in calls]


def keeping_pages(call: Callable[[], Any] | None) -> Callable[[], Any] | None:
    """Return the call under a glibc that takes every block from its heap and gives none back.

    As it is with another C library.

    By default each block above 32 MiB is mapped and unmapped anew: 15 ms of page faults for a 67 MB tensor.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if call is None or mallopt is None:
        return call
    trim_threshold, mmap_threshold, mmap_max, mib = -1, -3, -4, 1 << 20  # the names M_... of malloc.h

    def tuned() -> None:
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, 2047 * mib)
        call()
        mallopt(mmap_max, 65536)  # and what glibc's thresholds adapt to once large blocks have been freed
        mallopt(trim_threshold, 64 * mib)
        mallopt(mmap_threshold, 32 * mib)

    return tuned


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
