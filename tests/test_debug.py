"""The debugging tools find what they are meant to find, and name it."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest

import tinymed
from tinymed import debug, dispatch, nn, tape
from tinymed.ops.activations import ReLU
from tinymed.ops.elementwise import Add, Mul

add, relu = Add.apply, ReLU.apply


@pytest.fixture
def x():
    return tinymed.tensor(np.linspace(-1, 1, 12).reshape(3, 4), dtype=np.float32, requires_grad=True)


def test_a_line_a_kernel_with_shapes_and_speed(x):
    lines = []
    with dispatch.use_backend("numba"), debug.kernel_log(lines.append):
        relu(add(x, x))
    assert [line.split()[:2] for line in lines] == [["add", "numba"], ["relu_forward", "numba"]]
    assert all("ms" in line and "GFLOP/s" in line and "GB/s" in line and "3x4" in line for line in lines)
    relu(x)
    assert len(lines) == 2


def test_bytes_saved_are_counted_once(x):
    lines = []
    with debug.kernel_log(lambda line: None), tape.observers.watching(log := debug.SavedLog(lines.append)):
        y = relu(x)
        z = Mul.apply(y, y)
    assert [line.split()[1] for line in lines] == ["48", "0"]  # mul saves the array that relu saved
    assert sum(log.held.values()) == 48
    with tape.observers.watching(log):
        add(z, z).backward(tinymed.ones(3, 4))
    assert sum(log.held.values()) == 0


def test_the_first_nan_is_named_with_its_op_and_module(x):
    class Broken(tape.Op):
        oracle, oracle_reason = None, "a test"

        def forward(self, a):
            return a * np.float32(np.nan)

        backward = None
        samples = staticmethod(lambda draw: (draw.array((2,)),))

    tape.thread.scope.append("features.3")
    try:
        with (
            debug.find_nan(),
            pytest.raises(debug.NaNFound, match=r"Broken in layer features.3, forward: output 0 of shape \[3, 4\]"),
        ):
            relu(Broken.apply(relu(x)))
    finally:
        tape.thread.scope.pop()
        del tape.Op.registry["Broken"]


def test_a_nan_in_the_gradient_is_named(x):
    y = relu(add(x, x))
    with debug.find_nan():
        y.backward(tinymed.ones(3, 4))  # finite: no complaint
    y = relu(add(x, x))
    y.op.backward = lambda dy: dy * np.float32(np.inf)
    with debug.find_nan(), pytest.raises(debug.NaNFound, match="ReLU, backward: gradient 0"):
        y.backward(tinymed.ones(3, 4))


def test_validation_names_the_first_kernel_that_disagrees(x, monkeypatch):
    with dispatch.use_backend("numba"):
        with debug.validate() as validator:
            relu(add(x, x))
        assert validator.checked == 2
        dispatcher = dispatch.table().add
        plan_for = dispatcher.plan_for
        wrong = {"call": lambda a, b: a + b * np.float32(1.01)}
        monkeypatch.setattr(dispatcher, "plan_for", lambda args: plan_for(args)._replace(**wrong))
        with debug.validate(), pytest.raises(debug.Disagreement, match=r"add: result 0 of shape \[3, 4\] is off"):
            relu(add(x, x))


def test_the_tape_prints_as_text_and_dot(x):
    y = relu(add(x, relu(x)))
    text = debug.tape_text(y)
    assert text.splitlines()[0].startswith("%0 = ReLU(leaf[3, 4]) -> [3, 4]; saves 48 bytes")
    assert "%1 = Add(leaf[3, 4], %0)" in text
    dot = debug.tape_dot(y)
    assert dot.count("->") == 4
    assert dot.count("ellipse") == 1


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("TINYMED_DEBUG=1", "relu_forward"),
        ("TINYMED_DEBUG=2", "saved"),
        ("TINYMED_DEBUG=nan", ""),
        ("TINYMED_DEBUG=loud", "is not known"),
        ("TINYMED_VALIDATE=numba", "is not known"),
        ("TINYMED_VALIDATE=reference", ""),
    ],
)
def test_the_environment_switches_it_on(setting, expected):
    code = "import tinymed; tinymed.ops.activations.relu(tinymed.ones(2, requires_grad=True))"
    name, _, value = setting.partition("=")
    environment = {name: value, "TINYMED_BACKEND": "numpy"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert expected in done.stderr
    assert (done.returncode == 0) == ("not known" not in expected)


def test_an_op_names_the_layer_it_ran_in():
    """The path of a layer may be a number alone."""
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    text = debug.tape_text(net(tinymed.ones(1, 1, 4, 4)))
    assert "Conv in layer 0(" in text
    assert "ReLU in layer 1(" in text


def test_validation_says_at_the_end_how_many_kernel_calls_agreed():
    code = "import tinymed as tm; x = tm.ones(3); print((x + x).sum().item())"
    environment = os.environ | {"TINYMED_VALIDATE": "reference", "TINYMED_BACKEND": "numba"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "6.0\n"
    assert re.fullmatch(r"TINYMED_VALIDATE: [1-9]\d* kernel calls agreed with the reference\n", done.stderr)
