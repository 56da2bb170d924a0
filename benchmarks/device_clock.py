"""What the stages of `device.py` share: their options, players that take turns, and a clock for the device's own time.

Both libraries are timed as graphs that hold several copies of the work, each on arrays of its own: the host's time does
not count, and the device's cache cannot hold what comes next.  On `emulated` the same calls run on this processor.
"""

import argparse
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from peers import Absent, quartiles, rounded, save, use_checkout

use_checkout()

ROTATED = 200e6  # bytes that a round of copies touches: more than any cache
MOST_COPIES = 8
Call = Callable[[], Any]


def arguments(doc: str | None, *more: tuple[str, dict[str, Any]]) -> argparse.Namespace:
    """Return the options that every stage takes; chooses the backend, in tf32 as PyTorch's convolutions are.

    A stage that has `--predict` needs no GPU for it, and none is asked for.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", default="cuda", choices=("cuda", "cupy", "emulated"))
    parser.add_argument("--quick", action="store_true", help="toy sizes: whether it runs, not how fast")
    parser.add_argument("--out", default="", help="the file of results, JSON, written again after every row")
    for name, options in more:
        parser.add_argument(name, **options)
    o = parser.parse_args()
    if o.backend != "emulated" and not vars(o).get("predict"):
        import tinymed

        tinymed.use_backend(o.backend)
        tinymed.use_precision("tf32")
    return o


def saved(o: argparse.Namespace, result: dict[str, Any]) -> None:
    """Write what is known so far: a stage may be killed."""
    if o.out:
        save(Path(o.out), result)


class Clock:
    """Seconds of calls on the device that a backend's kernels run on."""

    def __init__(self, backend: str, quick: bool):
        self.cuda, self.quick = backend != "emulated", quick
        self.rounds, self.seconds = (2, 0.0) if quick else (9, 0.003)
        if self.cuda:
            import cupy

            self.cupy = cupy

    def of(self, call: Call, calls: int) -> float:
        """Seconds of one of so many calls."""
        if not self.cuda:
            started = time.perf_counter()
            for _ in range(calls):
                call()
            return (time.perf_counter() - started) / calls
        start, end = self.cupy.cuda.Event(), self.cupy.cuda.Event()
        start.record()
        for _ in range(calls):
            call()
        end.record()
        end.synchronize()
        return float(self.cupy.cuda.get_elapsed_time(start, end)) / 1e3 / calls

    def in_turns(self, players: dict[str, Call], seconds: float = 0.0) -> dict[str, list[dict[str, float]]]:
        """{name: seconds of its turns}, every other round in opposite order; a turn lasts about so long."""
        calls = {}
        for name, call in players.items():
            self.of(call, 1)  # warms up
            if self.quick:
                calls[name] = 1
                continue
            estimate = min(self.of(call, 1) for _ in range(3))
            calls[name] = max(1, min(1000, round((seconds or self.seconds) / max(estimate, 1e-7))))
        turns: dict[str, list[dict[str, float]]] = {name: [] for name in players}
        for i in range(self.rounds):
            for name in list(players)[:: 1 if i % 2 == 0 else -1]:
                turns[name].append({"device": self.of(players[name], calls[name])})
        return turns

    def free(self, torch: Any) -> None:
        """Give back what both libraries' pools hold: the next row's arrays may need it."""
        if self.cuda:
            self.cupy.get_default_memory_pool().free_all_blocks()
            if torch is not None:
                torch.cuda.empty_cache()

    def copies(self, nbytes: int) -> int:
        """Return how many of a row's arrays the device's cache cannot hold."""
        return 2 if self.quick else max(1, min(MOST_COPIES, math.ceil(ROTATED / max(nbytes, 1))))


class Replayed(NamedTuple):
    """A step of ours as it is replayed, without copies of inputs and outputs around it."""

    call: Call
    program: Any
    outputs: Sequence[Any]
    graph: bool


def replayed(step: Callable[..., Any], *inputs: Any) -> Replayed:
    """Capture a step: on a GPU a graph, elsewhere a list of calls."""
    import tinymed

    captured = tinymed.capture(step)
    captured(*inputs)
    ((replay,),) = captured.replays.values()
    call = replay.program.run if replay.graph is None else replay.graph.launch
    return Replayed(call, replay.program, replay.outputs, replay.graph is not None)


def torch_on(cuda: bool) -> Any:
    """PyTorch as every comparison here sets it; Absent says why there is none."""
    try:
        import torch
    except ImportError as error:
        raise Absent(f"PyTorch cannot be imported: {error}") from None
    if cuda and not torch.cuda.is_available():
        raise Absent("PyTorch sees no GPU")
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    return torch


def graphed(torch: Any, cuda: bool, work: Call) -> Call:
    """PyTorch's work as a CUDA graph, after three runs that let cuDNN choose; on the CPU the work itself."""
    if not cuda:
        return work
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()

    def launch() -> None:
        graph.replay()

    return launch


def spread(turns: list[dict[str, float]], share: int = 1) -> dict[str, float]:
    """Median and quartiles in microseconds, of one of `share` equal parts of a turn."""
    low, median, high = quartiles([1e6 * t["device"] / share for t in turns])
    return rounded({"us": median, "low": low, "high": high})
