"""Gathering, scattering, sorting and masks of position beside ONNX Runtime, with gradients."""

import numpy as np
import pytest
from onnx_models import LONG, TensorProto, X, agree, beside, loaded, model_of, node, ours

import tinymed
import tinymed.onnx
from tinymed.check import gradcheck
from tinymed.errors import UserError

RNG = np.random.default_rng(5)
ELEMENTS = RNG.integers(-6, 6, (2, 3, 6, 5))
ROWS = np.array([[0, 2], [-1, 0], [1, 1], [0, 2]], LONG)  # [0, 2] twice
UPDATES = RNG.normal(size=(2, 3, 6, 5)).astype(np.float32)
SLICES = RNG.normal(size=(4, 6, 5)).astype(np.float32)


@pytest.fixture(autouse=True)
def reference():
    """The mapping is tested, not the kernels."""
    with tinymed.use_backend("numpy"):
        yield


CASES = {
    "gather nd": (13, node("GatherND", "x", "i"), {"i": ROWS}),
    "gather nd, in step": (13, node("GatherND", "x", "i", batch_dims=1), {"i": np.array([[2, -1], [0, 3]], LONG)}),
    "gather nd, elements": (13, node("GatherND", "x", "i"), {"i": np.array([[[1, 2, 3, 4]], [[0, -1, -1, 0]]], LONG)}),
    "scatter elements": (
        18,
        node("ScatterElements", "x", "i", "u", axis=2),
        {"i": np.array([0, 3, -1, 2, 4, 1]).reshape(1, 1, 6, 1) + 0 * ELEMENTS, "u": UPDATES},
    ),
    "scatter nd": (18, node("ScatterND", "x", "i", "u"), {"i": ROWS[:3], "u": SLICES[:3]}),
    "one hot": (
        13,
        node("OneHot", "i", "d", "v", axis=1),
        {"i": np.array([[1, -1], [7, 0]], LONG), "d": np.array(4, LONG), "v": np.float32([-2, 3])},
    ),
    "top k": (11, node("TopK", "x", "k", axis=2), {"k": np.array([4], LONG)}),
    "top k, smallest": (11, node("TopK", "x", "k", largest=0), {"k": np.array([2], LONG)}),
    "trilu": (14, node("Trilu", "x", "k", upper=0), {"k": np.array(1, LONG)}),
    "trilu, far": (14, node("Trilu", "x", "k"), {"k": np.array(1 << 60, LONG)}),
    "compress": (11, node("Compress", "x", "c", axis=2), {"c": np.array([True, False, True])}),
    "compress, elements": (11, node("Compress", "x", "c"), {"c": np.array([False, True, True])}),
    "reverse": (10, node("ReverseSequence", "x", "l", time_axis=1, batch_axis=0), {"l": np.array([3, 2], LONG)}),
    "einsum": (12, node("Einsum", "x", "x", equation="bchw,bkhw->bck"), {}),
    "einsum, dots": (
        12,
        node("Einsum", "x", "w", equation="...i, ij -> ...j"),
        {"w": RNG.normal(size=(5, 4)).astype(np.float32)},
    ),
    "einsum, implicit": (12, node("Einsum", "x", "w", equation="abij,ij"), {"w": UPDATES[0, 0]}),
    "einsum, three": (
        12,
        node("Einsum", "x", "w", "v", equation="bchw,hw,w->b"),
        {"w": UPDATES[0, 0], "v": UPDATES[0, 0, 0]},
    ),
    "einsum, a sum": (12, node("Einsum", "x", equation="bchw->c"), {}),
    "rms": (23, node("RMSNormalization", "x", "w", axis=2), {"w": UPDATES[0, 0]}),
    "tan": (13, node("Tan", "x"), {}),
    "asinh": (13, node("Asinh", "x"), {}),
    "sinh": (13, node("Sinh", "x"), {}),
    "cosh": (13, node("Cosh", "x"), {}),
    "atan": (13, node("Atan", "x"), {}),
}
for how in ("add", "mul", "max", "min"):
    CASES[f"scatter elements, {how}"] = (
        18,
        node("ScatterElements", "x", "i", "u", axis=2, reduction=how),
        {"i": ELEMENTS, "u": UPDATES},
    )
    CASES[f"scatter nd, {how}"] = (18, node("ScatterND", "x", "i", "u", reduction=how), {"i": ROWS, "u": SLICES})


@pytest.mark.parametrize("name", CASES)
def test_as_onnx_runtime(name, tmp_path):
    opset, one, arrays = CASES[name]
    one.output[:] = ["y", "z"] if one.op_type == "TopK" else ["y"]
    used = [n for n in one.input if n not in arrays]
    inputs = dict.fromkeys(used, X)
    model = model_of([one], inputs, ("y",), arrays, opset)
    if one.op_type == "RMSNormalization":  # newer than ONNX Runtime's kernel
        want = X / np.sqrt((X * X).mean((2, 3), keepdims=True) + 1e-5) * arrays["w"]
        agree(ours(loaded(tmp_path, model), X), [want])
    else:
        beside(tmp_path, model, *inputs.values(), tolerance=2e-6)


@pytest.mark.parametrize("name", [n for n in CASES if "hot" not in n])
def test_gradient(name, tmp_path):
    """Finite differences, in the updates and weights too."""
    opset, one, arrays = CASES[name]
    one.output[:] = ["y", "z"] if one.op_type == "TopK" else ["y"]
    floats = [n for n, a in arrays.items() if a.dtype.kind == "f" and a.ndim]
    doubles = {n: a.astype(np.float64) if n in floats else a for n, a in arrays.items()}
    x = X.astype(np.float64)
    inputs = {"x": x} | {n: doubles[n] for n in floats}
    rest = {n: a for n, a in doubles.items() if n not in floats}
    module = loaded(tmp_path, model_of([one], inputs, ("y",), rest, opset, TensorProto.DOUBLE))
    gradcheck(module, [tinymed.tensor(a, requires_grad=True) for a in inputs.values()])


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint8])
@pytest.mark.parametrize("largest", [0, 1])
def test_ties_and_types_of_top_k(dtype, largest, tmp_path):
    x = RNG.integers(0, 4, (3, 9)).astype(dtype)
    one = node("TopK", "x", "k", outputs=("y", "i"), largest=largest)
    module = loaded(tmp_path, model_of([one], {"x": x}, ("y", "i"), {"k": np.array([5], LONG)}, 11))
    order = np.argsort(-x.astype(int) if largest else x.astype(int), 1, kind="stable")[:, :5]
    agree(ours(module, x), [np.take_along_axis(x, order, 1), order])


@pytest.mark.parametrize("settings", [{}, {"sorted": 0}, {"axis": 1}, {"axis": 0, "sorted": 0}], ids=str)
def test_unique(settings, tmp_path):
    x = np.array([[2, 1, 2, 1], [3, 1, 3, 1], [2, 1, 2, 1]], np.int64)
    one = node("Unique", "x", outputs=("y", "a", "b", "c"), **settings)
    beside(tmp_path, model_of([one], {"x": x}, ("y", "a", "b", "c"), opset=11, kind=7), x)


def test_non_zero_and_eye(tmp_path):
    nodes = [node("NonZero", "x", outputs=["y"]), node("EyeLike", "m", outputs=["z"], k=1, dtype=7)]
    x, m = (X > 0.5).astype(np.float32), X[0, 0]
    beside(tmp_path, model_of(nodes, {"x": x, "m": m}, ("y", "z"), opset=13, kind=7), x, m)


@pytest.mark.parametrize(
    ("one", "arrays", "words"),
    [
        (node("GatherND", "x", "i"), {"i": np.array([[9, 0]], LONG)}, "9"),
        (node("GatherND", "x", "i"), {"i": np.zeros((2, 5), LONG)}, "do not fit data"),
        (node("ScatterND", "x", "i", "u"), {"i": np.array([[0, 3]], LONG), "u": SLICES[:1]}, "axis of length 3"),
        (node("ScatterND", "x", "i", "u"), {"i": ROWS, "u": SLICES[:1]}, "do not fit data"),
        (node("ScatterElements", "x", "i", "u"), {"i": ELEMENTS[:1], "u": UPDATES}, "of one shape"),
        (node("TopK", "x", "k"), {"k": np.array([6], LONG)}, "K is 6 of an axis of length 5"),
        (node("TopK", "x", "k"), {"k": np.array([-1], LONG)}, "K is -1"),
        (node("OneHot", "x", "k", "v"), {"k": np.array(1 << 40, LONG), "v": np.float32([0, 1])}, "at most 536,870,912"),
        (node("ReverseSequence", "x", "i"), {"i": np.array([1, 2, 9], LONG)}, "numbers from 0 to 2"),
        (node("Einsum", "x", equation="bchw->bz"), {}, "must name axes of the inputs"),
        (node("Einsum", "x", equation="bc->b"), {}, "does not fit the shape"),
        (node("Einsum", "x", "v", equation="bchw,z->b"), {"v": np.float32(1)}, "does not fit the shape"),
        (node("Einsum", "x", "v", equation="bchw,b->b"), {"v": np.ones(3, np.float32)}, "lengths 2 and 3"),
        (node("Compress", "x", "c", axis=0), {"c": np.ones(3, bool)}, "place 2 of an axis of length 2"),
    ],
)
def test_refusals(one, arrays, words, tmp_path):
    one.output[:] = ["y", "z"] if one.op_type == "TopK" else ["y"]
    module = loaded(tmp_path, model_of([one], {"x": X}, initialisers=arrays))
    with pytest.raises(UserError, match=words) as caught:
        module(X)
    assert f"({one.op_type})" in str(caught.value)
