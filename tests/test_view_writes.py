"""A view of a convolution's output: a write to one of the two shows in the other, as in PyTorch, which never copies."""

import gc

import numpy as np
import pytest

import tinymed
from tinymed.nn import functional as F

torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")

WRITES = {
    "the view": lambda y, v, lib: v.mul_(2.0),
    "an element of the view": lambda y, v, lib: v[1, 3:9].fill_(0.5),
    "what it is a view of": lambda y, v, lib: y.add_(1.0),
    "a part of what it is a view of": lambda y, v, lib: y[0, 1].zero_(),
    "a view of the view": lambda y, v, lib: v.view(-1)[5:40:3].mul_(-1.0),
    "an inplace function of the view": lambda y, v, lib: lib.relu(v, inplace=True),
    "an inplace function of the source": lambda y, v, lib: lib.relu(y, inplace=True),
    "one and then the other": lambda y, v, lib: (v.mul_(2.0), y.add_(1.0), v[0].zero_()),
}
BACKENDS = ["numpy", "numba"]  # images whose channels lie first, and last


def inputs(rng):
    return rng.standard_normal((2, 3, 5, 4)), rng.standard_normal((4, 3, 3, 3)), rng.standard_normal((2, 4, 3, 2))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("captured", [False, True])
@pytest.mark.parametrize("name", WRITES)
def test_both_show_the_write(name, captured, backend, rng):
    x, weight, _ = inputs(rng)

    def run(x, weight, lib):
        y = lib.conv2d(x, weight)
        v = y.view(2, -1)
        WRITES[name](y, v, lib)
        return y * 1.0, v * 1.0

    with torch.no_grad():
        wanted = run(torch.from_numpy(x), torch.from_numpy(weight), torch.nn.functional)

    def step(a, b):
        return run(a, b, F)

    if captured:
        step = tinymed.capture(step)
    with tinymed.use_backend(backend), tinymed.no_grad():
        for _ in range(2):
            found = step(tinymed.tensor(x), tinymed.tensor(weight))
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", WRITES)
def test_gradients_go_through_the_write(name, backend, rng):
    x, weight, factor = inputs(rng)

    def run(x, weight, factor, lib):
        y = lib.conv2d(x, weight)
        v = y.view(2, -1)
        WRITES[name](y, v, lib)
        return (y * factor).sum() + (v * v).sum()

    theirs = [torch.from_numpy(a).requires_grad_() for a in (x, weight)]
    run(*theirs, torch.from_numpy(factor), torch.nn.functional).backward()
    with tinymed.use_backend(backend):
        ours = [tinymed.tensor(a, requires_grad=True) for a in (x, weight)]
        run(*ours, tinymed.tensor(factor), F).backward()
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-9, atol=1e-9)


def test_what_nobody_uses_is_not_kept(rng):
    """A network that flattens holds no second map, and writes none."""
    x, weight, _ = inputs(rng)
    with tinymed.use_backend("numba"), tinymed.no_grad():
        y = F.conv2d(tinymed.tensor(x.astype(np.float32)), tinymed.tensor(weight.astype(np.float32)))
        v = y.view(2, -1)
        before = v.numpy().copy()
        (pair,) = v.version.links
        del y
        gc.collect()
        assert not pair.alive()
        v.mul_(2.0)
        np.testing.assert_array_equal(v.numpy(), 2 * before)
