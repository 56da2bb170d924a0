"""`tinymed emulate` on every program of three public repositories, unchanged; no GPU is asked.

    python benchmarks/public_files.py SOURCES [--work FOLDER] [--limit 300] [--only WORD] [--again CLASS]

SOURCES holds checkouts of REPOSITORIES, owner+name each; they are read and run there, and nothing of them is kept but
names, commits, classes and seconds.  Each file runs by the command that a user gives; seconds are those of the
processor, so that other work beside it does not count.  A run is
judged by its exit code and by what its own check prints; a program that checks nothing runs a second time with its
threads backwards, and must print the same but for numbers with a fraction, which may be times.  What does not compile
or is refused is given to nvcc, if there is one: what nvcc refuses too, but for a header that is not there, is no
program.  One that fails runs again under --check: a fault that is named is the program's own.
"""

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from timing import commit_of

from tinymed.cuda.build import Absent, find_nvcc

RESULT = Path(__file__).with_name("results") / "emulate_public.json"
REPOSITORIES = {  # the folders that are read
    "CoffeeBeforeArch/cuda_programming": ("",),
    "olcf/cuda-training-series": ("exercises",),
    "deeperlearning/professional-cuda-c-programming": tuple(f"examples/chapter0{n}" for n in range(1, 7)),
}
CHECKED, SAME, REFUSED, SLOW, NO_PROGRAM, UNCOMPILED, OWN_FAULT, FAILED, WRONG = CLASSES = (
    "ran, own check right",
    "ran, checks nothing, same backwards",
    "refused by name",
    "not ended",
    "refused by nvcc too",
    "does not compile",
    "failed by a fault of its own, named",
    "failed",
    "wrong",
)
RIGHT = CHECKED, SAME
HAS_CHECK = re.compile(r"\bassert\s*\(|\bcheckResults?\s*\(|mismatch|(do|does)( not|n't) match|verify|should be", re.I)
COMPLAINT = re.compile(r"mismatch|(do|does)( not|n't) match|incorrect|\bwrong\b|\bfail(ed|ure)?\b|assertion", re.I)
NO_HEADER = re.compile(r"cannot open source file|No such file or directory")
FAULT = re.compile(r"[a-z-]+: ")  # the first line of a report
PATIENCE = 8  # times the limit, by the clock: a program may wait for what never comes
MAIN = re.compile(r"\bmain\s*\(")


class Run(NamedTuple):
    """A run of a program: its exit code, None if it was stopped, what it printed, its seconds."""

    code: int | None
    out: str
    err: str
    seconds: float


def emulated(path: Path, limit: int, *options: str) -> Run:
    """Run a file by the command, for at most so many seconds of the processor."""
    command = [sys.executable, "-m", "tinymed", "emulate", *options, str(path)]
    with tempfile.TemporaryFile("w+", errors="replace") as out, tempfile.TemporaryFile("w+", errors="replace") as err:
        child = subprocess.Popen(
            ["prlimit", f"--cpu={limit}", *command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
            env=environment(),
        )
        stop = threading.Timer(
            PATIENCE * limit, os.killpg, (child.pid, signal.SIGKILL)
        )  # it waits for what never comes
        stop.start()
        _, status, used = os.wait4(child.pid, 0)
        stop.cancel()
        child.returncode = code = os.waitstatus_to_exitcode(status)
        for file in (out, err):
            file.seek(0)
        stopped = code in (-signal.SIGKILL, -signal.SIGXCPU, 128 + signal.SIGXCPU, 128 + signal.SIGKILL)
        return Run(None if stopped else code, out.read(), err.read(), used.ru_utime + used.ru_stime)


def environment() -> dict[str, str]:
    """Return the environment of a run: this checkout's package is the one that is tried."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}


def refused_by_nvcc(path: Path) -> str:
    """Return the first error of nvcc for a file, or nothing if it takes the file or is not there."""
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(Absent):
        command = [find_nvcc(), "-arch=sm_80", "-rdc=true", "-c", str(path), "-o", f"{folder}/x.o"]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        said = done.stdout + done.stderr
        if done.returncode and not NO_HEADER.search(said):
            errors = [line for line in said.splitlines() if "error" in line]
            return re.sub(r"^.*?\(\d+\): ", "", errors[0]) if errors else "nvcc failed"
    return ""


def steady(text: str) -> str:
    """Return a program's output without its own path and numbers with a fraction, which may be times."""
    text = re.sub(r"\S*/emulate/\S+", "program", text)
    return re.sub(r"-?\d+\.\d+(e[-+]?\d+)?", "#", text)


def judged(path: Path, limit: int) -> dict[str, Any]:
    """Return the class of a file, with its seconds and what was said."""
    run = emulated(path, limit)
    found: dict[str, Any] = {"seconds": round(run.seconds), "out": run.out[-3000:], "err": run.err[-1500:]}
    text = path.read_text(errors="replace")
    if run.code is None:
        return found | {"class": SLOW}
    refused = run.code == 71
    if refused or (run.code == 2 and "tinymed:" in run.err):
        if nvcc := refused_by_nvcc(path):
            return found | {"class": NO_PROGRAM, "why": nvcc}
        return found | {"class": REFUSED if refused else UNCOMPILED, "why": last(run.err)}
    if run.code:
        why, checked = f"exit code {run.code}: {last(run.err)}", emulated(path, limit, "--check")
        fault = next(filter(FAULT.match, checked.err.splitlines()), "")
        if checked.code == 70 and not fault.startswith("call: "):  # a GPU that is not there is no fault of the program
            return found | {"class": OWN_FAULT, "why": fault}
        return found | {"class": FAILED, "why": why}
    if complaint := COMPLAINT.search(run.out) or COMPLAINT.search(run.err):
        return found | {"class": WRONG, "why": complaint[0]}
    if HAS_CHECK.search(text):
        return found | {"class": CHECKED}
    again = emulated(path, limit, "--seed", "1")
    if again.code is None:
        return found | {"class": SLOW, "why": "backwards"}
    same = again.code == run.code and sorted(steady(again.out).splitlines()) == sorted(steady(run.out).splitlines())
    return found | ({"class": SAME} if same else {"class": WRONG, "why": "prints something else backwards"})


def last(text: str) -> str:
    """Return the last line of a text."""
    return (text.strip().splitlines() or [""])[-1]


def programs(checkout: Path, folders: tuple[str, ...]) -> Iterator[Path]:
    """Yield the files that have a main."""
    for folder in folders:
        for path in sorted((checkout / folder).rglob("*.cu")):
            if MAIN.search(path.read_text(errors="replace")):
                yield path


def report(kept: dict[str, Any], before: dict[str, Any], sources: Path, limit: int) -> dict[str, Any]:
    """Return what is published: by repository and class the files, with their seconds or why they are there.

    A file that did not run now stays in the class that the result before has it in, and is counted as such.
    """
    result: dict[str, Any] = {}
    earlier = 0
    for name in REPOSITORIES:
        rows = {key.partition(":")[2]: row for key, row in kept.items() if key.startswith(f"{name}:")}
        of: dict[str, Any] = {"commit": commit_of(sources / name.replace("/", "+"))[:12]}
        for kind in CLASSES:
            old = before.get(name, {}).get(kind, {})
            of[kind] = {path: said for path, said in old.items() if path not in rows}
            earlier += len(of[kind])
            what = "seconds" if kind in RIGHT else "why"
            of[kind] |= {path: row.get(what, "") for path, row in rows.items() if row["class"] == kind}
        result[name] = of
    counts = {kind: sum(len(of[kind]) for of in result.values()) for kind in CLASSES}
    fair = max(1, sum(counts.values()) - counts[NO_PROGRAM])
    right = sum(counts[kind] for kind in RIGHT)
    about = {"date": str(date.today()), "processor": "Intel Xeon, two cores", "limit_cpu_s": limit, "programs": fair}
    about |= {"right": right, "share": round(right / fair, 3), "stand_as_before": earlier}
    return about | {**counts, "repositories": result}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", type=Path)
    parser.add_argument("--work", type=Path, default=Path("public-work"), help="where runs are kept")
    parser.add_argument("--limit", type=int, default=300, help="seconds of the processor, for each run")
    parser.add_argument("--only", default="", help="files with one of these words in their names")
    parser.add_argument("--again", action="append", default=[], help="run files of this class again")
    o = parser.parse_args()
    o.work.mkdir(parents=True, exist_ok=True)
    store = o.work / "runs.json"
    kept: dict[str, Any] = json.loads(store.read_text()) if store.exists() else {}
    for name, folders in REPOSITORIES.items():
        checkout = o.sources / name.replace("/", "+")
        for path in programs(checkout, folders):
            key = f"{name}:{path.relative_to(checkout)}"
            if not any(word in key for word in o.only.split(",")) or (
                key in kept and kept[key]["class"] not in o.again
            ):
                continue
            kept[key] = judged(path, o.limit)
            row = kept[key]
            print(f"{key}: {row['class']}, {row['seconds']} s {row.get('why', '')}", flush=True)
            store.write_text(json.dumps(kept, indent=1))
    before = json.loads(RESULT.read_text())["repositories"] if RESULT.exists() else {}
    found = report(kept, before, o.sources, o.limit)
    print({key: value for key, value in found.items() if key != "repositories"})
    RESULT.write_text(json.dumps(found, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
