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
from tinymed.cli.show import show_text

# Reference only, so that nothing is compiled.  FACTOR is 2, or 2.02: a gradient that is wrong by one per cent.
OWN_OP = '''
from tinymed.dispatch import kernel
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


# What a CNN is made of, as functions of tinymed.nn.functional.
CNN_OPS = """
    conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d max_pool1d max_pool2d max_pool3d
    avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool2d adaptive_avg_pool3d relu leaky_relu prelu rrelu elu
    hardtanh gelu silu mish hardswish softplus sigmoid tanh softmax log_softmax batch_norm group_norm layer_norm
    local_response_norm dropout dropout2d linear cross_entropy binary_cross_entropy
    binary_cross_entropy_with_logits nll_loss
""".split()  # noqa: SIM905  a table, not code
# Kernels that there are none of, by altitude: the printout says so.
NONE = {"vector": {"nll_loss"}}
ALTITUDES = ["formula", "reference", "loop", "vector", "cuda", "commands"]


def altitudes(text):
    """{altitude: its lines of code} of a printout of one op."""
    sections = re.split(r"^# ---- \d\. .*$", text, flags=re.MULTILINE)[1:]
    bare = [[n for n in s.splitlines() if n.strip() and not re.match(r"#(?! gradient)|//", n)] for s in sections]
    return dict(zip(ALTITUDES, bare, strict=True))


class TestShow:
    @pytest.mark.parametrize("name", CNN_OPS)
    def test_an_op_at_every_altitude_on_six_screens(self, name):
        text = show_text(name)
        assert text.count("\n") < 300
        assert max(map(len, text.splitlines())) <= 120
        assert "formula, reference, loop, vector, cuda, commands" in text.splitlines()[0]
        found = altitudes(text)
        for altitude, code in found.items():
            assert bool(code) != (name in NONE.get(altitude, ())), altitude
            assert len(code) <= 50
        assert any("def forward(" in line for line in found["formula"])
        assert any("(xp" in line for line in found["reference"]) or "xp: Any" in text
        assert any(re.search(r"for \w+ in prange", line) for line in found["loop"])
        assert f"tinymed bench {name}" in found["commands"][-1]

    @pytest.mark.parametrize(
        ("name", "vector", "cuda"),
        [
            ("relu", "v.b.select(v.b.fcmp_ordered", "return x < 0 ? 0.0f : x;"),
            ("conv2d", "self.multiply_add(value, weight", "sum[i][j] += x[i] * w[j];"),
            ("batch_norm", "v.multiply_add(v.b.fsub(x, mean), scale, shift)", "(x - map[k]) * map[c + k]"),
            ("linear", "self.multiply_add(value, weight", "sum[i][j] += x[i] * w[j];"),
        ],
    )
    def test_a_kernel_is_followed_to_its_arithmetic(self, name, vector, cuda):
        found = altitudes(show_text(name))
        assert any(vector in line for line in found["vector"])
        assert any(cuda in line for line in found["cuda"])

    def test_one_altitude_and_all_of_it(self, capsys):
        code, cut, _ = invoke(capsys, "show", "conv2d", "--part", "loop")
        assert code == 0
        assert "more lines: --part loop --all" in cut
        code, whole, _ = invoke(capsys, "show", "conv2d", "--part", "loop", "--all")
        assert "more lines" not in whole
        assert whole.startswith(cut.split("# ...")[0].rstrip())
        assert "def conv2d_backward_weight(" in whole
        code, _, err = invoke(capsys, "show", "conv2d", "--part", "nonsense")
        assert code == 2
        assert "formula" in err

    @pytest.mark.parametrize(("name", "symbol"), [("relu", "tinymed_pass_relu"), ("conv2d", "tinymed_tile")])
    def test_machine_code(self, name, symbol, capsys):
        code, out, _ = invoke(capsys, "show", name, "--assembly")
        assert code == 0
        assert out.startswith(f"# {symbol}, for this processor")
        assert f"{symbol}:" in out

    def test_an_op_without_a_function_of_its_own_has_no_machine_code_to_show(self, capsys):
        code, out, err = invoke(capsys, "show", "nll_loss", "--assembly")
        assert (code, out) == (2, "")
        assert "--part vector" in err

    @pytest.mark.parametrize("name", ["leaky_relu", "LeakyReLU", "leakyrelu"])
    def test_one_op_under_each_of_its_names(self, name, capsys):
        code, out, _ = invoke(capsys, "show", name)
        assert code == 0
        assert out.startswith("# LeakyReLU: formula, reference")

    def test_a_users_op_has_a_reference_and_nothing_else(self, tmp_path):
        code, out, err = apart("show", own_op(tmp_path, "3"))
        assert code == 0, err
        found = altitudes(out)
        assert any("return FACTOR" in line or "return 3 * dy" in line for line in found["reference"])
        assert not found["loop"]
        assert not found["vector"]
        assert not found["cuda"]

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
        backends = [f"{name} against float64, {p}" for name in ("numpy", "loops", "numba") for p in ("exact", "tf32")]
        assert passed[:7] == ["gradient, finite differences", *backends]
        assert "FAILED" not in out

    def test_convolution_passes_out_of_the_box(self, capsys):
        """Sample 1 is off by 3e-4 on the emulator's tensor cores: within tf32's rounding, not within exact's."""
        code, out, _ = invoke(capsys, "check", "conv2d", "--seed", 1)
        assert code == 0, out
        assert "numba against float64, tf32: 1 samples" in out

    def test_what_fell_back_is_named_with_the_reason(self, capsys):
        code, out, _ = invoke(capsys, "check", "sort", "--samples", 1)
        assert code == 0
        assert re.search(r"argsort\w* fell back: it has no compiled form", out), out

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
        assert "numpy, loops, numba" in err

    def test_the_nearer_ceiling_is_the_roof(self):
        # 1 GFLOP and 4 GB in half a second: 10 ms of arithmetic at 100 GFLOP/s, 200 ms of memory at 20 GB/s.
        row = Row("op", "", "forward", 0.5, 1e9, 4e9, 0.25, 0.1)
        assert row.roof(100, 20) == pytest.approx(0.4)
        assert (row.ratio, row.tuned_ratio) == (2, 5)
