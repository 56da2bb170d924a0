"""Opsets 1 to 6: ONNX's files of PyTorch's first exporter, and each operator that was something else then."""

from pathlib import Path

import numpy as np
import pytest
from onnx_models import LONG, TensorProto, X, agree, helper, loaded, model_of, node, ours

import tinymed
import tinymed.onnx
from tinymed.errors import UserError

onnx = pytest.importorskip("onnx")
DATA = Path(onnx.__file__).parent / "backend/test/data"
FOLDERS = sorted(p for kind in ("pytorch-converted", "pytorch-operator", "simple") for p in (DATA / kind).iterdir())
REFUSED = ("test_strnorm", "test_gradient_of")  # text, and an operator of another domain


@pytest.fixture(autouse=True)
def reference():
    """The mapping is tested, not the kernels."""
    with tinymed.use_backend("numpy"):
        yield


def values(folder, kind, declared):
    """The stored inputs or outputs of one data set, of tensors and sequences."""
    found = []
    for i, v in enumerate(declared):
        content = (folder / f"{kind}_{i}.pb").read_bytes()
        if v.type.WhichOneof("value") == "sequence_type":
            found.append(onnx.numpy_helper.to_list(onnx.SequenceProto.FromString(content)))
        else:
            found.append(onnx.numpy_helper.to_array(onnx.TensorProto.FromString(content)))
    return found


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_files_of_the_first_exporter(folder):
    """The stored outputs, and ONNX Runtime's where it has kernels as old as the file."""
    if folder.name.startswith(REFUSED):
        with pytest.raises(UserError, match="is not supported"):
            tinymed.onnx.load(folder / "model.onnx")
        return
    model = onnx.load(folder / "model.onnx")
    names = {t.name for t in model.graph.initializer}
    module = tinymed.onnx.load(folder / "model.onnx")
    sets = sorted(folder.glob("test_data_set_*"))
    assert sets
    for data in sets:
        inputs = values(data, "input", [v for v in model.graph.input if v.name not in names])
        outputs = values(data, "output", model.graph.output)
        results = module(*inputs)
        for got, want in zip(results if isinstance(results, tuple) else (results,), outputs, strict=True):
            if isinstance(want, list):
                agree([t.numpy() for t in got], want, 1e-4)
            else:
                agree([got.numpy()], [want], 1e-4)
        agree_with_runtime(model, module, inputs)


def agree_with_runtime(model, module, inputs):
    """ONNX Runtime's outputs, unless it has no kernel of that age."""
    from onnx_models import runtime

    if any(isinstance(i, list) for i in inputs):
        return
    try:
        want = runtime(model, *inputs)
    except Exception as error:
        assert "NOT_IMPLEMENTED" in str(error) or "Could not find an implementation" in str(error)  # noqa: PT017
        return
    if all(isinstance(w, np.ndarray) for w in want):
        agree(ours(module, *inputs), want, 1e-4)


A, B = X, np.random.default_rng(1).normal(size=(3, 6)).astype(np.float32)
V = np.array([2.0, 3.0, 4.0], np.float32)
CASES = {  # opset, node, inputs, what it is
    "add, axis": (6, node("Add", "a", "b", broadcast=1, axis=1), {"a": A, "b": B}, A + B[:, :, None]),
    "mul, axis from the end": (6, node("Mul", "a", "b", broadcast=1, axis=-3), {"a": A, "b": V}, A * V[:, None, None]),
    "sub, the last axes": (1, node("Sub", "a", "b", broadcast=1), {"a": A, "b": A[0, 0]}, A - A[0, 0]),
    "div, consumed": (1, node("Div", "a", "b", consumed_inputs=[0, 0]), {"a": A, "b": A + 9}, A / (A + 9)),
    "pow, a number": (1, node("Pow", "a", "b", broadcast=1), {"a": np.abs(A), "b": np.float32([2])}, A * A),
    "less": (1, node("Less", "a", "b", broadcast=1, axis=0), {"a": A, "b": A[:, 0, 0, 0]}, A[:, :1, :1, :1] > A),
    "and": (1, node("And", "a", "b", broadcast=1, axis=1), {"a": A > 0, "b": V > 2}, (A > 0) & (V > 2)[:, None, None]),
    "prelu, a channel": (6, node("PRelu", "a", "b"), {"a": A, "b": V}, np.where(A < 0, A * V[:, None, None], A)),
    "prelu, one": (1, node("PRelu", "a", "b"), {"a": A, "b": V[:1]}, np.where(A < 0, A * 2, A)),
    "cast, a word": (1, node("Cast", "a", to="INT32"), {"a": A * 3}, (A * 3).astype(np.int32)),
    "cast, a number": (6, node("Cast", "a", to=TensorProto.DOUBLE), {"a": A}, A.astype(np.float64)),
    "concat, no axis": (1, node("Concat", "a", "b"), {"a": A, "b": A}, np.concatenate([A, A], 1)),
    "pad, paddings": (
        1,
        node("Pad", "a", paddings=[0, 0, 1, 0, 0, 0, 0, 2]),
        {"a": A},
        np.pad(A, [(0, 0), (0, 0), (1, 0), (0, 2)]),
    ),
    "pad, pads": (
        2,
        node("Pad", "a", pads=[0, 0, 1, 0, 0, 0, 0, 2], mode="edge"),
        {"a": A},
        np.pad(A, [(0, 0), (0, 0), (1, 0), (0, 2)], "edge"),
    ),
    "reshape, attribute": (1, node("Reshape", "a", shape=[0, -1]), {"a": A}, A.reshape(2, -1)),
    "reshape, input": (5, node("Reshape", "a", "s"), {"a": A, "s": np.array([-1, 5], LONG)}, A.reshape(-1, 5)),
    "tile, one axis": (
        1,
        node("Tile", "a", "n", "i"),
        {"a": A, "n": np.float32(2), "i": np.float32(3)},
        np.tile(A, (1, 1, 1, 2)),
    ),
    "tile, repeats": (6, node("Tile", "a", "n"), {"a": A, "n": np.array([1, 2, 1, 1], LONG)}, np.tile(A, (1, 2, 1, 1))),
    "selu, old digits": (1, node("Selu", "a"), {"a": A}, 1.0507 * np.where(A > 0, A, 1.6732 * np.expm1(A))),
    "selu": (6, node("Selu", "a"), {"a": A}, 1.05070098 * np.where(A > 0, A, 1.67326324 * np.expm1(A))),
    "upsample, two factors": (
        1,
        node("Upsample", "a", height_scale=2.0, width_scale=3.0),
        {"a": A},
        A.repeat(2, 2).repeat(3, 3),
    ),
    "batch norm": (
        6,
        node("BatchNormalization", "a", "s", "s", "s", "s", is_test=1, epsilon=0.0),
        {"a": A, "s": V},
        (A - V[:, None, None]) * np.sqrt(V)[:, None, None] + V[:, None, None],
    ),
    "dropout": (6, node("Dropout", "a", is_test=1), {"a": A}, A),
    "clip": (1, node("Clip", "a", max=0.5, consumed_inputs=[0]), {"a": A}, np.minimum(A, 0.5)),
    "top k": (1, node("TopK", "a", k=2, axis=2, outputs=("y", "i")), {"a": A}, -np.sort(-A, 2)[:, :, :2]),
    "average, the border left out": (
        1,
        node("AveragePool", "a", kernel_shape=[2, 1], pads=[1, 0, 0, 0]),
        {"a": A[:1, :1, :1]},
        A[:1, :1, :1],
    ),
    "softmax, the axes from 1 on": (
        1,
        node("Softmax", "a"),
        {"a": A},
        np.exp(A) / np.exp(A).sum((1, 2, 3), keepdims=True),
    ),
    "gemm": (1, node("Gemm", "a", "b", "c", broadcast=1, transB=1), {"a": B, "b": B, "c": V}, B @ B.T + V),
    "max": (1, node("Max", "a", "b"), {"a": A, "b": -A}, np.abs(A)),
    "arg max": (1, node("ArgMax", "a", axis=1, keepdims=0), {"a": A}, A.argmax(1)),
}


@pytest.mark.parametrize("name", CASES)
def test_as_it_was(name, tmp_path):
    opset, one, inputs, want = CASES[name]
    model = model_of([one], inputs, ("y",), opset=opset)
    got = ours(loaded(tmp_path, model), *inputs.values())
    agree(got, [np.asarray(want).astype(got[0].dtype)], 2e-6)
    assert got[0].dtype.kind == np.asarray(want).dtype.kind


def test_equal_shapes_unless_asked_for(tmp_path):
    """Without broadcast=1 the old operators took equal shapes; a file that relies on more is not what it seems."""
    module = loaded(tmp_path, model_of([node("Add", "a", "b")], {"a": A, "b": B}, opset=6))
    with pytest.raises(ValueError, match="it takes equal ones, or broadcast=1"):
        module(A, B)


@pytest.mark.parametrize(
    ("one", "word"),
    [
        (node("BatchNormalization", "a", "s", "s", "s", "s", is_test=1, spatial=0), "spatial=0"),
        (node("BatchNormalization", "a", "s", "s", "s", "s", outputs=("y", "m", "v", "n", "w")), "5 outputs"),
        (node("Cast", "a", to="COMPLEX64"), "COMPLEX64"),
    ],
)
def test_what_is_refused(one, word, tmp_path):
    inputs = {"a": A, "s": V} if "s" in one.input else {"a": A}
    opset = 1 if one.op_type == "Cast" else 6
    module = loaded(tmp_path, model_of([one], inputs, opset=opset))
    with pytest.raises(ValueError, match=word):
        module(*inputs.values())


def test_an_old_recurrent_layer(tmp_path):
    """output_sequence=0 of opset 1: only the last state is named."""
    rng = np.random.default_rng(0)
    x, w, r = (rng.normal(size=s).astype(np.float32) for s in ((4, 2, 3), (1, 5, 3), (1, 5, 5)))
    one = helper.make_node("RNN", ["x", "w", "r"], ["", "y"], hidden_size=5, output_sequence=0)
    got = ours(loaded(tmp_path, model_of([one], {"x": x}, ("y",), {"w": w, "r": r}, 1)), x)
    h = np.zeros((2, 5), np.float32)
    for step in x:
        h = np.tanh(step @ w[0].T + h @ r[0].T)
    agree(got, [h[None]])


def test_a_file_that_trains(tmp_path):
    """The slope of an old PRelu is a parameter with a gradient."""
    model = model_of([node("PRelu", "a", "b")], {"a": A}, initialisers={"b": V}, opset=6)
    module = loaded(tmp_path, model)
    module(A).sum().backward()
    np.testing.assert_allclose(module.b.grad.numpy(), np.minimum(A, 0).sum((0, 2, 3)), rtol=1e-5)
