"""Everything that needs a GPU, in one command of at most nine minutes:

    python benchmarks/device.py                    on a machine with a GPU, in a checkout
    python benchmarks/device.py --dry              the same code on any machine, on the emulated kernels at toy sizes
    python benchmarks/device.py --only tests,ops   some stages
    python benchmarks/device.py --resume           those that have not succeeded yet today

Stages run in order of importance, correctness first, each as a command of its own of at most two minutes.  Time that a
stage does not need goes to those after it; a stage that is still running when its time and that left over are used up
is killed, and what it had measured by then is kept.  A stage whose tool is missing says so.  Each result is printed as
a line of JSON as soon as it is there, failed tests as pytest meets them, and written to
benchmarks/results/<gpu>-<date>.json; a short table comes last.  The exit code is 1 if a stage failed.

A module that was carried here, built elsewhere for this Python and this GPU, is taken instead of building one:

    TINYMED_CUDA=1 TINYMED_EMULATED=0 TINYMED_CUDA_ARCH=90a python setup.py build_ext --inplace
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import device_table
from peers import HERE, save, use_checkout

ROOT = HERE.parent
SECONDS = 540.0  # nine minutes
LAST = 6000  # characters kept of what a stage printed


@dataclass
class Stage:
    """A command with a time limit.  tool: an executable without which it cannot run.

    out: the command takes `--out FILE`, and its result is what that file holds, however it ended.  goes_on: it keeps
    what it finds there, so --resume gives it what it had measured.  read: makes more of what it printed.
    """

    name: str
    seconds: float
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    tool: str = ""
    read: Callable[[str], dict[str, Any]] | None = None
    out: bool = False
    goes_on: bool = False


def stages(dry: bool, scratch: Path) -> list[Stage]:
    """Return all stages, in order of importance."""
    python, size = sys.executable, ["--backend", "emulated", "--quick"] if dry else ["--backend", "cuda"]
    unpooled = [python, str(HERE / "device_kernels.py"), *size, "--no-pool"]  # once with every sample, then with few

    def own(name: str, seconds: float, goes_on: bool = False) -> Stage:
        return Stage(name, seconds, [python, str(HERE / f"device_{name}.py"), *size], out=True, goes_on=goes_on)

    def sanitizer(name: str, seconds: float) -> Stage:
        driver = unpooled if name == "memcheck" else [*unpooled, "--quick"]
        command = ["compute-sanitizer", "--tool", name, "--error-exitcode", "99", *driver]
        return Stage(
            name,
            seconds,
            unpooled if dry else command,
            {"CUPY_ACCELERATORS": ""},
            "" if dry else "compute-sanitizer",
            sanitized,
            out=True,
        )

    setup = [python, "setup.py", "-q", "build_ext"]
    nothing = {"TINYMED_CUDA": "0", "TINYMED_EMULATED": "0"}
    build = [*setup, "--build-lib", str(scratch), "--build-temp", str(scratch)] if dry else [*setup, "--inplace"]
    return [
        own("environment", 15),
        Stage("build", 90, build, nothing if dry else {"TINYMED_CUDA": "1"}, "" if dry else "nvcc", built),
        Stage("tiles", 60, tiles(dry), read=tested),
        Stage("tests", 70, tests(dry), read=tested),
        own("kernels", 20),
        sanitizer("memcheck", 35),
        own("step", 45),
        own("ops", 75),
        own("timing", 60, goes_on=True),
        sanitizer("racecheck", 20),
        sanitizer("initcheck", 15),
        sanitizer("synccheck", 15),
        own("counters", 20),
    ]


PYTEST = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "--color=no", "-rfE"]  # -v: as they come
PYTEST += ["--continue-on-collection-errors"]


def tiles(dry: bool) -> list[str]:
    """Return the tests of every tile of every product, three directions, twice; --dry: of one tile."""
    files = ["tests/test_cuda_conv.py", "tests/test_cuda_ladders.py"]
    if dry:
        return [*PYTEST, "--require=emulated", "-n0", files[0], "-k", "test_convolution and 64x64 and volumes"]
    return [*PYTEST, *parallel(), "--require=cuda", *files, "-m", "full or not full", "-k", "not emulated"]


def parallel() -> list[str]:
    """Return pytest's options for several processes, where it can have them."""
    return ["-n", str(min(8, os.cpu_count() or 1))] if has("xdist") else []


def tests(dry: bool) -> list[str]:
    """Return every test with a case for the GPU, none of which may be skipped for want of it; --dry: one file's."""
    if dry:
        return [*PYTEST, "--require=emulated", "-n0", "tests/test_dropout.py", "-k", "emulated"]
    return [*PYTEST, *parallel(), "--require=cuda", "-k", "(cuda or cupy) and not test_cuda", "tests"]


def has(module: str) -> bool:
    """Return whether a Python package can be imported."""
    from importlib.util import find_spec

    return find_spec(module) is not None


# ------------------------------------------------------------------------------------- what the stages printed


def tested(said: str) -> dict[str, Any]:
    """Counts, and the names of the tests that failed."""
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|skipped|errors?|deselected)\b", said)}
    calls = re.findall(r"backend (\w+): (\d+) native kernel calls, (\d+) fell back", said)
    return {
        "counts": counts,
        "failed": sorted({test for line in said.splitlines() if (test := failure(line))})[:50],
        "kernel_calls": {name: {"native": int(n), "fallback": int(f)} for name, n, f in calls},
    }


def failure(line: str) -> str:
    """Return the test that a line of pytest reports as failed, or nothing: in passing, by a process, or at the end."""
    found = re.match(r"(?:\[gw\d+\] .*)?(?:FAILED|ERROR) (\S+::.+?)(?: - .*)?$", line)
    found = found or re.match(r"(\S+::.+) (?:FAILED|ERROR)\b", line)
    return found[1].strip() if found else ""


def carried() -> bool:
    """Return whether tinymed/_cuda was built elsewhere, for this Python, and lies in the checkout."""
    use_checkout()
    from tinymed.cuda import modules

    return (modules.PACKAGE / f"_cuda{modules.SUFFIX}").exists()


def built(said: str) -> dict[str, Any]:
    """Return registers and spills that ptxas reported, of the kernels that spill."""
    use_checkout()
    from tinymed.cuda import modules, ptxas

    record = modules.record()
    usage = ptxas.usage(record.get("_cuda", {}).get("log", ""))
    return {
        "modules": {name: note["why"] or "built" for name, note in record.items()},
        "kernels": len(usage),
        "registers": max((u.registers for u in usage.values()), default=0),
        "spilling": {name: u.spilled for name, u in usage.items() if u.spilled},
    }


def sanitized(said: str) -> dict[str, Any]:
    """Return what compute-sanitizer found: its own summary, and the first findings."""
    return {"summary": re.findall(r"=+ (\w+ SUMMARY: .*)", said), "findings": re.findall(r"=+ (.+)", said)[:20]}


# --------------------------------------------------------------------------------------------------- running them


def run(stage: Stage, seconds: float, scratch: Path) -> dict[str, Any]:
    """Return the record of one stage, which may take so many seconds."""
    record: dict[str, Any] = {"status": "", "command": stage.command, "limit": round(seconds, 1)}
    if stage.tool and not shutil.which(stage.tool) and not (stage.tool == "nvcc" and Path("/usr/local/cuda").exists()):
        return record | {"status": f"missing: {stage.tool} was not found"}
    if stage.name == "build" and carried() and "--build-lib" not in stage.command:
        return record | {"status": "ok", "said": "a module of kernels was carried here"}
    if seconds < 5:
        return record | {"status": "left out: no time"}
    result = scratch / f"{stage.name}.json"
    command = [*stage.command, "--out", str(result)] if stage.out else stage.command
    environment = os.environ | stage.environment | {"PYTHONUNBUFFERED": "1"}
    if any((ROOT / "tinymed").glob("_cuda*.so")):  # built in place, by the stage before; else the installed package
        environment["PYTHONPATH"] = str(ROOT)
    started = time.monotonic()
    code, said = limited(command, environment, seconds, scratch / f"{stage.name}.log")
    record |= {"seconds": round(time.monotonic() - started, 1), "code": code, "said": said[-LAST:]}
    record["status"] = {0: "ok", None: f"killed after {seconds:.0f} s"}.get(code, f"failed with exit code {code}")
    if result.exists():
        record["result"] = json.loads(result.read_text())
    if stage.read:
        record["read"] = stage.read(said)
    return record


def told(record: dict[str, Any]) -> dict[str, Any]:
    """Return what is printed of a stage's record: all but the command and what it said."""
    return {key: value for key, value in record.items() if key not in ("command", "said", "limit", "code")}


def limited(command: list[str], environment: dict[str, str], seconds: float, log: Path) -> tuple[int | None, str]:
    """(exit code, output) of a command; None if it had to be killed, with all that it started."""
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT, env=environment, start_new_session=True
        )
        due, shown = time.monotonic() + seconds, 0
        code = None
        while code is None and time.monotonic() < due:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(min(1.0, max(due - time.monotonic(), 0.01)))
            shown = tell_failures(log, shown)
        if code is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return code, log.read_text(errors="replace")


def tell_failures(log: Path, shown: int) -> int:
    """Print the tests that a log reports as failed since its line number `shown`; return how many lines it has."""
    *lines, _ = log.read_text(errors="replace").split("\n")  # the last may be half written
    for line in lines[shown:]:
        if failure(line):
            print(line, flush=True)
    return len(lines)


def gpu() -> str:
    """Return one word for this machine's GPU, "none" without one."""
    smi = shutil.which("nvidia-smi")
    if not smi:
        return "none"
    done = subprocess.run([smi, "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True)
    return model(done.stdout) if done.returncode == 0 and done.stdout.strip() else "none"


def model(name: str) -> str:
    """Return a GPU's short name, "NVIDIA H100 80GB HBM3" -> "h100": the first word with a digit, else the last."""
    words = re.findall(r"[a-z0-9]+", name.lower())
    return next((w for w in words if re.search(r"\d", w) and not w.endswith("gb")), words[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="", help="the file of results")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for all stages together")
    parser.add_argument("--only", default="", help="names of stages, separated by commas")
    parser.add_argument("--resume", action="store_true", help="leave out the stages that the file says are ok")
    parser.add_argument("--dry", action="store_true", help="no GPU: emulated kernels, toy sizes, nothing is installed")
    o = parser.parse_args()
    name = "dry" if o.dry else gpu()
    if name == "none":
        raise SystemExit("no GPU that nvidia-smi knows; --dry runs the same code on emulated kernels")
    with tempfile.TemporaryDirectory() as folder:
        chosen = stages(o.dry, Path(folder))
        wanted = [w for w in o.only.split(",") if w]
        if unknown := set(wanted) - {s.name for s in chosen}:
            raise SystemExit(f"--only {', '.join(unknown)}: choose from {', '.join(s.name for s in chosen)}")
        chosen = [s for s in chosen if not wanted or s.name in wanted]
        path = Path(o.out) if o.out else HERE / "results" / f"{name}-{time.strftime('%Y-%m-%d')}.json"
        results: dict[str, Any] = {"gpu": name, "date": time.strftime("%Y-%m-%d"), "stages": {}}
        if o.resume and path.exists():
            results["stages"] = json.loads(path.read_text())["stages"]
            chosen = [s for s in chosen if results["stages"].get(s.name, {}).get("status") != "ok"]
        scale = min(1.0, o.seconds / max(sum(s.seconds for s in chosen), 1.0))
        if o.dry:
            scale = 8.0  # nothing is lent by the minute here, and the machine may have other work
            results["note"] = "toy sizes on emulated kernels: that everything runs; no figure here is a speed"
        started, due = time.monotonic(), 0.0
        for stage in chosen:
            due += stage.seconds * scale
            before = results["stages"].get(stage.name, {}).get("result")
            if stage.goes_on and before:
                Path(folder, f"{stage.name}.json").write_text(json.dumps(before))
            results["stages"][stage.name] = run(stage, due - (time.monotonic() - started), Path(folder))
            results["seconds"] = round(time.monotonic() - started, 1)
            save(path, results)
            print(json.dumps({"stage": stage.name} | told(results["stages"][stage.name])), flush=True)
    print("\n" + device_table.text(results) + f"\nwritten to {path}")
    sys.exit(any(re.match("failed|killed", s["status"]) is not None for s in results["stages"].values()))


if __name__ == "__main__":
    main()
