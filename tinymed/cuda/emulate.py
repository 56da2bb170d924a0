"""Other people's CUDA files on this processor, unchanged: translated, compiled by a C++ compiler, run, checked.

    run(Path("my.cu"), Options(check=True))        its main, in a process of its own; returns a Report
    emulate("my.cu", "add", 4, 256, out, a, b, n)  one kernel on NumPy's arrays

The runtime (csrc/emulate and csrc/emulator) is compiled once and kept; csrc's own kernels are never compiled here.
"""

import contextlib
import hashlib
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import UserError
from ..files import cache_folder
from .build import CHECKED, CSRC, Absent, Failed, compile_object, find_gxx
from .build import Job as BuildJob
from .emulated import KernelError, Row, lines, located, with_lines
from .translate import Kernel, Refused, Translation, Translator

FAULT, REFUSED, HUNG, INTERRUPTED = 70, 71, 72, 130  # as in csrc/emulate/process.h
ARCHITECTURES = (70, 75, 80, 86, 87, 89, 90, 100, 120)
BASE = ["-std=c++17", "-fPIE", "-fno-strict-aliasing", f"-I{CSRC / 'emulate'}", f"-I{CSRC / 'emulator'}"]
RUNTIME = ["-DEMU_RUNTIME", "-fvisibility=hidden", "-Wall", "-Wextra", "-O2", "-g1"]
USER = ["-w", "-Wno-narrowing", "-include", "cuda_runtime.h", "-x", "c++"]
FAST = ["-O2", "-g1", "-ffp-contract=off"]
INSTRUMENTED = [*CHECKED, "--param=tsan-distinguish-volatile=1"]
# A plain run with volatile accesses, which let other threads run: they report themselves, and the hooks of the others
# return at once.
STEPWISE = ["-fsanitize=thread", "--param=tsan-distinguish-volatile=1", "--param=tsan-instrument-func-entry-exit=0"]
LINK = ["-ldl", "-lpthread"]
OVERFLOW = ["-fsanitize=signed-integer-overflow"]


@dataclass(frozen=True)
class Options:
    """How a file is compiled and run.

    check: watch every access.  profile: blocks of each launch to count accesses in.  seed: the order of threads and
    blocks, 0 as numbered, 1 backwards, else shuffled.  arch: compute capability, 80 for 8.0.  patience: seconds that a
    kernel may wait without any progress.  folders: of -I.  defines: of -D.  sample: a few blocks of each launch run,
    unchecked, and the report says what they asked of memory; what the kernels write is incomplete.
    """

    check: bool = False
    profile: int = 0
    seed: int = 0
    arch: int = 80
    patience: float = 10
    folders: tuple[Path, ...] = ()
    defines: tuple[str, ...] = ()
    sample: bool = False


class Report(NamedTuple):
    """What became of a program: its exit code, the fault if any, notes, the profile by line, and sampled launches."""

    code: int
    what: str
    notes: tuple[str, ...]
    rows: tuple[Row, ...]
    launches: tuple[dict[str, Any], ...] = ()

    @property
    def fault(self) -> KernelError | None:
        """The fault as an exception that knows its kind, file and line."""
        return KernelError(self.what) if self.what and self.code in (FAULT, HUNG) else None


# ----------------------------------------------------------------------------------------------------- compiling


def cache() -> Path:
    """Return the folder that the compiled runtime and programs are kept in."""
    folder = cache_folder() / "emulate"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        folder = Path(tempfile.gettempdir()) / f"tinymed-emulate-{os.getuid()}"
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def digest(*parts: str | bytes) -> str:
    """Return a short name for a content."""
    joined = b"\0".join(p.encode("utf-8", "surrogateescape") if isinstance(p, str) else p for p in parts)
    return hashlib.sha256(joined).hexdigest()[:16]


def runtime(blas: bool = False) -> list[Path]:
    """Return the objects of the runtime; they are compiled at the first use and after a change of their sources.

    blas: with those of cuBLAS, which few files need.
    """
    compiler = find_gxx()
    sources = sorted([*CSRC.glob("emulate/*.cpp"), *CSRC.glob("emulator/*.cpp")])
    sources.sort(key=lambda s: s.stem == "process")  # last: what it does at the end comes before others are destroyed
    headers = sorted([*CSRC.glob("emulate/*.h"), *CSRC.glob("emulator/*.h")])
    name = digest(compiler, *RUNTIME, *(f.read_bytes() for f in [*sources, *headers]))
    folder = cache() / f"runtime-{name}"
    sources = [s for s in sources if blas or s.stem != "cublas"]
    jobs = [BuildJob(s, [compiler, *BASE, *RUNTIME, "-c", str(s)]) for s in sources]
    objects = [folder / f"{s.parent.name}_{s.stem}.o" for s in sources]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda job, target: compile_object(job, target, 0.0), jobs, objects))
    return objects


def translated(path: Path, folders: Sequence[Path], target: Path) -> Translation:
    """Return a file's translation, its headers written into target.  Refused, or UserError if it cannot be read."""
    try:
        return Translator(folders, target).translate(path)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None


def compiled(path: Path, options: Options, entry: str = "") -> tuple[Path, tuple[Kernel, ...]]:
    """Return the program of a file and the kernels it defines.

    entry: C++ that takes the place of the file's own main.  Raises Refused for what is not supported, Failed for what
    is no C++, Absent without a compiler.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a CUDA file")
    compiler = find_gxx()
    with tempfile.TemporaryDirectory(dir=cache()) as scratch:
        made = translated(path, options.folders, Path(scratch))
        headers = [f.read_bytes() for f in made.included]
        objects = runtime(blas=any(b"cublas_v2.h" in said for said in (made.text.encode("utf-8", "replace"), *headers)))
        watched = options.check or options.profile or options.sample
        flags = [*(INSTRUMENTED if watched else FAST), *(OVERFLOW if options.check else [])]
        flags += STEPWISE if made.volatile and not watched else []
        flags += [f"-I{f}" for f in (path.parent, *options.folders)] + [f"-D{d}" for d in options.defines]
        flags += ["-Dmain=emu_main_of_the_file"] if entry else []
        text = f'{made.text}\n#line 1 "entry"\n#undef main\n{entry}\n' if entry else made.text
        said = text.replace(scratch, "")  # where translated headers lie, another folder each time
        name = digest(*map(str, objects), said, *headers, *flags, *LINK)
        program = cache() / f"{path.stem[:40]}-{name}"
        if not program.exists():
            source = Path(scratch, "program.cpp")
            source.write_text(text, "utf-8", errors="surrogateescape")
            plain = {**os.environ, "LC_ALL": "C"}  # messages that `refusal` can read
            part, built = Path(scratch, "program.o"), Path(scratch, "program")
            # Linked by a command of its own: with -fsanitize=thread it would bring ThreadSanitizer's runtime.
            for command in (
                [compiler, *BASE, *flags, *USER, "-c", str(source), "-o", str(part)],
                [compiler, str(part), *map(str, objects), "-o", str(built), *LINK],
            ):
                done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=plain)  # noqa: S603
                if done.returncode:
                    raise refusal(done.stderr, path)
            built.replace(program)
    return program, made.kernels


MISSING = r"(was not declared|has not been declared|does not name a type|is not a member)"
UNKNOWN = re.compile(  # what a compiler says of a part of CUDA that is missing here
    r"not supported:|No such file|is not a member of 'cooperative_groups|texture.*" + MISSING + r"|"
    r"'(::)?(cuda|cu[A-Z]|CU[A-Z_]|__|cg::|cooperative_groups|thrust|cub|tex\d|surf|nv)\w*.*" + MISSING
)


def refusal(said: str, path: Path) -> Exception:
    """Return what a compiler's message means: something that is not supported, by name, or a file that is no C++."""
    errors = [line for line in said.splitlines() if " error: " in line or "undefined reference" in line]
    first = next((line for line in errors if "not supported:" in line), errors[0] if errors else said[-300:])
    place = re.match(r"(.*?):(\d+):\d+: (?:fatal )?error: (.*)", first)
    if place is None:
        what = re.search(r"undefined reference to .*", first)
        return Failed(f"{path.name} does not link: {what[0] if what else first}")
    file, line, what_said = Path(place[1]).name, int(place[2]), place[3]
    what_said = re.sub(r"^(static assertion failed: |#error )?(tinymed: not supported: )?", "", what_said)
    if UNKNOWN.search(place[3]):
        return Refused(Path(file), line, what_said)
    return Failed(f"{file}:{line}: does not compile: {what_said}")


# ------------------------------------------------------------------------------------------------------- running


def run(path: Path, options: Options, arguments: Sequence[str] = ()) -> Report:
    """Compile a file and run its main with these arguments, in a process of its own that has this one's terminal."""
    try:
        program, _ = compiled(path, options)
    except Refused as refused:
        return Report(REFUSED, str(refused), (), ())
    return execute(program, options, arguments)


def execute(
    program: Path, options: Options, arguments: Sequence[str] = (), call: Path | None = None, stdout: Any = None
) -> Report:
    """Run a compiled program; what the runtime found wrong is in the report, with files and lines.

    call: the folder that the arguments of one kernel lie in, for a program whose main is entry.h's.  stdout: of the
    program; by default this process's.
    """
    with tempfile.TemporaryDirectory(prefix="tinymed-") as folder:
        report = Path(folder, "report.json")
        watched = options.check or options.profile > 0 or options.sample
        flags = (options.seed, int(watched), options.profile, options.arch)
        given = " ".join(map(str, (*flags, options.patience, int(options.sample), report)))
        environment = {**os.environ, "TINYMED_EMULATE": given}
        if call is not None:
            environment["TINYMED_EMULATE_CALL"] = str(call)
        child = subprocess.Popen([program, *arguments], env=environment, stdout=stdout)  # noqa: S603
        code = finished(child)
        return read_report(report, code, program)


def finished(child: "subprocess.Popen[Any]") -> int:
    """Wait for a program; Ctrl-C reaches it too, and it says where it was."""
    while True:
        with contextlib.suppress(KeyboardInterrupt):
            code = child.wait()
            return 128 - code if code < 0 else code


def read_report(report: Path, code: int, program: Path) -> Report:
    """Return a program's report with addresses turned into lines; one that left none was killed."""
    if not report.exists():
        what = "" if code < 128 else f"the program was killed (exit code {code})"
        return Report(code, what, (), ())
    found = json.loads(report.read_text("utf-8", errors="replace"))
    said = re.sub(r"@St5tuple\w+", "", "\0".join([found["what"], *found["notes"]]))  # types of a sampled launch
    messages = located(said, str(program)).split("\0")
    for launch in found["launches"]:
        launch["kernel"], _, launch["types"] = launch["kernel"].partition("@")
    launches = tuple(with_lines(launch, str(program)) for launch in found["launches"])
    return Report(code, messages[0], tuple(messages[1:]), tuple(profile(found["profile"], program)), launches)


def profile(found: Sequence[Sequence[int]], program: Path) -> Iterator[Row]:
    """Yield the accesses of each line, in order."""
    places = lines([offset for offset, *_ in found], str(program))
    total: dict[tuple[str, int, str, str], list[int]] = {}
    for (_, shared, write, *counts), (file, line) in zip(found, places, strict=True):
        key = (file, line, "shared" if shared else "global", "store" if write else "load")
        total[key] = [a + b for a, b in zip(total.get(key, [0] * 4), counts, strict=True)]
    for key, sums in sorted(total.items()):
        yield Row(*key, *sums)


__all__ = ["ARCHITECTURES", "Absent", "Failed", "Options", "Refused", "Report", "compiled", "execute", "run"]
