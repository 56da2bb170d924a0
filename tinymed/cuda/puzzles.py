"""Kernels with one planted bug each, to find: `tinymed puzzle`, and the proof that the checker names what it should.

puzzles.toml holds the bugs.  A puzzle's folder gets a copy of the kernel and of the headers that it includes; `examine`
compiles the folder into a checked module of its own and compares what it computes with the kernel of the engine.
"""

import contextlib
import functools
import hashlib
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from ..dispatch import table
from . import emulated
from .build import CSRC, build, kernels, rungs
from .ladders import ready
from .on_demand import emulator_objects
from .puzzle_problems import PROBLEMS

TOLERANCE = 1e-5  # of the largest value: a sum in another order


class Puzzle(NamedTuple):
    """One bug: in `file` of csrc/, `old` (found there once) becomes `new`, which differ in one line.

    problem: of PROBLEMS, whose kernel shows the bug.  level: 1 to 3, how hard to find.  kind: of the checker's report.
    at, at_file: the line that the report names first, by a text found once; the changed line of `file` if not given.
    """

    number: int
    file: str
    problem: str
    level: int
    old: str
    new: str
    kind: str
    hint: str
    at: str = ""
    at_file: str = ""

    @property
    def text(self) -> str:
        """The file with the bug.  ValueError if the file no longer has the line."""
        return replaced(CSRC / self.file, self.old, self.new)

    @property
    def line(self) -> int:
        """The number of the changed line; where one is missing, of the line that came after it."""
        pairs = zip(self.old.split("\n"), [*self.new.split("\n"), ""], strict=False)
        same = next(i for i, (a, b) in enumerate(pairs) if a != b)
        return (CSRC / self.file).read_text().partition(self.old)[0].count("\n") + 1 + same

    @property
    def reported(self) -> tuple[str, int]:
        """(file, line) that the checker names first."""
        if not self.at:
            return Path(self.file).name, self.line
        where = self.at_file or self.file
        text = self.text if where == self.file else (CSRC / where).read_text()
        return Path(where).name, text.partition(once(text, self.at, where))[0].count("\n") + 1


class Verdict(NamedTuple):
    """What became of a run under the checker: its report if any, and how far the result is from the engine's."""

    report: emulated.KernelError | None
    error: float

    @property
    def mended(self) -> bool:
        """Nothing reported, and the right numbers."""
        return self.report is None and self.error <= TOLERANCE


@functools.cache
def puzzles() -> tuple[Puzzle, ...]:
    """Return all of puzzles.toml, numbered from 1."""
    found = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())["puzzle"]
    return tuple(Puzzle(number, **fields) for number, fields in enumerate(found, 1))


def once(text: str, part: str, where: str) -> str:
    """Return the part, if the text has it exactly once; else ValueError."""
    if text.count(part) != 1:
        raise ValueError(f"{where} has {text.count(part)} times, not once: {part!r}")
    return part


def replaced(path: Path, old: str, new: str) -> str:
    """Return a file's text with its only `old` as `new`."""
    text = path.read_text()
    return text.replace(once(text, old, path.name), new)


# --------------------------------------------------------------------------------------------------- a folder


def sources(puzzle: Puzzle) -> list[Path]:
    """Return the files of csrc/ that a puzzle hands out.

    Its kernel's, and the headers that it includes but launch.h.
    """
    bound = f"BIND({PROBLEMS[puzzle.problem].kernel},"
    found = [next(path for path in [*kernels(CSRC), *rungs(CSRC)] if bound in path.read_text())]
    for path in found:  # which grows
        for name in re.findall(r'#include "([\w.]+)"', path.read_text()):
            near = path.with_name(name)
            header = near if near.exists() else CSRC / name
            if name != "launch.h" and header not in found:
                found.append(header)
    return found


def texts(puzzle: Puzzle) -> dict[str, str]:
    """{name: text} of the files of a puzzle's folder, with the bug."""
    found = {path.name: path.read_text() for path in sources(puzzle)}
    found[Path(puzzle.file).name] = puzzle.text
    return found


def write(puzzle: Puzzle, folder: Path) -> None:
    """Write a puzzle's files, over what is there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts(puzzle).items():
        (folder / name).write_text(text)


def kernel_file(puzzle: Puzzle) -> str:
    """Return the name of the file that is compiled."""
    return sources(puzzle)[0].name


# ------------------------------------------------------------------------------------------------------ running


def compiled(puzzle: Puzzle, folder: Path, objects: Path) -> Path:
    """Return the checked module of a puzzle's folder.  build.Absent without g++, build.Failed if it does not compile.

    objects: where object files are kept; those of the emulator lie in the user's cache.
    """
    content = "".join((folder / name).read_text() for name in texts(puzzle))
    digest = hashlib.sha256(content.encode()).hexdigest()[:12]  # an imported module is never imported anew
    target = objects / f"{folder.name}-{digest}.so"
    source = folder / kernel_file(puzzle)
    build("_cuda_checked", CSRC, objects, target, [source], emulator=emulator_objects())
    return target


@contextlib.contextmanager
def instead(module: ModuleType) -> Iterator[None]:
    """Launch the kernels of this checked module, not the engine's."""
    before, emulated.module = emulated.module, module
    module.configure(check=True)
    try:
        yield
    finally:
        module.configure()
        emulated.module = before


def examine(puzzle: Puzzle, module: ModuleType) -> Verdict:
    """Run a module's kernel on the puzzle's problem, under the checker."""
    problem = PROBLEMS[puzzle.problem]
    launch = getattr(table("emulated"), problem.kernel)
    args = ready(launch, problem.arguments(np.random.default_rng(0)))
    true = results(launch, args)
    try:
        with instead(module):
            ours = results(launch, args)
    except emulated.KernelError as report:
        return Verdict(report, np.inf)
    return Verdict(None, max(map(distance, ours, true)))


def results(launch: Callable[..., Any], args: tuple[Any, ...]) -> list[Any]:
    """Return what a kernel returns, and what it leaves of the arrays it was given: some update theirs."""
    given = [emulated.placed(a) for a in args]
    made = launch(*given)
    return [a for a in (*(made if isinstance(made, tuple) else (made,)), *given) if isinstance(a, np.ndarray)]


def distance(a: Any, b: Any) -> float:
    """Return the largest difference of two arrays, as a part of the largest value."""
    if not b.size:
        return 0.0
    with np.errstate(invalid="ignore"):  # inf - inf
        gap = np.where((a == b) | ((a != a) & (b != b)), 0, np.abs(a.astype(np.float64) - b))
    largest = np.abs(b[np.isfinite(b)]).max(initial=1.0)
    return float(np.nan_to_num(gap.max() / largest, nan=np.inf))
