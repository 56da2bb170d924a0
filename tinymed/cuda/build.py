"""Compile csrc/: with nvcc into `tinymed._cuda`, with g++ into `tinymed._cuda_emulated` and `tinymed._cuda_checked`.

setup.py runs this file before anything is installed, so it needs nothing but the standard library and pybind11.  The
checked module is the emulated one with every load and store of a kernel reporting itself (csrc/emulator/checker.cpp).
"""

import contextlib
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

MODULES = {"_cuda": "TINYMED_CUDA", "_cuda_emulated": "TINYMED_EMULATED", "_cuda_checked": "TINYMED_EMULATED"}
PACKAGE = Path(__file__).resolve().parents[1]
CSRC = PACKAGE / "csrc"  # the kernels' sources, where the package was installed
if not CSRC.is_dir():
    CSRC = PACKAGE.parent / "csrc"  # and in a checkout
RECORD = "_cuda_build.json"  # beside the modules: what was built, what was not and why
RELEASE = "75 80 86 89 90a"  # Turing to Hopper; sm_90a keeps wgmma open, PTX of 9.0 serves what comes later
HOST = ["-std=c++17", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unknown-pragmas"]
# No vectorising and no splitting of a float4, or accesses would not be those of the source.  In DWARF 5 addr2line 2.40
# takes some lines of a header for the kernel file's.
CHECKED = [
    "-O1",
    "-gdwarf-4",
    "-fsanitize=thread",
    "-fsanitize=bounds",
    "-fno-tree-vectorize",
    "-fno-tree-sra",
    "-fno-optimize-sibling-calls",
    "--param=tsan-instrument-func-entry-exit=0",
]
FAST = ["-O2", "-g1", "-ffp-contract=off"]


class Absent(RuntimeError):
    """A tool that a module is built with cannot be had here."""


class Failed(RuntimeError):
    """A tool refused a source file; the message is what it said."""


# ------------------------------------------------------------------------------------------------------- tools


def find_nvcc() -> str:
    """Return the path of nvcc: NVCC, CUDA_HOME, CUDA_PATH, the usual folder, PATH, then NVIDIA's wheels.

    Absent if none.
    """
    homes = [os.environ.get(name) for name in ("CUDA_HOME", "CUDA_PATH")]
    wheels = [Path(p, "nvidia", w) for p in sys.path for w in ("cu13", "cu12", "cuda_nvcc")]
    folders = [Path(h) for h in (*homes, "/usr/local/cuda") if h]
    tried = [
        os.environ.get("NVCC"),
        *(str(f / "bin" / "nvcc") for f in folders),
        shutil.which("nvcc"),
        *(str(w / "bin" / "nvcc") for w in wheels),
    ]
    found = next((t for t in tried if t and Path(t).exists()), None)
    if found is None:
        raise Absent("no nvcc in NVCC, CUDA_HOME, CUDA_PATH, /usr/local/cuda, PATH or NVIDIA's wheels")
    return found


def find_gxx() -> str:
    """Return the C++ compiler of the emulator: CXX or g++, on Linux, on a processor whose stacks it can switch."""
    if not sys.platform.startswith("linux"):
        raise Absent(f"the emulator runs on Linux, this is {sys.platform}")
    if platform.machine() not in ("x86_64", "aarch64"):
        raise Absent(f"the emulator runs on x86-64 and AArch64, this is {platform.machine()}")
    found = shutil.which(os.environ.get("CXX") or "g++")
    if found is None:
        raise Absent("no g++ (CXX, PATH)")
    return found


def includes() -> list[str]:
    """-I flags for Python and pybind11."""
    try:
        import pybind11
    except ImportError as error:
        raise Absent(f"pybind11 is not installed ({error}); pip install 'tinymed[emulator]' brings it") from None
    return [f"-I{pybind11.get_include()}", f"-I{sysconfig.get_path('include')}"]


def run(command: Sequence[str], what: str = "") -> str:
    """Return what a tool printed; Failed, beginning with what could not be done, if it did not succeed."""
    done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603  a compiler found above
    if done.returncode:
        what = what or f"{Path(command[0]).name} failed"
        raise Failed(f"{what}\n{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def architectures() -> list[str]:
    """TINYMED_CUDA_ARCH: "release", or a list like "80 90a"; else this machine's GPU, else 80 (newer ones run it)."""
    wanted = os.environ.get("TINYMED_CUDA_ARCH", "")
    if wanted:
        return re.split(r"[ ,;]+", RELEASE if wanted == "release" else wanted.strip())
    smi = shutil.which("nvidia-smi")
    try:
        found = run([smi, "--query-gpu=compute_cap", "--format=csv,noheader"]).split() if smi else []
    except Failed:
        found = []
    caps = sorted({c.replace(".", "") for c in found if re.fullmatch(r"\d+\.\d", c)})
    return [c + "a" if c == "90" else c for c in caps] or ["80"]


def gencode(nvcc: str) -> list[str]:
    """Machine code for each GPU generation that is wanted and known to nvcc, and PTX of the newest for later ones."""
    known = set(re.findall(r"compute_(\d+)", run([nvcc, "--list-gpu-arch"])))
    usable = [a for a in architectures() if a.rstrip("af") in known]
    if not usable:
        raise Failed(f"nvcc knows none of the architectures {architectures()}; it knows {sorted(known, key=int)}")
    newest = max(int(a.rstrip("af")) for a in usable)
    each = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in usable]
    return [*each, f"-gencode=arch=compute_{newest},code=compute_{newest}"]


# ---------------------------------------------------------------------------------------------------- compiling


class Job(NamedTuple):
    """One source file, and the command that compiles it, without its output."""

    source: Path
    command: list[str]


def kernels(csrc: Path) -> list[Path]:
    """Return every kernel file of the engine."""
    return sorted(csrc.glob("*.cu"))


def rungs(csrc: Path) -> list[Path]:
    """Return every kernel file of the ladders; the emulator compiles each when it is first called."""
    return sorted(csrc.glob("ladders/*.cu"))


def of_a_gpu(csrc: Path) -> list[Path]:
    """Return the kernel files that `_cuda` is made of: TINYMED_LADDERS=0 leaves out the ladders, two thirds of them."""
    return [*kernels(csrc), *(() if os.environ.get("TINYMED_LADDERS") == "0" else rungs(csrc))]


def hosts(csrc: Path) -> list[Path]:
    """Return the files of every module that hold no kernel."""
    return sorted(csrc.glob("*.cpp"))


def device_jobs(csrc: Path, sources: Sequence[Path]) -> tuple[list[Job], list[str]]:
    """Return what compiles the kernels for a GPU, and the start of the command that links `_cuda`."""
    nvcc = find_nvcc()
    base = [nvcc, "-std=c++17", "-O3", f"-I{csrc}", "-Xcompiler", ",".join(HOST[1:])]
    device = [*base, "-lineinfo", "-Xptxas", "-v", *gencode(nvcc), "-c"]
    jobs = [Job(source, [*device, str(source)]) for source in sources]
    jobs += [Job(source, [*base, *includes(), "-c", str(source)]) for source in hosts(csrc)]
    return jobs, [nvcc, "-shared", "-cudart", "static", "-Xlinker", "--exclude-libs,ALL"]


def emulated_jobs(csrc: Path, sources: Sequence[Path], options: Sequence[str]) -> tuple[list[Job], list[str]]:
    """Return what compiles the kernels for the emulator, the emulator itself, and the start of the link command."""
    base = [find_gxx(), *HOST, "-fno-strict-aliasing", "-fdata-sections", f"-I{csrc / 'emulator'}", f"-I{csrc}"]
    kernel = [*base, *options, "-x", "c++", "-c"]
    jobs = [Job(source, [*kernel, str(source)]) for source in sources]
    jobs += [Job(source, [*base, "-O2", "-g", "-c", str(source)]) for source in sorted(csrc.glob("emulator/*.cpp"))]
    jobs += [Job(source, [*base, "-O1", *includes(), "-c", str(source)]) for source in hosts(csrc)]
    script = f"-Wl,-Bsymbolic,-T,{csrc / 'emulator' / 'shared.ld'}"  # symbolic: gdb finds this module's threadIdx first
    return jobs, [find_gxx(), "-shared", script, "-ldl"]


def object_of(job: Job, csrc: Path, folder: Path, module: str, emulator: Path) -> Path:
    """Return the object file of a source.  Kernels' end in .cu.o, by which shared.ld knows them.

    All emulated modules share the emulator's, which lie in a folder of their own.
    """
    emulators = module != "_cuda" and job.source.suffix == ".cpp"
    inside = job.source.is_relative_to(csrc)
    parts = job.source.relative_to(csrc).parts if inside else job.source.parts[-2:]
    name = "_".join(parts)
    return (emulator if emulators else folder / module) / f"{name}.o"


def compile_object(job: Job, target: Path, newest_header: float) -> None:
    """Compile if the object is older than its source, a header or its command; what the tool said lies beside it.

    Of several processes that want one object at once the first compiles it and the others wait.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with alone(target.with_suffix(".lock")):
        compile_stale(job, target, newest_header)


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold a lock file; where there are no such locks (Windows), or the folder keeps none, go on without."""
    with path.open("w") as held:
        with contextlib.suppress(ImportError, OSError):
            import fcntl

            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def compile_stale(job: Job, target: Path, newest_header: float) -> None:
    """Compile if the object is older than what it is made of."""
    said, asked, command = target.with_suffix(".log"), target.with_suffix(".command"), " ".join(job.command)
    fresh = target.exists() and target.stat().st_mtime >= max(newest_header, job.source.stat().st_mtime)
    if fresh and said.exists() and asked.exists() and asked.read_text() == command:
        return
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:  # complete or absent: builds may share objects
        made = Path(folder, target.name)
        said.write_text(run([*job.command, "-o", str(made)], f"{job.source.name} does not compile"))
        made.replace(target)
    asked.write_text(command)


def build(
    module: str,
    csrc: Path,
    folder: Path,
    target: Path,
    sources: Sequence[Path] = (),
    options: Sequence[str] = (),
    emulator: Path | None = None,
    done: Callable[[str], None] = lambda source: None,
) -> str:
    """Build one of MODULES into the file target, which is whole or not there; return what the tools said.

    folder: where objects are kept; only what changed is compiled, as many files at once as there are processors.
    sources: other kernel files than csrc's own.  options: of g++ for them, after its own: -O0 -g for a debugger.
    emulator: where the objects of the emulator itself are kept; by default folder / "emulator".
    done: called with the name of each source once it is compiled.
    """
    if module == "_cuda":
        jobs, link = device_jobs(csrc, sources or of_a_gpu(csrc))
    else:
        jobs, link = emulated_jobs(
            csrc, sources or kernels(csrc), [*(CHECKED if module == "_cuda_checked" else FAST), *options]
        )
    headers = [h for pattern in ("*.h", "*.cuh", "ladders/**/*.cuh", "emulator/*.h") for h in csrc.glob(pattern)]
    newest = max(h.stat().st_mtime for h in headers)

    def newest_header(source: Path) -> float:
        beside = [] if source.is_relative_to(csrc) else source.parent.glob("*.cuh")
        return max([newest, *(h.stat().st_mtime for h in beside)])

    objects = [object_of(job, csrc, folder, module, emulator or folder / "emulator") for job in jobs]

    def compile_job(job: Job, made: Path) -> None:
        compile_object(job, made, newest_header(job.source))
        done(job.source.name)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(compile_job, jobs, objects))
    target.parent.mkdir(parents=True, exist_ok=True)
    log = "".join(o.with_suffix(".log").read_text() for o in objects)
    with tempfile.TemporaryDirectory(dir=target.parent) as unfinished:
        linked = Path(unfinished, target.name)
        log += run([*link, *map(str, objects), "-o", str(linked)], f"{target.name} cannot be linked")
        linked.replace(target)
    return log
