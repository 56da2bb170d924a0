"""What a replay borrows on the CPU: inputs are read where they lie, results are the caller's own."""

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinymed
from tinymed import nn, optim
from tinymed.nn import functional as F
from tinymed.program import capture

ON_CPU = ["numpy", "loops", "numba"]


def only_replay(captured):
    (replays,) = captured.replays.values()
    return replays[0]


def layer():
    """A captured layer, and the same one uncaptured."""
    tinymed.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 5, 3, padding=1)).eval()

    def forward(x):
        with tinymed.no_grad():
            return model(x)

    return capture(forward), forward


def images(seed, n=2):
    return tinymed.randn(n, 3, 12, 10, seed=seed)


@pytest.mark.parametrize("backend", ON_CPU)
def test_nothing_is_copied(backend):
    """The recorded input keeps its numbers, though the program has run on others; no two results share memory."""
    with tinymed.use_backend(backend):
        captured, forward = layer()
        captured(images(0))
        replay = only_replay(captured)
        results = []
        for seed in (1, 2, 3):
            before = replay.inputs[0].array.copy()
            results.append(captured(images(seed)))
            if seed > 1:  # the first replay looks up the machine code, for arguments that it copies
                np.testing.assert_array_equal(replay.inputs[0].array, before)
        assert replay.loans.results[0] is not None
        for seed, y in zip((1, 2, 3), results, strict=True):
            np.testing.assert_allclose(y.numpy(), forward(images(seed)).numpy(), rtol=1e-5, atol=1e-6)
        assert not np.shares_memory(results[1].array, results[2].array)


def test_what_is_lent_is_given_back():
    captured, _ = layer()
    for seed in range(3):
        captured(images(seed))
    x = images(4)
    y = captured(x)
    gone = [weakref.ref(owner(t.array)) for t in (x, y)]
    del x, y
    gc.collect()
    assert [r() for r in gone] == [None, None]


def owner(a):
    """The array that others are views of: it takes weak references, and dies with the memory."""
    while isinstance(a.base, np.ndarray):
        a = a.base
    return a


@settings(deadline=None)
@given(st.permutations(range(4)), st.booleans(), st.sampled_from(["same", "turned", "every second", "read only"]))
def test_inputs_in_any_memory_order(order, from_numpy, kind):
    """Replayed between inputs that lie otherwise, each result is that of its own input."""
    captured, forward = layer()
    captured(images(0))
    captured(images(1))
    rng = np.random.default_rng(2)
    back = np.argsort(order)
    a = rng.normal(size=(2, 3, 12, 10)).astype(np.float32)
    a = np.ascontiguousarray(a.transpose(order)).transpose(back)
    if kind == "turned":
        a = a[:, :, ::-1]
    if kind == "every second":
        a = np.repeat(a, 2, axis=3)[..., ::2]
    if kind == "read only":
        a.flags.writeable = False
    x = tinymed.from_numpy(a) if from_numpy and a.flags.writeable else tinymed.Tensor(a)
    for given_input in (x, images(3), x):
        np.testing.assert_allclose(captured(given_input).numpy(), forward(given_input).numpy(), rtol=1e-5, atol=1e-6)


def test_a_result_is_the_next_input():
    captured = capture(lambda x: F.relu(x * 2 - 1) + x)
    x = expected = tinymed.randn(64, 64, seed=0)
    for _ in range(5):
        x, expected = captured(x), F.relu(expected * 2 - 1) + expected
        np.testing.assert_allclose(x.numpy(), expected.numpy(), rtol=1e-6)


@pytest.mark.parametrize("way", ["itself", "numpy", "dlpack"])
def test_a_gradient_as_an_input(way):
    """It is the program's memory, which the step writes while it reads: by whatever way the input came to it."""
    weights = [nn.Parameter(tinymed.randn(96, 96, seed=seed)) for seed in range(2)]

    def step(x):
        for w in weights:
            w.grad = None
        first, second = (x * w for w in weights)
        (first * 2 + second * second).sum().backward()  # the input is read once more when one gradient is written
        return first.detach()

    captured, x = capture(step), tinymed.randn(96, 96, seed=1)
    for _ in range(2):
        captured(x)
    for w in weights:
        captured(x)
        gradient = w.grad
        if way == "numpy":
            gradient = tinymed.from_numpy(gradient.numpy())
        if way == "dlpack":
            gradient = tinymed.from_dlpack(pytest.importorskip("torch").from_dlpack(gradient))
        assert np.shares_memory(gradient.array, w.grad.array)
        before = tinymed.tensor(gradient.numpy().copy())
        y = captured(gradient).numpy()
        found = [w.grad.numpy().copy() for w in weights]
        np.testing.assert_array_equal(y, step(before).numpy())
        for a, w in zip(found, weights, strict=True):
            np.testing.assert_allclose(a, w.grad.numpy(), rtol=1e-5, atol=1e-5)


def test_weights_as_an_input():
    """A step that learns writes the memory of its weights, of which one is given as the input."""
    tinymed.manual_seed(0)
    linear = nn.Linear(8, 8)
    optimizer = optim.SGD(linear.parameters(), lr=0.1)

    def step(x):
        optimizer.zero_grad()
        y = linear(x)
        (y * y).mean().backward()
        optimizer.step()
        return linear(x).detach()

    captured = capture(step)
    for _ in range(2):
        captured(tinymed.randn(8, 8, seed=1))
    start = {k: v.numpy().copy() for k, v in linear.state_dict().items()}
    y = captured(linear.weight.detach())
    linear.load_state_dict({k: tinymed.tensor(v) for k, v in start.items()})
    np.testing.assert_allclose(y.numpy(), step(tinymed.tensor(start["weight"])).numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "step",
    [
        lambda x, y: x,
        lambda x, y: (x, x + y),
        lambda x, y: (x + y, x + y),
        lambda x, y: (x.reshape(-1), y * x),
        lambda x, y: ((x + y)[1:3], x),
        lambda x, y: {"sum": x + y, "transposed": (x + y).T, "mean": (x * y).mean()},
    ],
    ids=["input", "input and sum", "twice", "view of an input", "part of a value", "transposed"],
)
def test_results_that_are_no_whole_value(step):
    captured = capture(step)
    kept = []
    for seed in range(4):
        x, y = tinymed.randn(8, 8, seed=seed), tinymed.randn(8, 8, seed=seed + 9)
        kept.append((captured(x, y), step(x, y)))
    for found, expected in kept:
        for a, b in zip(leaves(found), leaves(expected), strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-6)


def leaves(tree):
    if isinstance(tree, dict):
        return list(tree.values())
    return list(tree) if isinstance(tree, tuple) else [tree]


def test_one_tensor_as_both_inputs():
    captured = capture(lambda x, y: x @ y)
    for seed in range(3):
        x = tinymed.randn(16, 16, seed=seed)
        np.testing.assert_allclose(captured(x, x).numpy(), (x @ x).numpy(), rtol=1e-5, atol=1e-5)
