"""Peers in turns: each in a process of its own, asked for one timed turn after another: all meet the same noise.

A peer is a function `make(task) -> step` named in a module of this folder; `step()` does one blocking unit of work.
The parent starts each as `python peers.py MODULE FUNCTION TASK` and talks to it over its pipes.
"""

import importlib
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"
# glibc told never to give big blocks back: spares PyTorch a page fault every 4 KiB of every large tensor.
TUNED_MALLOC = "glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=17179869184"
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass
class Peer:
    """A rival: where its `make` is, and the environment it wants."""

    name: str
    module: str
    function: str
    environment: dict[str, str] = field(default_factory=dict)


@dataclass
class Result:
    """Median and spread of milliseconds a step, ratios to the first peer of the same round, memory and start."""

    peer: str
    ratio: float
    ratio_low: float
    ratio_high: float
    median_ms: float
    best_ms: float
    peak_mib: float
    first_step_s: float


def compare(peers: list[Peer], task: dict[str, Any], threads: int = 1, rounds: int = 7, steps: int = 3) -> list[Result]:
    """Time the peers round by round; process CPU time on one thread, wall time on more."""
    running = {p.name: start(p, task, threads) for p in peers}
    ready = {name: json.loads(answer(process, name)) for name, process in running.items()}
    times: dict[str, list[float]] = {name: [] for name in running}
    peak = dict.fromkeys(running, 0.0)
    for _ in range(rounds):
        for name, process in running.items():
            time.sleep(0.1)  # the last one's spinning workers fall asleep
            process.stdin.write(f"{steps}\n")
            process.stdin.flush()
            turn = json.loads(answer(process, name))
            times[name].append(min(turn["seconds"]))
            peak[name] = turn["peak_mib"]
    for process in running.values():
        process.stdin.close()
        process.wait()
    first = times[peers[0].name]
    results = []
    for name, own in times.items():
        ratios = [a / b for a, b in zip(own, first, strict=True)]
        results.append(Result(name, statistics.median(ratios), min(ratios), max(ratios), 1e3 * statistics.median(own),
                              1e3 * min(own), peak[name], ready[name]["first_step_s"]))  # fmt: skip
    return results


def start(peer: Peer, task: dict[str, Any], threads: int) -> Any:
    """The peer's process."""
    environment = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
    environment |= dict.fromkeys(THREADS, str(threads)) | peer.environment
    command = [
        sys.executable,
        str(HERE / "peers.py"),
        peer.module,
        peer.function,
        json.dumps(task | {"threads": threads}),
    ]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def answer(process: Any, name: str) -> str:
    """One line of a peer, or the reason why there is none."""
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{name} ended with exit code {process.wait()}")
    return str(line)


def child(module: str, function: str, task: dict[str, Any]) -> None:
    """The peer's side: make the step, then time as many as each line of standard input asks for."""
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # libraries may print
    sys.path.insert(0, str(HERE))
    step = getattr(importlib.import_module(module), function)(task)
    clock = time.process_time if task["threads"] == 1 else time.perf_counter
    begin = time.perf_counter()
    step()
    first = time.perf_counter() - begin
    step()
    out.write(json.dumps({"first_step_s": first}) + "\n")
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            begin = clock()
            step()
            seconds.append(clock() - begin)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        out.write(json.dumps({"seconds": seconds, "peak_mib": peak}) + "\n")


def machine() -> dict[str, Any]:
    """What the figures were measured on: processor, cores, versions; no host name."""
    import importlib.metadata as metadata

    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.processor())  # fmt: skip
    versions = {}
    for package in ("numpy", "numba", "torch", "scikit-learn"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "absent"
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=HERE
    ).stdout.strip()
    return {"processor": model, "cores": os.cpu_count(), "python": platform.python_version(), **versions,
            "date": time.strftime("%Y-%m-%d"), "commit": commit}  # fmt: skip


def save(path: Path, content: Any) -> None:
    """Write JSON atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(content, indent=1) + "\n")
    temporary.replace(path)


def into_readme(name: str, text: str) -> None:
    """Replace what stands between the README's two markers of this name."""
    marker = f"<!-- {name} -->"
    before, _, rest = README.read_text().partition(marker)
    _, _, after = rest.partition(marker)
    README.write_text(f"{before}{marker}\n{text}\n{marker}{after}")


def table(results: list[Result]) -> str:
    """The results as text."""
    lines = [
        f"{'peer':28s} {'ratio':>6s} {'low..high':>12s} {'median ms':>10s} {'best ms':>8s} {'peak MiB':>9s}  first"
    ]
    for r in results:
        spread = f"{r.ratio_low:5.2f}..{r.ratio_high:4.2f}"
        times = f"{r.median_ms:10.1f} {r.best_ms:8.1f} {r.peak_mib:9.0f} {r.first_step_s:6.1f}"
        lines.append(f"{r.peer:28s} {r.ratio:6.3f} {spread:>12s} {times}")
    return "\n".join(lines)


def markdown(results: list[Result]) -> str:
    """The results as a Markdown table."""
    lines = ["| | ratio of times | lowest to highest | median ms | peak MiB |", "|---|---|---|---|---|"]
    for r in results:
        spread = f"{r.ratio_low:.2f} to {r.ratio_high:.2f}"
        lines.append(f"| {r.peer} | {r.ratio:.2f} | {spread} | {r.median_ms:.0f} | {r.peak_mib:.0f} |")
    return "\n".join(lines)


def as_json(results: list[Result]) -> list[dict[str, Any]]:
    """The results as plain dictionaries."""
    return [asdict(r) for r in results]


if __name__ == "__main__":
    child(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
