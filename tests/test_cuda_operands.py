"""What users write with tensors on a GPU: indices of every kind, numbers, NumPy's arrays; on the stand-in for CuPy."""

import numpy as np
import pytest
from conftest import absence
from fake_cupy import reading_allowed

import tinymed
from tinymed.nn import functional as F
from tinymed.program import capture

X = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
PLACES = np.array([1, 0, 3, 1])
CALLS = {  # of a tensor and of what makes a tensor beside it
    "where with a number": lambda x, at: tinymed.where(x > 0, x, 0.0),
    "where of two": lambda x, at: tinymed.where(x > 0, x, -x),
    "an index tensor": lambda x, at: x[at(PLACES)],
    "two index tensors": lambda x, at: x[at(PLACES), at(PLACES)],
    "an index tensor and a slice": lambda x, at: x[1:3, at(PLACES)],
    "a mask": lambda x, at: x[x > 0],
    "NumPy's indices": lambda x, at: x[PLACES],
    "NumPy's mask": lambda x, at: x[X > 0],
    "a list": lambda x, at: x[[0, 1]],
    "a number": lambda x, at: x[at(np.array(2))],
    "a slice": lambda x, at: x[1:3],
    "gather": lambda x, at: x.gather(1, at(np.zeros((4, 2), np.int64))),
    "gather by NumPy's": lambda x, at: x.gather(1, np.ones((4, 2), np.int64)),
    "index_select": lambda x, at: x.index_select(0, at(PLACES)),
    "one_hot": lambda x, at: F.one_hot(at(PLACES), 5),
    "embedding": lambda x, at: F.embedding(at(PLACES), x),
    "masked_fill": lambda x, at: x.masked_fill(x > 0, 0.0),
    "NumPy's array": lambda x, at: x + np.ones((4, 6), np.float32),
    "NumPy's row": lambda x, at: x * np.arange(6, dtype=np.float32),
    "a number of the host": lambda x, at: x * tinymed.tensor(2.0, device="cpu"),
    "maximum with one": lambda x, at: tinymed.maximum(x, tinymed.tensor(0.5, device="cpu")),
    "batches of matrices": lambda x, at: tinymed.matmul(x.reshape(2, 2, 6), x.reshape(2, 6, 2)),
}
WRITES = {
    "a slice": lambda x, at: x.__setitem__(slice(1, 3), 0.0),
    "an index tensor": lambda x, at: x.__setitem__(at(np.array([2, 0])), 7.0),
    "a list": lambda x, at: x.__setitem__([0, 3], -1.0),
    "a mask": lambda x, at: x.__setitem__(x > 0, 0.5),
    "NumPy's array": lambda x, at: x.__setitem__(0, np.arange(6, dtype=np.float32)),
}


def both(call):
    """What a call gives on the CPU and on the GPU, with the gradient of its input."""
    found = []
    for place in ("cpu", "cuda"):
        with reading_allowed():
            x = tinymed.tensor(X, device=place, requires_grad=True)
            y = call(x * 1.0, lambda a, place=place: tinymed.tensor(a, device=place))
            if y.requires_grad:
                (y * y).sum().backward()
            found.append((y.cpu().detach().numpy(), None if x.grad is None else x.grad.cpu().numpy()))
    return found


@pytest.mark.parametrize("name", CALLS)
def test_a_call_does_as_on_the_cpu(cuda, name):
    (expected, slope), (found, gradient) = both(CALLS[name])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    if slope is not None:
        np.testing.assert_allclose(gradient, slope, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", WRITES)
def test_a_write_does_as_on_the_cpu(cuda, name):
    def written(x, at):
        WRITES[name](x, at)
        return x

    (expected, slope), (found, gradient) = both(written)
    np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(gradient, slope, rtol=1e-5)


def test_tensors_with_axes_are_not_brought_together(cuda):
    x = tinymed.tensor(X)
    with pytest.raises(RuntimeError, match="on several devices, cpu and cuda"):
        x.cuda() + x
    with pytest.raises(RuntimeError, match="on several devices, cpu and cuda"):
        x[tinymed.tensor(PLACES, device="cuda")]


def test_the_gradient_of_a_number_of_the_host_goes_back(cuda):
    scale = tinymed.tensor(2.0, requires_grad=True)
    with reading_allowed():
        (tinymed.tensor(X, device="cuda") * scale).sum().backward()
        assert scale.grad.device == "cpu"
        assert scale.grad.item() == pytest.approx(float(X.sum()), rel=1e-5)


@pytest.mark.skipif(bool(absence("emulated")), reason=f"backend emulated: {absence('emulated')}")
def test_a_captured_step_writes_where_its_indices_point():
    """Through views and index arrays, forward and backward, to memory that a replay uses again."""

    def results(recorded):
        x, others = tinymed.tensor(X, requires_grad=True), tinymed.tensor([1, 3])

        def written(row, places):
            y = x * 2.0
            y[1:, ::2] = row[:3]
            y.T[::3, 1] = row[:2]
            y[places] = y[others] + row
            (dx,) = tinymed.grad((y.flip(0) * y).sum(), [x])
            return y, dx

        step, found = capture(written) if recorded else written, []
        for seed in range(3):
            found += [t.detach().numpy().copy() for t in step(tinymed.tensor(X[0] * seed), tinymed.tensor([2, 0]))]
        return found

    with tinymed.use_backend("numpy"):
        expected = results(recorded=False)
    with tinymed.use_backend("emulated"):
        captured = results(recorded=True)
    for ours, true in zip(captured, expected, strict=True):
        np.testing.assert_allclose(ours, true, rtol=1e-6)
