"""Every bug of puzzles.toml is found by the checker, which names its kind, file and line; and `tinymed puzzle`."""

from pathlib import Path

import numpy as np
import pytest
from conftest import absence

import tinymed.optim  # noqa: F401  declares the optimisers' kernels
from tinymed.cli import main
from tinymed.cli import puzzle as command
from tinymed.cuda import build, emulated, modules, puzzles
from tinymed.cuda.puzzle_problems import PROBLEMS

PUZZLES = puzzles.puzzles()
QUICK = {1, 2, 10, 12, 14, 17, 30, 39}  # in every run: eight kernels, and every kind of report
NEEDED = pytest.mark.skipif(bool(absence("emulated")), reason=f"backend emulated: {absence('emulated')}")


def kernel(puzzle):
    return PROBLEMS[puzzle.problem].kernel


@pytest.fixture
def out(objects):
    """A folder of puzzles."""
    return objects.parent


# ----------------------------------------------------------------------------------------------------------- the book


def test_thirty_bugs_in_eight_kernels():
    assert len(PUZZLES) >= 30
    assert len({kernel(p) for p in PUZZLES}) >= 8
    assert len({p.file for p in PUZZLES}) >= 8
    assert len({(p.file, p.old, p.new) for p in PUZZLES}) == len(PUZZLES)
    quick = [p for p in PUZZLES if p.number in QUICK]
    assert len({kernel(p) for p in quick}) >= 8
    kinds = {"out-of-bounds", "misaligned", "uninitialised", "race", "divergence", "deadlock"}
    assert {p.kind for p in quick} == {p.kind for p in PUZZLES} == kinds


@pytest.mark.parametrize("puzzle", PUZZLES, ids=lambda p: f"{p.number}-{p.file}")
def test_it_fits_the_sources(puzzle):
    """An edit of a kernel that takes a puzzle's line away, or makes it ambiguous, is noticed here."""
    right, wrong = (build.CSRC / puzzle.file).read_text().splitlines(), puzzle.text.splitlines()
    before = puzzle.line - 1
    assert right[:before] == wrong[:before]
    assert right[before] != wrong[before]
    after = right[before + 1 :]
    changed, missing = wrong[before + 1 :] == after, wrong[before:] == after
    assert changed or missing
    assert puzzle.at or not missing, "the line is missing: say which one is reported"
    assert puzzle.reported[1] > 0
    assert Path(puzzle.file).name in puzzles.texts(puzzle)
    assert puzzle.level in (1, 2, 3)
    assert puzzle.hint


@NEEDED
@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_checker_is_silent_on_the_shipped_kernel(problem):
    assert problem in {p.problem for p in PUZZLES}
    with emulated.checking():
        pass  # imports the module, or says why it is missing
    puzzle = next(p for p in PUZZLES if p.problem == problem)
    verdict = puzzles.examine(puzzle, emulated.opened("_cuda_checked"))
    assert verdict.mended
    assert verdict.error == 0


# --------------------------------------------------------------------------------------------------------- the checker


CASES = [
    pytest.param(p, id=f"{p.number}-{p.file}", marks=() if p.number in QUICK else pytest.mark.full) for p in PUZZLES
]


@NEEDED
@pytest.mark.parametrize("puzzle", CASES)
def test_the_checker_finds_it(out, puzzle):
    folder = out / f"{puzzle.number:02d}"
    assert main(["puzzle", str(puzzle.number), "--out", str(out)]) == 0
    library = puzzles.compiled(puzzle, folder, out / "objects")
    verdict = puzzles.examine(puzzle, modules.load("_cuda_checked", library, library.stem))
    report = verdict.report
    assert report is not None, f"nothing reported; the result is off by {verdict.error}"
    assert not verdict.mended
    assert (report.kind, report.file, report.line) == (puzzle.kind, *puzzle.reported), report
    assert "thread (" in str(report)


# ------------------------------------------------------------------------------------------------------ tinymed puzzle


class TestCommand:
    def test_the_list_gives_nothing_away(self, capsys):
        assert main(["puzzle"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].split() == ["number", "kernel", "level"]
        assert lines[30].split() == ["30", "matmul.cu:", "matrix_product", "hard"]
        assert "gemm_mma" not in lines[30]

    def test_a_number_that_does_not_exist(self, capsys):
        assert main(["puzzle", "999"]) == 2
        assert f"there is no puzzle 999; they are numbered from 1 to {len(PUZZLES)}" in capsys.readouterr().err

    def test_it_writes_every_file_but_the_common_one(self, capsys, tmp_path):
        assert main(["puzzle", "30", "--out", str(tmp_path)]) == 0
        assert {path.name for path in (tmp_path / "30").iterdir()} == {
            "matmul.cu",
            "split.cuh",
            "tiles.cuh",
            "gemm.cuh",
            "gemm_exact.cuh",
            "gemm_mma.cuh",
            "gemm_pool.cuh",
            "pool.cuh",
            "elementwise.cuh",
            "bf16.cuh",
            "ptx.cuh",
        }
        said = capsys.readouterr().out
        assert "under the checker: uninitialised" in said
        assert f"tinymed puzzle 30 --check --out {tmp_path}" in said
        assert "cp_async_wait" not in said

    def test_it_does_not_overwrite_what_was_edited(self, capsys, tmp_path):
        assert main(["puzzle", "2", "--out", str(tmp_path)]) == 0
        assert main(["puzzle", "2", "--out", str(tmp_path)]) == 0
        mine = tmp_path / "02" / "matmul_1_naive.cu"
        mine.write_text(mine.read_text() + "// mine\n")
        assert main(["puzzle", "2", "--out", str(tmp_path)]) == 2
        assert "matmul_1_naive.cu differ from the puzzle and would be overwritten" in capsys.readouterr().err
        assert mine.read_text().endswith("// mine\n")

    def test_a_hint(self, capsys):
        assert main(["puzzle", "2", "--hint"]) == 0
        assert capsys.readouterr().out.strip() == PUZZLES[1].hint

    def test_nothing_to_check(self, capsys, tmp_path):
        assert main(["puzzle", "2", "--check", "--out", str(tmp_path)]) == 2
        assert f"`tinymed puzzle 2 --out {tmp_path}` writes it" in capsys.readouterr().err

    @NEEDED
    def test_from_the_bug_to_the_mended_kernel(self, out, capsys, monkeypatch):
        """Bug, a typing mistake, another bug, a wrong result, a crash, no end, the right one: each is told apart."""
        arguments = ["puzzle", "2", "--out", str(out)]
        folder, mine = out / "02", out / "02" / "matmul_1_naive.cu"
        for path in folder.glob("*") if folder.exists() else ():
            path.unlink()
        assert main(arguments) == 0
        right = (build.CSRC / PUZZLES[1].file).read_text()

        def check(text):
            mine.write_text(text)
            capsys.readouterr()
            code = main([*arguments, "--check"])
            said = capsys.readouterr()
            return code, said.out + said.err

        bug = PUZZLES[1].text
        assert check(bug) == (1, "not yet: out-of-bounds (--hint, --answer)\n")
        code, said = check(right.replace("float sum = 0;", "float sum = 0"))
        assert code == 2
        assert "matmul_1_naive.cu does not compile" in said
        assert "error: expected" in said
        code, said = check(right.replace("] = sum;", "] += sum;"))
        assert code == 1
        assert "not yet: uninitialised: y[0] is read at matmul_1_naive.cu:13 before it is written" in said
        code, said = check(right.replace("float sum = 0;", "float sum = 1;"))
        assert code == 1
        assert "the checker is silent, but the result is wrong by" in said
        code, said = check(right.replace("if (j >= columns)", "if (j >= columns / (rows - 13))"))
        assert code == 2
        assert "the kernel ended its process: SIGFPE" in said
        monkeypatch.setattr(command, "PATIENCE", 2)
        code, said = check(right.replace("k < depth; ++k)", "k < depth; k += depth / 9)"))
        assert code == 2
        assert "the kernel did not end in 2 seconds" in said
        monkeypatch.undo()
        assert check(right) == (0, "mended: the checker is silent and the result is right\n")
        mine.write_text(bug)

    @NEEDED
    def test_the_answer(self, out, capsys):
        assert main(["puzzle", "2", "--answer", "--out", str(out)]) == 0
        said = capsys.readouterr().out
        assert said.startswith("out-of-bounds: read of 4 bytes at matmul_1_naive.cu:11")
        assert "kernel naive_kernel, block (" in said
        assert "+    if (j >= columns) return;" in said

    @NEEDED
    def test_without_a_compiler(self, capsys, monkeypatch, tmp_path):
        monkeypatch.setenv("CXX", "no-such-compiler")
        assert main(["puzzle", "2", "--out", str(tmp_path)]) == 0
        assert main(["puzzle", "2", "--check", "--out", str(tmp_path)]) == 2
        assert "a puzzle needs a compiler: no g++ (CXX, PATH)" in capsys.readouterr().err
        assert main(["puzzle", "2", "--answer", "--out", str(tmp_path)]) == 0
        said = capsys.readouterr().out
        assert "out-of-bounds at matmul_1_naive.cu:11 (the whole report is missing: a puzzle needs a compiler" in said
        assert "+    if (j >= columns) return;" in said

    def test_without_the_emulator(self, capsys, monkeypatch, tmp_path):
        from tinymed import dispatch

        assert main(["puzzle", "2", "--out", str(tmp_path)]) == 0
        monkeypatch.setattr(dispatch, "absence", lambda name: "no g++")
        assert main(["puzzle", "2", "--check", "--out", str(tmp_path)]) == 2
        assert "a puzzle needs the emulator: no g++" in capsys.readouterr().err


def test_distances():
    one = np.array([1.0, np.nan, np.inf], np.float32)
    assert puzzles.distance(one, one) == 0
    assert puzzles.distance(np.float32([1, 2, np.inf]), one) == np.inf
    assert puzzles.distance(np.float32([4.0, 2.0]), np.float32([4.0, 1.0])) == 0.25
    assert puzzles.distance(one[:0], one[:0]) == 0
