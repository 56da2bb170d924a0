"""inplace=True, beside PyTorch: who sees the write, what is refused, and what it costs a captured step."""

import numpy as np
import pytest
import torch

import tinymed
from tinymed import Tensor, nn, tape
from tinymed.dispatch import use_backend

F = {tinymed: nn.functional, torch: torch.nn.functional}
CALLS = {
    "relu": (),
    "relu6": (),
    "leaky_relu": (0.2,),
    "elu": (1.5,),
    "celu": (0.7,),
    "selu": (),
    "hardtanh": (-0.5, 0.75),
    "hardsigmoid": (),
    "hardswish": (),
    "silu": (),
    "mish": (),
    "threshold": (0.1, -3.0),
    "rrelu": (0.25, 0.25, True),
}
MODULES = {
    "ReLU": (),
    "ReLU6": (),
    "LeakyReLU": (0.2,),
    "ELU": (1.5,),
    "CELU": (0.7,),
    "SELU": (),
    "Hardtanh": (-0.5, 0.75),
    "Hardsigmoid": (),
    "Hardswish": (),
    "SiLU": (),
    "Mish": (),
    "Threshold": (0.1, -3.0),
    "RReLU": (0.25, 0.25),
}
VALUES = np.random.default_rng(0).normal(size=(2, 3, 4)) * 2


def fresh(lib, f, x):
    """Nobody else shows what the multiplication made."""
    y = x * 1.5
    z = f(y)
    assert z is y
    return y * 1.0


def read_before(lib, f, x):
    """A shortcut that took the value before the write keeps it."""
    y = x * 1.5
    before = y + 0.0
    return f(y) + before


def read_after(lib, f, x):
    """A shortcut that reads the input after the write sees the result: other people's xception."""
    y = x * 1.5
    branch = f(y) * 2.0
    return branch + y


def twice(lib, f, x):
    return f(f(x + 0.5)) * 1.0


def through_a_view(lib, f, x):
    y = x * 1.5
    f(y[0])
    return y * 1.0


def view_sees(lib, f, x):
    y = x * 1.5
    f(y)
    return y.reshape(-1).reshape(2, 3, 4) * 1.0


def detached_sees(lib, f, x):
    y = x + 0.5
    other = y.detach()
    f(y)
    return other * 1.0 + y * 0.0


def data_sees(lib, f, x):
    y = x + 0.5
    other = y.data
    f(y)
    return other * 1.0 + y * 0.0


def leaf_without_gradient(lib, f, x):
    y = x.detach()
    f(y)
    return y * x


def a_users_array(lib, f, x):
    a = VALUES.copy()
    f(lib.from_numpy(a))
    return x * lib.tensor(a)


def numpy_sees(lib, f, x):
    y = x.detach() * 1.5
    a = y.numpy()
    f(y)
    return x * lib.tensor(a.copy())


def without_tape(lib, f, x):
    with lib.no_grad():
        y = x + 0.5
        f(y)
    return x * y


def of_a_parameter(lib, f, x):
    with lib.no_grad():
        f(x)
    return x * 1.0


def a_view_taken_before(lib, f, x):
    y = x * 1.5
    view = y[0]
    f(y)
    return view * 1.0 + y


PROGRAMS = [
    fresh,
    read_before,
    read_after,
    twice,
    through_a_view,
    a_view_taken_before,
    view_sees,
    detached_sees,
    data_sees,
    leaf_without_gradient,
    a_users_array,
    numpy_sees,
    without_tape,
    of_a_parameter,
]


def run(lib, program, f):
    """(values, gradient of the leaf)."""
    x = lib.tensor(VALUES.copy(), requires_grad=True)
    y = program(lib, f, x)
    (y * lib.tensor(VALUES[::-1].copy())).sum().backward()
    return y.detach().numpy(), x.grad.numpy()


# Refused with a clear error where PyTorch computes: a detached tensor beside a write on the tape, and what was
# overwritten after an op that saves its output here and its input there.
REFUSED = {detached_sees}
SAVE_THEIR_OUTPUT = {"relu6", "hardtanh", "hardsigmoid"}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
@pytest.mark.parametrize("name", CALLS)
def test_equal_to_torch(name, program):
    def result(lib):
        try:
            return run(lib, program, lambda x: getattr(F[lib], name)(x, *CALLS[name], inplace=True))
        except RuntimeError as refusal:
            return refusal

    with use_backend("numpy"):
        ours, true = result(tinymed), result(torch)
    if program in REFUSED or (program is twice and name in SAVE_THEIR_OUTPUT):
        assert isinstance(ours, RuntimeError)
        assert "in place" in str(ours)
        return
    if isinstance(true, RuntimeError):  # the second write overwrites what the first op saved
        assert isinstance(ours, RuntimeError)
        assert program is twice
        return
    for a, b in zip(ours, true, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)  # torch's selu and hardsigmoid hold float32 constants


@pytest.mark.parametrize("name", MODULES)
def test_modules_take_inplace_by_position_and_by_name(name):
    for given in ((*MODULES[name], True), MODULES[name]):
        named = {} if len(given) > len(MODULES[name]) else {"inplace": True}
        ours, true = getattr(nn, name)(*given, **named), getattr(torch.nn, name)(*given, **named)
        x, z = tinymed.tensor(VALUES) * 1.0, torch.tensor(VALUES) * 1.0
        assert ours(x) is x
        assert true(z) is z
        np.testing.assert_allclose(x.array, z.numpy(), rtol=1e-6, atol=1e-7)
        assert "inplace=True" in repr(ours) or name == "Threshold"
    x = tinymed.tensor(VALUES) * 1.0
    getattr(nn, name)(*MODULES[name])(x)
    np.testing.assert_array_equal(x.array, VALUES)


@pytest.mark.parametrize("fn", ["sigmoid", "exp", "relu", "softmax"])
def test_an_overwritten_saved_tensor_raises_in_backward(fn):
    for lib in (tinymed, torch):
        x = lib.tensor(VALUES, requires_grad=True)
        y = lib.softmax(x, -1) if fn == "softmax" else getattr(lib, fn)(x)
        F[lib].leaky_relu(y, 0.1, inplace=True)
        with pytest.raises(RuntimeError, match=r"in.?place"):
            y.sum().backward()


def test_a_leaf_that_requires_a_gradient_is_refused_and_kept():
    for lib in (tinymed, torch):
        x = lib.tensor(VALUES, requires_grad=True)
        for leaf in (x, x[0]):
            with pytest.raises(RuntimeError, match="leaf"):
                F[lib].relu(leaf, inplace=True)
        np.testing.assert_array_equal(x.detach().numpy(), VALUES)
        made = lib.ones(3) * 2.0
        made.requires_grad_()
        with pytest.raises(RuntimeError, match="leaf"):
            F[lib].elu(made, 1.0, True)


@pytest.mark.parametrize("training", [True, False])
def test_dropout_in_place(training):
    layer = nn.Dropout(0.5, True).train(training)
    x = tinymed.ones(64) * 2.0
    version = x.version.value
    y = layer(x)
    assert y is x
    assert set(x.tolist()) == ({0.0, 4.0} if training else {2.0})
    assert training or x.version.value == version


def net(inplace):
    tinymed.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace),
        nn.MaxPool2d(2),
        nn.Dropout(0.25, inplace),
        nn.Conv2d(8, 8, 3, padding=1, bias=False),
        nn.LeakyReLU(0.1, inplace),
        nn.Flatten(),
        nn.Linear(8 * 16, 3),
    )


@pytest.mark.parametrize("training", [True, False])
def test_a_captured_program_is_as_long_as_without_inplace(training):
    lengths, values = [], []
    for inplace in (False, True):
        model = net(inplace).train(training)

        def step(x, model=model):
            if not training:
                with tape.no_grad():
                    return model(x)
            model.zero_grad()
            loss = (model(x) ** 2).sum()
            loss.backward()
            return loss

        captured = tinymed.capture(step)
        x = Tensor(np.random.default_rng(1).normal(size=(4, 3, 8, 8)).astype(np.float32))
        with use_backend("numba"):
            values.append([captured(x).numpy() for _ in range(3)])
        lengths.append(len(captured.program.calls))
        assert len(captured.replays) == 1
        assert sum(map(len, captured.replays.values())) == 1, "recorded once, then replayed"
    assert lengths[0] == lengths[1]
    np.testing.assert_array_equal(values[0][0], values[1][0])


def test_a_captured_step_that_writes_its_input():
    seen = []
    step = tinymed.capture(lambda x: nn.functional.relu(x, inplace=True) + x)
    with use_backend("numpy"):
        for sign in (1, -1, 1):
            seen.append(step(tinymed.tensor(sign * VALUES)).numpy())
    np.testing.assert_array_equal(seen[0], 2 * np.maximum(VALUES, 0))
    np.testing.assert_array_equal(seen[1], 2 * np.maximum(-VALUES, 0))
    np.testing.assert_array_equal(seen[2], seen[0])
