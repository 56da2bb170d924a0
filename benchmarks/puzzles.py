"""What the checker says of every kernel with a planted bug.   python benchmarks/puzzles.py

Each puzzle of tinymed/cuda/puzzles.toml is compiled and run.  Written to benchmarks/results/puzzles.json.
"""

import tempfile
from pathlib import Path
from typing import Any

from peers import machine, save

import tinymed.optim  # noqa: F401  declares kernels that puzzles launch
from tinymed.cuda import puzzles
from tinymed.cuda.puzzle_problems import PROBLEMS


def find(puzzle: puzzles.Puzzle, root: Path) -> dict[str, Any]:
    """Return one puzzle: what was planted, what the checker said, what it ought to have said."""
    folder = root / f"{puzzle.number:02d}"
    puzzles.write(puzzle, folder)
    report = puzzles.examine(puzzle, puzzles.loaded(puzzles.compiled(puzzle, folder, root / "objects"))).report
    said = None if report is None else (report.kind, report.file, report.line)
    return {
        "number": puzzle.number,
        "kernel": PROBLEMS[puzzle.problem].kernel,
        "problem": puzzle.problem,
        "file": puzzle.file,
        "line": puzzle.line,
        "report": str(report).splitlines(),
        "found": said == (puzzle.kind, *puzzle.reported),
    }


def main() -> None:
    """All puzzles, in order; exit code 1 if one was missed."""
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for puzzle in puzzles.puzzles():
            rows.append(find(puzzle, Path(folder)))
            print(f"{puzzle.number:3} {'found' if rows[-1]['found'] else 'MISSED'}  {rows[-1]['report'][0]}")
    found = sum(row["found"] for row in rows)
    summary = {
        "puzzles": len(rows),
        "found": found,
        "kernels": len({row["kernel"] for row in rows}),
        "files": len({row["file"] for row in rows}),
    }
    print(summary)
    save(Path(__file__).parent / "results" / "puzzles.json", {"machine": machine(), "summary": summary, "rows": rows})
    raise SystemExit(found < len(rows))


if __name__ == "__main__":
    main()
