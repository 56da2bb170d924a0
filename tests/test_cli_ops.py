"""`tinymed show`, `check` and `bench`: an op of the package, of a user's own file, and one that is not there."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tinymed.cli import main
from tinymed.cli.bench import Row

# Reference only, so that nothing is compiled.  FACTOR is 2, or 2.02: a gradient that is wrong by one per cent.
OWN_OP = '''
from tinymed.backend import kernel
from tinymed.tape import Op

@kernel(out=lambda x: [x.shape], flops=lambda x: 2 * x.size)
def test_cubic_forward(xp, x):
    return x * x * x

@kernel(out=lambda dy, x: [x.shape], flops=lambda dy, x: 3 * dy.size)
def test_cubic_backward(xp, dy, x):
    return FACTOR * dy * x * x

class TestCubic(Op):
    """y = x^3;  dx = 3 dy x^2."""

    @staticmethod
    def oracle(torch, x):
        return x**3

    def forward(self, x):
        self.save(x)
        return self.k.test_cubic_forward(x)

    def backward(self, dy):
        (x,) = self.saved
        return self.k.test_cubic_backward(dy, x)

    @staticmethod
    def samples(draw):
        return (draw.array((3, 4)),)
'''


def invoke(capsys, *arguments):
    """(exit code, stdout, stderr) of a command, run in this process."""
    code = main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def apart(*arguments):
    """The same in a process of its own: a user's op must not be declared in this one, where others are counted."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"}
    code = "import sys; from tinymed.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], env=environment, text=True, capture_output=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def own_op(folder: Path, factor: str) -> Path:
    path = folder / "cubic.py"
    path.write_text(OWN_OP.replace("FACTOR", factor))
    return path


class TestShow:
    def test_an_op_at_every_altitude(self, capsys):
        code, out, _ = invoke(capsys, "show", "max_pool2d")
        assert code == 0
        headings = [line for line in out.splitlines() if re.match(r"# \w+: ", line)]
        assert headings[0].startswith("# MaxPool: formula and rule (tinymed/ops/pool.py:")
        assert any(h.startswith("# max_pool2d_forward: reference") for h in headings)
        assert any(h.startswith("# max_pool2d_backward: numba, ") for h in headings)
        assert headings[-1].startswith("# CUDA: ")
        assert "class MaxPool(Op):" in out
        assert "def max_pool2d_forward(" in out

    @pytest.mark.parametrize("name", ["leaky_relu", "LeakyReLU", "leakyrelu"])
    def test_one_op_under_each_of_its_names(self, name, capsys):
        code, out, _ = invoke(capsys, "show", name)
        assert code == 0
        assert out.startswith("# LeakyReLU: formula and rule")

    @pytest.mark.parametrize(
        ("name", "says"),
        [("max_pol2d", "did you mean .*max_pool2d"), ("zzzz", "there are .*Conv"), ("none.py", "no such file")],
    )
    def test_an_op_that_is_not_there(self, name, says, capsys):
        code, out, err = invoke(capsys, "show", name)
        assert (code, out) == (2, "")
        assert re.search(says, err)

    def test_a_file_that_is_not_python(self, tmp_path, capsys):
        path = tmp_path / "op.txt"
        path.write_text("x")
        code, _, err = invoke(capsys, "check", path)
        assert code == 2
        assert "not a Python file" in err


class TestCheck:
    def test_a_sound_op_passes_on_every_backend(self, capsys):
        code, out, _ = invoke(capsys, "check", "leaky_relu", "--samples", 2)
        assert code == 0
        passed = re.findall(r"^  passed   (.*?):? 2 samples", out.replace(": 2", " 2"), re.MULTILINE)
        backends = [f"{name} against float64, {p}" for name in ("numpy", "numba") for p in ("exact", "tf32")]
        assert passed[:5] == ["gradient, finite differences", *backends]
        assert "FAILED" not in out

    def test_convolution_passes_out_of_the_box(self, capsys):
        """Sample 1 is off by 3e-4 on the emulator's tensor cores: within tf32's rounding, not within exact's."""
        code, out, _ = invoke(capsys, "check", "conv2d", "--seed", 1)
        assert code == 0, out
        assert "numba against float64, tf32: 1 samples" in out

    def test_what_fell_back_is_named_with_the_reason(self, capsys):
        code, out, _ = invoke(capsys, "check", "flip", "--samples", 1)
        assert code == 0
        assert re.search(r"flip\w* fell back: it has no compiled form", out), out

    def test_a_users_op_in_a_file(self, tmp_path):
        code, out, err = apart("check", own_op(tmp_path, "3"), "--samples", 3)
        assert code == 0, err
        assert out.startswith("TestCubic\n")
        assert "passed   gradient, finite differences: 3 samples" in out

    def test_a_wrong_gradient_fails_with_the_command_that_repeats_it(self, tmp_path):
        path = own_op(tmp_path, "3.03")
        code, out, _ = apart("check", path, "--samples", 3)
        assert code == 1
        assert "FAILED   gradient, finite differences: sample 0" in out
        assert f"repeat: tinymed check {path} --seed 0" in out

    def test_a_file_that_cannot_be_imported(self, tmp_path):
        path = tmp_path / "broken.py"
        path.write_text("import nothing_of_this_name\n")
        code, _, err = apart("check", path)
        assert code == 2
        assert "ModuleNotFoundError" in err
        assert len(err.splitlines()) == 1


class TestBench:
    def test_the_table_has_both_ways_and_the_roof(self, capsys):
        code, out, _ = invoke(capsys, "bench", "sigmoid", "--rounds", 1)
        assert code == 0
        lines = out.splitlines()
        assert lines[0].split()[:4] == ["op", "workload", "way", "ms"]
        ways = [way for line in lines for way in ("forward", "backward") if f" {way} " in line]
        assert ways == ["forward", "backward"] * 3
        assert any(line.startswith("roof on one thread") for line in lines)

    def test_json_has_the_rows_and_the_roof(self, capsys):
        code, out, _ = invoke(capsys, "bench", "sigmoid", "--rounds", 1, "--json")
        assert code == 0
        content = json.loads(out)
        assert content["roof"]["gflops"] > 0
        assert [r["way"] for r in content["rows"]] == ["forward", "backward"] * 3
        assert all(r["ratio"] == pytest.approx(r["seconds"] / r["torch_seconds"]) for r in content["rows"])

    def test_an_unknown_backend(self, capsys):
        code, _, err = invoke(capsys, "bench", "sigmoid", "--backend", "abacus")
        assert code == 2
        assert "numpy, numba" in err

    def test_the_nearer_ceiling_is_the_roof(self):
        # 1 GFLOP and 4 GB in half a second: 10 ms of arithmetic at 100 GFLOP/s, 200 ms of memory at 20 GB/s.
        row = Row("op", "", "forward", 0.5, 1e9, 4e9, 0.25, 0.1)
        assert row.roof(100, 20) == pytest.approx(0.4)
        assert (row.ratio, row.tuned_ratio) == (2, 5)
