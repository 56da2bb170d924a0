"""Quantised operators beside ONNX Runtime: one scale, one a channel, blocks; all integers; what is refused."""

import numpy as np
import pytest
from onnx_models import TensorProto, X, agree, beside, loaded, model_of, node, ours, runtime

import tinymed
import tinymed.onnx
from tinymed.errors import UserError

TYPES = {"int8": np.int8, "uint8": np.uint8, "int16": np.int16, "uint16": np.uint16}
RNG = np.random.default_rng(2)


@pytest.fixture(autouse=True)
def reference():
    """The mapping is tested, not the kernels."""
    with tinymed.use_backend("numpy"):
        yield


def whole(shape, dtype, seed=0):
    """Integers over the whole range of a dtype."""
    limits = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(limits.min, limits.max, shape, dtype, endpoint=True)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("layout", ["one", "axis", "blocks"])
def test_there_and_back(dtype, layout, tmp_path):
    """Quantised and back, with values beyond the range."""
    shape = {"one": (), "axis": (6,), "blocks": (2, 3, 3, 5)}[layout]
    more = {"one": {}, "axis": {"axis": 2}, "blocks": {"axis": 2, "block_size": 2}}[layout]
    scale = RNG.uniform(0.01, 0.02, shape).astype(np.float32)
    zero = whole(shape, TYPES[dtype])
    nodes = [
        node("QuantizeLinear", "x", "s", "z", outputs=["q"], **more),
        node("DequantizeLinear", "q", "s", "z", outputs=["y"], **more),
    ]
    beside(tmp_path, model_of(nodes, {"x": 3 * X}, ("q", "y"), {"s": scale, "z": zero}, 21, None), 3 * X)


def test_halves_go_to_the_even_one(tmp_path):
    x = np.float32([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 1e9, -1e9])
    one = node("QuantizeLinear", "x", "s", outputs=["y"])
    got = ours(loaded(tmp_path, model_of([one], {"x": x}, ("y",), {"s": np.float32(1)}, 21)), x)
    agree(got, [np.array([0, 0, 0, 0, 2, 2, 255, 0], np.uint8)])


@pytest.mark.parametrize("x", [X, np.abs(X) + 1, -np.abs(X) - 1, 0 * X], ids=["both", "above", "below", "zeros"])
def test_dynamic(x, tmp_path):
    one = node("DynamicQuantizeLinear", "x", outputs=("y", "s", "z"))
    model = model_of([one], {"x": x}, ("y", "s", "z"), opset=13, kind=None)
    agree(ours(loaded(tmp_path, model), x), runtime(model, x))


@pytest.mark.parametrize("kinds", [("uint8", "uint8"), ("uint8", "int8"), ("int8", "int8")])
@pytest.mark.parametrize("per_channel", [False, True])
def test_integer_convolution(kinds, per_channel, tmp_path):
    x, w = whole((2, 4, 7, 6), TYPES[kinds[0]]), whole((6, 2, 3, 2), TYPES[kinds[1]], 1)
    zeros = {"a": whole((), TYPES[kinds[0]], 2), "b": whole((6,) if per_channel else (), TYPES[kinds[1]], 3)}
    settings = {"group": 2, "pads": [1, 0, 2, 1], "strides": [2, 1], "dilations": [1, 2]}
    one = node("ConvInteger", "x", "w", "a", "b", **settings)
    model = model_of([one], {"x": x}, ("y",), {"w": w} | zeros, 13, TensorProto.INT32)
    try:
        want = runtime(model, x)
    except Exception:  # ONNX Runtime lacks some of these pairs: the sum itself, in integers
        torch = pytest.importorskip("torch")
        left = torch.tensor(x.astype(np.float64) - zeros["a"])
        right = torch.tensor(w.astype(np.float64) - zeros["b"].reshape((-1, 1, 1, 1) if per_channel else ()))
        padded = torch.nn.functional.pad(left, (0, 1, 1, 2))
        sums = torch.nn.functional.conv2d(padded, right, stride=(2, 1), dilation=(1, 2), groups=2)
        want = [sums.numpy().astype(np.int64).astype(np.int32)]
    agree(ours(loaded(tmp_path, model), x), want)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_quantised_convolution(per_channel, bias, tmp_path):
    x, w = whole((1, 3, 8, 8), np.uint8), whole((4, 3, 3, 3), np.int8, 1)
    shape = (4,) if per_channel else ()
    arrays = {
        "xs": np.float32(0.02),
        "xz": np.uint8(120),
        "w": w,
        "ws": RNG.uniform(0.01, 0.03, shape).astype(np.float32),
        "wz": np.zeros(shape, np.int8),
        "ys": np.float32(0.3),
        "yz": np.uint8(99),
    } | ({"b": whole((4,), np.int16).astype(np.int32)} if bias else {})
    one = node("QLinearConv", "x", *arrays, pads=[1, 1, 1, 1])
    beside(tmp_path, model_of([one], {"x": x}, ("y",), arrays, 13, TensorProto.UINT8), x)


def test_integer_products(tmp_path):
    a, b = whole((2, 3, 4), np.uint8), whole((4, 5), np.int8, 1)
    arrays = {"b": b, "az": np.uint8(7), "bz": whole((5,), np.int8, 2)}
    one = node("MatMulInteger", "a", "b", "az", "bz")
    beside(tmp_path, model_of([one], {"a": a}, ("y",), arrays, 13, TensorProto.INT32), a)
    rows = np.array([3, 200, 9], np.uint8)  # one a row, which ONNX Runtime lacks
    model = model_of([node("MatMulInteger", "a", "b", "az")], {"a": a[0]}, ("y",), {"b": b, "az": rows}, 13, 6)
    want = (a[0].astype(int) - rows[:, None]) @ b.astype(int)
    agree(ours(loaded(tmp_path, model), a[0]), [want.astype(np.int32)])


def test_a_sum_beyond_24_bits_is_exact(tmp_path):
    """Where float32 would round: 600 products of 255 times 255."""
    a, b = np.full((1, 600), 255, np.uint8), np.full((600, 1), 255, np.uint8)
    b[0] = 254
    model = model_of([node("MatMulInteger", "a", "b")], {"a": a}, ("y",), {"b": b}, 13, TensorProto.INT32)
    assert ours(loaded(tmp_path, model), a)[0].item() == 600 * 255 * 255 - 255


def test_quantised_product(tmp_path):
    a, b = whole((3, 4), np.uint8), whole((4, 5), np.int8, 1)
    arrays = {
        "as": np.float32(0.02),
        "az": np.uint8(110),
        "b": b,
        "bs": RNG.uniform(0.01, 0.02, 5).astype(np.float32),
        "bz": np.zeros(5, np.int8),
        "ys": np.float32(0.05),
        "yz": np.uint8(100),
    }
    one = node("QLinearMatMul", "a", *arrays)
    beside(tmp_path, model_of([one], {"a": a}, ("y",), arrays, 13, TensorProto.UINT8), a)


def test_a_scale_that_learns(tmp_path):
    q, scale = whole((4, 6), np.int8), RNG.uniform(0.1, 0.2, 6).astype(np.float32)
    module = loaded(tmp_path, model_of([node("DequantizeLinear", "q", "s")], {"q": q}, ("y",), {"s": scale}, 21))
    module(q).sum().backward()
    np.testing.assert_allclose(module.s.grad.numpy(), q.astype(np.float32).sum(0))


@pytest.mark.parametrize(
    ("one", "arrays", "words"),
    [
        (node("QuantizeLinear", "x", "s", output_dtype=TensorProto.INT4), {"s": np.float32(1)}, "INT4"),
        (node("QuantizeLinear", "x", "s", output_dtype=TensorProto.FLOAT8E4M3FN), {"s": np.float32(1)}, "FLOAT8E4M3FN"),
        (node("QuantizeLinear", "x", "s", axis=2), {"s": np.ones(5, np.float32)}, "for axis 2 of"),
        (
            node("QuantizeLinear", "x", "s", axis=2, block_size=4),
            {"s": np.ones((2, 3, 3, 5), np.float32)},
            "blocks of 4",
        ),
    ],
)
def test_refusals(one, arrays, words, tmp_path):
    with pytest.raises(UserError, match=words):
        loaded(tmp_path, model_of([one], {"x": X}, initialisers=arrays, opset=23))(X)
