"""Half precision, free lengths, and sizes that few bytes ask for."""

import numpy as np
import pytest
from onnx_models import LONG, TensorProto, X, agree, helper, loaded, model_of, node, ours, runtime

import tinymed
import tinymed.onnx
from tinymed.errors import UserError
from tinymed.onnx.table import to_bfloat16

W = np.random.default_rng(4).normal(size=(5, 3)).astype(np.float32)


@pytest.fixture(autouse=True)
def reference():
    """The mapping is tested, not the kernels."""
    with tinymed.use_backend("numpy"):
        yield


def half_model(kind, **more):
    """x W + b in one element type, the weights in raw bytes or not."""
    import ml_dtypes

    dtype = np.float16 if kind == TensorProto.FLOAT16 else ml_dtypes.bfloat16
    weights = [helper.make_tensor("w", kind, W.shape, W.astype(dtype).tobytes(), raw=True)]
    weights.append(helper.make_tensor("b", kind, (3,), [0.5, -1.0, 2.0]))
    graph = helper.make_graph(
        [node("MatMul", "x", "w", outputs=["h"]), node("Add", "h", "b")],
        "g",
        [helper.make_tensor_value_info("x", kind, [None, 5])],
        [helper.make_tensor_value_info("y", kind, [None, 3])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8, **more)


def test_float16(tmp_path):
    """Weights of float32 that can be trained on, inputs of either, an output of float16."""
    model, x = half_model(TensorProto.FLOAT16), X[0, 0].astype(np.float16)
    module = loaded(tmp_path, model)
    assert {p.dtype for p in module.parameters()} == {np.dtype(np.float32)}
    assert module.notes == [
        "initialiser 'w': float16 is held, and computed with, in float32",
        "initialiser 'b': float16 is held, and computed with, in float32",
    ]
    assert "2 tensors of half precision held in float32" in repr(module)
    agree(ours(module, x), runtime(model, x), 2e-3)
    agree(ours(module, x.astype(np.float32)), ours(module, x), 0)
    (module(x) * 1).sum().backward()
    assert np.abs(module.w.grad.numpy()).min() > 0


def test_bfloat16(tmp_path):
    """The bits of the file, a float32 output with bfloat16's digits, and inputs of float32."""
    module = loaded(tmp_path, half_model(TensorProto.BFLOAT16))
    np.testing.assert_array_equal(module.w.numpy(), to_bfloat16(W))
    np.testing.assert_array_equal(module.b.numpy(), np.float32([0.5, -1, 2]))
    got = ours(module, X[0, 0])[0]
    np.testing.assert_array_equal(got, to_bfloat16(X[0, 0] @ to_bfloat16(W) + np.float32([0.5, -1, 2])))
    with pytest.raises(UserError, match=r"is float64\[6, 5\]; it takes bfloat16\[\?, 5\]"):
        module(X[0, 0].astype(np.float64))


def test_rounding_to_bfloat16():
    """As the ml_dtypes package rounds: to the nearest, the even one of two, infinities and NaN kept."""
    import ml_dtypes

    rng = np.random.default_rng(0)
    bits = rng.integers(0, 1 << 32, 20000, np.uint64).astype(np.uint32)
    bits[:5000] = (bits[:5000] & np.uint32(0xFFFF0000)) | np.uint32(0x8000)  # half way
    values = np.concatenate([bits.view(np.float32), np.float32([np.inf, -np.inf, np.nan, 0, -0.0, 3.4e38])])
    with np.errstate(all="ignore"):
        want = values.astype(ml_dtypes.bfloat16).astype(np.float32)
    np.testing.assert_array_equal(to_bfloat16(values), want)


def test_a_cast_rounds(tmp_path):
    nodes = [node("Cast", "x", outputs=["h"], to=10), node("Cast", "h", to=1)]
    model = model_of(nodes, {"x": X})
    agree(ours(loaded(tmp_path, model), X), [X.astype(np.float16).astype(np.float32)], 0)
    nodes = [node("Cast", "x", outputs=["h"], to=16), node("Cast", "h", to=1)]
    module = loaded(tmp_path, model_of(nodes, {"x": X}))
    agree(ours(module, X), [to_bfloat16(X)], 0)
    leaf = tinymed.tensor(X, requires_grad=True)
    module(leaf).sum().backward()
    np.testing.assert_array_equal(leaf.grad.numpy(), np.ones(X.shape, np.float32))


@pytest.mark.parametrize("length", [-1, 0, None])
def test_free_lengths(length, tmp_path):
    """As exporters write them: -1, 0, or nothing."""
    model = model_of([node("Relu", "x")], {"x": X})
    shape = model.graph.input[0].type.tensor_type.shape
    for d in (0, 2, 3):
        shape.dim[d].Clear()
        if length is not None:
            shape.dim[d].dim_value = length
    module = loaded(tmp_path, model)
    assert "float32[?, 3, ?, ?]" in repr(module)
    for x in (X, X[:1, :, :2], X[:0]):
        assert module(x).shape == x.shape
    with pytest.raises(UserError, match=r"it takes float32\[\?, 3, \?, \?\]"):
        module(X[:, :2])


BIG = np.ones(1 << 20, np.float32)
WIDE = np.array([1 << 40], LONG)


@pytest.mark.parametrize(
    ("one", "inputs"),
    [
        (node("Add", "a", "b"), {"a": BIG[:, None], "b": BIG}),
        (node("Less", "a", "b"), {"a": BIG[:, None], "b": BIG}),
        (node("Max", "a", "b"), {"a": BIG[:, None], "b": BIG}),
        (node("Pow", "a", "b"), {"a": BIG[:, None], "b": BIG}),
        (node("PRelu", "a", "b"), {"a": BIG[:, None], "b": BIG}),
        (node("MatMul", "a", "b"), {"a": BIG[:, None], "b": BIG[None]}),
        (node("Gemm", "a", "b"), {"a": BIG[:, None], "b": BIG[None]}),
        (node("Einsum", "a", "b", equation="i,j->ij"), {"a": BIG, "b": BIG}),
        (node("MatMulInteger", "a", "b"), {"a": BIG[:, None].astype(np.uint8), "b": BIG[None].astype(np.uint8)}),
        (node("Where", "c", "a", "b"), {"c": BIG[:, None] > 0, "a": BIG, "b": BIG}),
        (node("Concat", *["a"] * 1024, axis=0), {"a": BIG}),
        (node("Range", "a", "b", "c"), {"a": np.array(0, LONG), "b": np.array(1 << 62, LONG), "c": np.array(1, LONG)}),
        *(
            (node(op, "a", kernel_shape=[3], pads=[1 << 40, 0]), {"a": X[0]})
            for op in ("AveragePool", "MaxPool", "LpPool")
        ),
        (node("Conv", "a", "a", pads=[1 << 40, 0]), {"a": X[0, :, :3, :3]}),
        (node("ConvTranspose", "a", "a", strides=[1 << 40]), {"a": X[0, :, :3, :3]}),
        (node("HannWindow", "a"), {"a": WIDE[0]}),
        (node("OneHot", "a", "b", "c"), {"a": BIG.astype(LONG), "b": np.array(1 << 20, LONG), "c": BIG[:2]}),
        (
            node("RoiAlign", "a", "b", "c", output_height=1 << 40),
            {"a": X, "b": X[0, 0, :1, :4], "c": np.zeros(1, LONG)},
        ),
        (
            node("RoiAlign", "a", "b", "c", sampling_ratio=1 << 40),
            {"a": X, "b": X[0, 0, :1, :4], "c": np.zeros(1, LONG)},
        ),
        (
            node("AffineGrid", "a", "b"),
            {"a": np.ones((1, 2, 3), np.float32), "b": np.array([1, 1, 1 << 20, 1 << 20], LONG)},
        ),
        (
            node("GridSample", "a", "b"),
            {"a": np.ones((1, 1 << 12, 1, 1), np.float32), "b": np.zeros((1, 1 << 9, 1 << 9, 2), np.float32)},
        ),
    ],
    ids=lambda v: v.op_type if hasattr(v, "op_type") else "",
)
def test_sizes_that_few_bytes_ask_for(one, inputs, tmp_path):
    """Refused before anything is allocated, by a limit that is named."""
    model = model_of([one], inputs, opset=20, kind=None)
    with pytest.raises(UserError, match="at most 536,870,912") as caught:
        loaded(tmp_path, model)(*inputs.values())
    assert f"({one.op_type})" in str(caught.value)


@pytest.mark.parametrize("op", ["AveragePool", "MaxPool", "LpPool"])
@pytest.mark.parametrize("kernel", [0, -1, -(1 << 31)])
def test_a_window_of_nothing(op, kernel, tmp_path):
    module = loaded(tmp_path, model_of([node(op, "x", kernel_shape=[3, kernel])], {"x": X}))
    with pytest.raises(UserError, match="it takes lengths >= 1"):
        module(X)


def test_an_input_left_out(tmp_path):
    """By an empty name, which the checker sees, or by an optional value that holds nothing, which it cannot."""
    with pytest.raises(UserError, match=r"\(Conv\).*empty string"):
        loaded(tmp_path, model_of([node("Conv", "x", "")], {"x": X}))
    kind = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    nodes = [node("Optional", outputs=["o"], type=kind), node("Relu", "o")]
    with pytest.raises(UserError, match=r"\(Relu\): input 1 is left out; it takes the first 1"):
        loaded(tmp_path, model_of(nodes, {"x": X}))(X)


def test_every_error_names_the_node_and_what_came(tmp_path):
    module = loaded(tmp_path, model_of([node("Softmax", "x", name="s")], {"x": X > 0}, kind=None))
    with pytest.raises(UserError, match=r"node 's' \(Softmax\) of bool\[2, 3, 6, 5\]: softmax: takes floating-point"):
        module(X > 0)
