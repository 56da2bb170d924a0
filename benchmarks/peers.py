"""Peers in turns: each in a process of its own, asked for one timed turn after another: all meet the same noise.

A peer is a function `make(task)` named in a module of this folder.  It returns what can be timed, {way: call} or one
call for the way "step", each call one blocking unit of work; a second value, if any, is what it has to tell about them
(JSON).  `Absent(reason)` says why it cannot take part here.  The parent starts each as `python peers.py MODULE FUNCTION
THREADS` and talks to it over its pipes.

On one thread a turn is process CPU time, which a busy neighbour does not lengthen; on more it is wall time.
"""

import importlib
import json
import math
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "results.md"
# glibc told never to give big blocks back: spares PyTorch a page fault every 4 KiB of every large tensor.
TUNED_MALLOC = "glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=17179869184"
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
# Variables that slow a library down, or change what is measured, without a word: no peer inherits them.
TRAPS = (
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
    "MKL_DEBUG_CPU_TYPE",
    "MKL_ENABLE_INSTRUCTIONS",
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "NPY_DISABLE_CPU_FEATURES",
    "GLIBC_TUNABLES",
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_TRIM_THRESHOLD_",
    "OMP_WAIT_POLICY",
    "GOMP_SPINCOUNT",
    "KMP_BLOCKTIME",
    "OMP_PROC_BIND",
    "NUMBA_CPU_NAME",
    "NUMBA_CPU_FEATURES",
    "NUMBA_DISABLE_JIT",
    "NUMBA_THREADING_LAYER",
    "TINYMED_DEBUG",
    "TINYMED_VALIDATE",
    "TINYMED_PRECISION",
)
PAUSE = 0.1  # seconds between turns on several threads: the last peer's spinning workers fall asleep


class Absent(Exception):
    """A peer that cannot take part: why."""


@dataclass
class Peer:
    """A rival: where its `make` is, and the environment it wants."""

    name: str
    module: str
    function: str
    environment: dict[str, str] = field(default_factory=dict)


@dataclass
class Times:
    """Seconds of one call: median and quartiles over the turns, the shortest, and wall time over CPU time."""

    median: float
    low: float
    high: float
    best: float
    busy: float  # wall / CPU of the turns: well above 1 on one thread, neighbours were running

    @classmethod
    def of(cls, turns: list[dict[str, float]], clock: str) -> "Times":
        """From turns of {"cpu", "wall"} seconds."""
        own = [t[clock] for t in turns]
        low, median, high = quartiles(own)
        busy = statistics.median(t["wall"] / max(t["cpu"], 1e-9) for t in turns)
        return cls(median, low, high, min(own), round(busy, 2))


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """First quartile, median, third quartile."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, median, high


class Process:
    """The parent's side of a peer."""

    def __init__(self, peer: Peer, threads: int):
        environment = {k: v for k, v in os.environ.items() if k not in TRAPS}
        environment |= dict.fromkeys(THREADS, str(threads)) | peer.environment
        command = [sys.executable, str(HERE / "peers.py"), peer.module, peer.function, str(threads)]
        self.name, self.threads = peer.name, threads
        self.pipe: Any = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.peak_mib = 0.0

    def ask(self, **request: Any) -> dict[str, Any]:
        """Return one request, one answer."""
        self.pipe.stdin.write(json.dumps(request) + "\n")
        self.pipe.stdin.flush()
        line = self.pipe.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with exit code {self.pipe.wait()}")
        reply: dict[str, Any] = json.loads(line)
        self.peak_mib = reply.get("peak_mib", self.peak_mib)
        return reply

    def make(self, task: dict[str, Any]) -> dict[str, Any]:
        """{"ways": {way: {"first_s", "seconds"}}, "info"}, warmed up; Absent if the peer says so."""
        reply = self.ask(make=task | {"threads": self.threads})
        if "absent" in reply:
            raise Absent(reply["absent"])
        return reply

    def turn(self, way: str, calls: int) -> dict[str, float]:
        """{"cpu", "wall"} seconds of one of so many calls."""
        if self.threads > 1:
            time.sleep(PAUSE)
        return self.ask(run=way, calls=calls)["turn"]  # type: ignore[no-any-return]

    def close(self) -> None:
        """End it."""
        self.pipe.stdin.close()
        self.pipe.wait()


class Player(NamedTuple):
    """One way of one process that takes turns, and about how long a call lasts."""

    process: Process
    way: str
    seconds: float


def in_turns(
    players: dict[str, Player], rounds: int, seconds: float, fewest: int = 1
) -> dict[str, list[dict[str, float]]]:
    """{name: its turns} of about so many seconds and at least so many calls; every other round in opposite order."""
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in players}
    for i in range(rounds):
        for name in list(players)[:: 1 if i % 2 == 0 else -1]:
            process, way, estimate = players[name]
            calls = max(fewest, min(100_000, round(seconds / max(estimate, 1e-7))))
            turns[name].append(process.turn(way, calls))
    return turns


def ratios(own: list[dict[str, float]], other: list[dict[str, float]], clock: str) -> tuple[float, float, float]:
    """Quartiles and median of the ratios of times, each formed within one round."""
    return quartiles([a[clock] / max(b[clock], 1e-12) for a, b in zip(own, other, strict=True)])


@dataclass
class Result:
    """A peer's whole step: ratio to the first peer (of the same round) with quartiles, milliseconds, memory, start."""

    peer: str
    ratio: float
    ratio_low: float
    ratio_high: float
    median_ms: float
    low_ms: float
    high_ms: float
    best_ms: float
    busy: float
    peak_mib: float
    first_step_s: float
    turns_ms: list[float]  # by round: the ratio of any two peers can be formed within one


def compare(
    peers: list[Peer],
    task: dict[str, Any],
    threads: int = 1,
    rounds: int = 7,
    steps: int = 1,
    seconds: float = 0.0,
    absent: dict[str, str] | None = None,
) -> list[Result]:
    """Time the step of each peer in turns of so many steps, or seconds if that is more; the first peer's ratio is 1.

    absent takes the reasons of those that could not take part; without it they raise.
    """
    players: dict[str, Player] = {}
    first: dict[str, float] = {}
    for peer in peers:
        process = Process(peer, threads)
        try:
            step = process.make(task)["ways"]["step"]
        except (Absent, RuntimeError) as reason:
            process.close()
            if absent is None:
                raise
            absent[peer.name] = str(reason)
            continue
        players[peer.name] = Player(process, "step", step["seconds"])
        first[peer.name] = step["first_s"]
    turns = in_turns(players, rounds, seconds, steps)
    clock, results = "cpu" if threads == 1 else "wall", []
    for name, player in players.items():
        times = Times.of(turns[name], clock)
        low, ratio, high = ratios(turns[name], turns[next(iter(players))], clock)
        ms = (1e3 * t for t in (times.median, times.low, times.high, times.best))
        own = [1e3 * t[clock] for t in turns[name]]
        results.append(Result(name, ratio, low, high, *ms, times.busy, player.process.peak_mib, first[name], own))
        player.process.close()
    return results


# ---------------------------------------------------------------------------------------------- the child's side


def use_checkout() -> None:
    """Import tinymed from this checkout if its kernels were built in place, else what is installed."""
    if any((HERE.parent / "tinymed").glob("_cuda*.so")) and str(HERE.parent) not in sys.path:
        sys.path.insert(0, str(HERE.parent))


def child(module: str, function: str, threads: int) -> None:
    """Make what is asked for, then time as many calls as each request wants."""
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # libraries may print
    sys.path.insert(0, str(HERE))
    make: Any = None
    ways: dict[str, Callable[[], Any]] = {}
    for line in sys.stdin:
        request, reply = json.loads(line), {}
        if "make" in request:
            ways.clear()  # the last task's memory goes first
            try:
                make = make or getattr(importlib.import_module(module), function)
                made = make(request["make"])
                made, reply["info"] = made if isinstance(made, tuple) else (made, {})
                ways.update(made if isinstance(made, dict) else {"step": made})
                reply["ways"] = {way: warmed(call) for way, call in ways.items()}
            except Absent as reason:
                reply["absent"] = str(reason)
            except Exception as failure:  # one case that fails must not end the others
                traceback.print_exc()
                reply["absent"] = f"{type(failure).__name__}: {failure}"
        else:
            reply["turn"] = timed(ways[request["run"]], request["calls"])
        reply["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        out.write(json.dumps(reply) + "\n")


def timed(call: Callable[[], Any], calls: int) -> dict[str, float]:
    """CPU and wall seconds of one of so many calls."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(calls):
        call()
    return {"cpu": (time.process_time() - cpu) / calls, "wall": (time.perf_counter() - wall) / calls}


def warmed(call: Callable[[], Any]) -> dict[str, float]:
    """Return the first call's wall seconds (compilation, capture), and the shortest of at least three more.

    The shortest: an estimate that took in a pause would leave turns of one call, on cold caches.
    """
    first = timed(call, 1)["wall"]
    end, calls, shortest = time.perf_counter() + 0.03, 0, math.inf
    while calls < 3 or (time.perf_counter() < end and calls < 1000):
        shortest, calls = min(shortest, timed(call, 1)["wall"]), calls + 1
    return {"first_s": first, "seconds": shortest}


# ------------------------------------------------------------------------------------------- machine and results


def machine() -> dict[str, Any]:
    """Return what the figures were measured on: processor, cores, versions; no host name."""
    import importlib.metadata as metadata

    model = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    versions = {}
    for package in ("numpy", "numba", "torch", "jax", "onnxruntime", "scikit-learn"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "absent"
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=HERE
    ).stdout.strip()
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **versions,
        "date": time.strftime("%Y-%m-%d"),
        "commit": commit,
    }


def traps(threads: int) -> dict[str, str]:
    """Return what could have falsified the figures here, and what was done about it; to be printed beside them."""
    found = {k: os.environ[k] for k in TRAPS if k in os.environ}
    load = f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores when it began"
    return {
        "variables": "none set" if not found else "removed: " + ", ".join(f"{k}={v}" for k, v in found.items()),
        "malloc": "rows called 'malloc' run with GLIBC_TUNABLES=" + TUNED_MALLOC + "; others with glibc's defaults, "
        "which unmap every tensor above 32 MiB when it is freed",
        "clock": "process CPU time on one thread; immune to neighbours but for the caches they share"
        if threads == 1
        else f"wall time on {threads} threads: a busy neighbour holds up every barrier",
        "spinning": "each peer in a process of its own, idle between its turns"
        + (f"; {PAUSE:g} s before each turn" if threads > 1 else ""),
        "load": load,
    }


def save(path: Path, content: Any) -> None:
    """Write JSON atomically, a line a row, so that a changed figure is a changed line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(lines(content) + "\n")
    temporary.replace(path)


def lines(content: Any) -> str:
    """Return JSON text: an entry of the outermost object a line; of an entry that has many, each on a line of its own.

    Example:
        >>> print(lines({"date": "2026-01-02", "rows": [{"a": 1}, {"a": 2}]}))
        {
         "date": "2026-01-02",
         "rows": [
          {"a": 1},
          {"a": 2}
         ]
        }
    """
    if isinstance(content, dict) and content:
        return "{\n" + ",\n".join(f" {json.dumps(k)}: {entry(v)}" for k, v in content.items()) + "\n}"
    return entry(content).replace("\n ", "\n")


def entry(value: Any) -> str:
    """Return the JSON text of one entry: a list of rows, or an object of objects, a line each."""
    if isinstance(value, list) and any(isinstance(v, dict | list) for v in value):
        return "[\n" + ",\n".join(f"  {json.dumps(v)}" for v in value) + "\n ]"
    if isinstance(value, dict) and any(isinstance(v, dict | list) for v in value.values()):
        return "{\n" + ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items()) + "\n }"
    return json.dumps(value)


def into_results(name: str, text: str, page: Path = PAGE) -> None:
    """Replace what stands between a page's two markers of this name."""
    marker = f"<!-- {name} -->"
    before, _, rest = page.read_text("utf-8").partition(marker)
    _, _, after = rest.partition(marker)
    page.write_text(f"{before}{marker}\n{text}\n{marker}{after}", "utf-8")


def table(results: list[Result]) -> str:
    """Return the results as text."""
    lines = [
        f"{'peer':30s} {'ratio':>6s} {'quartiles':>12s} {'median ms':>10s} {'best ms':>8s} {'peak MiB':>9s}  first s"
    ]
    for r in results:
        spread = f"{r.ratio_low:5.2f}..{r.ratio_high:4.2f}"
        times = f"{r.median_ms:10.2f} {r.best_ms:8.2f} {r.peak_mib:9.0f} {r.first_step_s:8.1f}"
        lines.append(f"{r.peer:30s} {r.ratio:6.3f} {spread:>12s} {times}")
    return "\n".join(lines)


def as_json(results: list[Result]) -> list[dict[str, Any]]:
    """Return the results as plain dictionaries, to five digits."""
    return [rounded(asdict(r)) for r in results]


def rounded(row: dict[str, Any]) -> dict[str, Any]:
    """Numbers to five digits: files that are compared line by line stay readable."""

    def short(v: Any) -> Any:
        return float(f"{v:.5g}") if isinstance(v, float) else [short(x) for x in v] if isinstance(v, list) else v

    return {k: short(v) for k, v in row.items()}


if __name__ == "__main__":
    sys.modules["peers"] = sys.modules["__main__"]  # the peer's module raises this Absent, not another
    child(sys.argv[1], sys.argv[2], int(sys.argv[3]))
