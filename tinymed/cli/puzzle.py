"""`tinymed puzzle`: CUDA kernels with one planted bug each, to find without a GPU."""

import difflib
import multiprocessing
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .. import dispatch
from ..errors import UserError
from ..report.tables import table
from .app import FAILED, app, examples

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from ..cuda.puzzles import Puzzle, Verdict

PATIENCE = 60  # seconds for a kernel to end
LEVELS = {1: "easy", 2: "medium", 3: "hard"}


@app.command(
    epilog=examples("tinymed puzzle", "tinymed puzzle 9", "tinymed puzzle 9 --check", "tinymed puzzle 9 --hint")
)
def puzzle(
    number: Annotated[int | None, typer.Argument(help="Which one; without it, all are listed.")] = None,
    out: Annotated[Path, typer.Option("--out", help="The folder that puzzles are written to.")] = Path("puzzles"),
    check: Annotated[bool, typer.Option("--check", help="Compile your copy, run it under the checker.")] = False,
    hint: Annotated[bool, typer.Option("--hint", help="Say where to think.")] = False,
    answer: Annotated[bool, typer.Option("--answer", help="Show the checker's report and the mended line.")] = False,
) -> int:
    """Find the bug planted in a CUDA kernel; the checker knows the line. No GPU needed, g++ is."""
    from ..cuda.puzzles import puzzles

    if number is None:
        print(table([("number", "kernel", "level"), *(row(one) for one in puzzles())]))
        print("\ntinymed puzzle NUMBER writes a kernel with one bug; mend it, then tinymed puzzle NUMBER --check")
        return 0
    if not 1 <= number <= len(puzzles()):
        raise UserError(f"there is no puzzle {number}; they are numbered from 1 to {len(puzzles())}")
    one = puzzles()[number - 1]
    if hint:
        print(one.hint)
        return 0
    if answer:
        print("\n".join(solution(one, out)))
        return 0
    return check_answer(one, out) if check else write_puzzle(one, out)


def row(one: "Puzzle") -> tuple[str, str, str]:
    """Return what the list says of a puzzle: not which of a kernel's files has the bug."""
    from ..cuda.puzzle_problems import PROBLEMS
    from ..cuda.puzzles import sources

    return str(one.number), f"{sources(one)[0].name}: {PROBLEMS[one.problem].kernel}", LEVELS[one.level]


def folder_of(one: "Puzzle", out: Path) -> Path:
    """Return where a puzzle's files lie."""
    return out / f"{one.number:02d}"


def write_puzzle(one: "Puzzle", out: Path) -> int:
    """Write the files, unless that would undo the learner's work."""
    from ..cuda.puzzles import texts, write

    folder, files = folder_of(one, out), texts(one)
    edited = [
        str(folder / name)
        for name, text in files.items()
        if (folder / name).exists() and (folder / name).read_text() != text
    ]
    if edited:
        raise UserError(
            f"{', '.join(edited)} differ from the puzzle and would be overwritten; `tinymed puzzle "
            f"{one.number} --check` tries them, deleting {folder} starts anew"
        )
    write(one, folder)
    _, kernel, level = row(one)
    print(f"puzzle {one.number}, {level}: {kernel}")
    print(f"{folder}: {', '.join(files)}; one line of one of them is wrong or missing")
    print(f"under the checker: {one.kind}")
    print(f"mend it, then: tinymed puzzle {one.number} --check{suffix(out)}    (--hint, --answer)")
    return 0


def suffix(out: Path) -> str:
    """Return the --out to repeat, if it is not the default."""
    return "" if out == Path("puzzles") else f" --out {out}"


def check_answer(one: "Puzzle", out: Path) -> int:
    """Run the learner's copy: 0 if it is mended, else 1."""
    from ..cuda.puzzles import texts

    folder = folder_of(one, out)
    missing = [name for name in texts(one) if not (folder / name).exists()]
    if missing:
        raise UserError(f"{folder} has no {missing[0]}: `tinymed puzzle {one.number}{suffix(out)}` writes it")
    verdict = examined(one, folder, out)
    if verdict.mended:
        print("mended: the checker is silent and the result is right")
        return 0
    if verdict.report is None:
        print(f"not yet: the checker is silent, but the result is wrong by {verdict.error:.2g} of its largest value")
    elif verdict.report.kind == one.kind:
        print(f"not yet: {one.kind} (--hint, --answer)")
    else:
        print(f"not yet: {verdict.report}")
    return FAILED


def examined(one: "Puzzle", folder: Path, out: Path) -> "Verdict":
    """Compile a folder and run it; UserError where g++ or the emulator is missing, or the kernel cannot be run."""
    from ..cuda.build import Absent, Failed
    from ..cuda.puzzles import compiled

    why = dispatch.absence("emulated")
    if why:
        raise UserError(f"a puzzle needs the emulator: {why}")
    try:
        library = compiled(one, folder, out / "objects")
    except Absent as reason:
        raise UserError(f"a puzzle needs a compiler: {reason}") from None
    except Failed as reason:
        raise UserError("; ".join(compiler_errors(str(reason)))) from None
    return apart(one, library)


def apart(one: "Puzzle", library: Path) -> "Verdict":
    """Run a kernel in a process of its own: it may never end, or divide by zero."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=run_kernel, args=(theirs, one.number, library), daemon=True)
    process.start()
    theirs.close()
    try:
        if not ours.poll(PATIENCE):
            raise UserError(f"the kernel did not end in {PATIENCE} seconds")
        verdict: Verdict = ours.recv()
    except EOFError:
        process.join()
        raise UserError(f"the kernel ended its process: {exit_text(process.exitcode)}") from None
    finally:
        process.kill()
        process.join()
    return verdict


def exit_text(code: int | None) -> str:
    """Return the signal that a process died of, by its name, else its exit code."""
    return signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"


def run_kernel(to: "Connection", number: int, library: Path) -> None:
    """Do what the other process does: run a compiled kernel on its puzzle's problem, send the verdict."""
    import tinymed.optim  # noqa: F401  declares kernels that puzzles launch

    from ..cuda.modules import load
    from ..cuda.puzzles import examine, puzzles

    to.send(examine(puzzles()[number - 1], load("_cuda_checked", library, library.stem)))


def compiler_errors(said: str) -> list[str]:
    """Return the lines of a compiler's message that name an error, after what did not compile."""
    first, *rest = said.splitlines()
    return [first, *(line for line in rest if " error: " in line)][:4]


def solution(one: "Puzzle", out: Path) -> list[str]:
    """Return the report on the puzzle as it was handed out, and the lines that mend it."""
    from ..cuda.build import CSRC
    from ..cuda.puzzles import write

    folder = out / "objects" / f"answer-{one.number:02d}"
    write(one, folder)
    try:
        said = str(examined(one, folder, out).report)
    except UserError as reason:
        said = f"{one.kind} at {'{}:{}'.format(*one.reported)} (the whole report is missing: {reason})"
    name = Path(one.file).name
    right = (CSRC / one.file).read_text().splitlines()
    change = difflib.unified_diff(one.text.splitlines(), right, f"{name} (puzzle)", f"{name} (mended)", lineterm="")
    return [said, "", *change]
