"""ONNX operators that changed between opsets: ours against ONNX Runtime's."""

import numpy as np
import pytest
from onnx_models import LONG, TensorProto, X, model_of, node, options, ort, write

import tinymed
import tinymed.onnx


@pytest.fixture(autouse=True)
def reference():
    """The mapping is tested, not the kernels."""
    with tinymed.use_backend("numpy"):
        yield


class TestOpsets:
    """Operators that changed: ours against ONNX Runtime's, in the opsets on both sides of the change."""

    CASES = {
        "softmax, the axes from 1 on": (7, node("Softmax", "x"), {}),
        "softmax, coerced at 2": (11, node("Softmax", "x", axis=2), {}),
        "softmax, one axis": (13, node("Softmax", "x"), {}),
        "log softmax, coerced": (11, node("LogSoftmax", "x"), {}),
        "hardmax, coerced": (11, node("Hardmax", "x"), {}),
        "clip, attributes": (7, node("Clip", "x", min=-0.5, max=0.5), {}),
        "clip, one attribute": (10, node("Clip", "x", max=0.5), {}),
        "clip, an empty input": (12, node("Clip", "x", "", "high"), {"high": np.float32(0.3)}),
        "pad, attributes": (7, node("Pad", "x", pads=[0, 0, 1, 2, 0, 0, 2, 1], value=1.5), {}),
        "pad, reflect": (10, node("Pad", "x", pads=[0, 0, 1, 2, 0, 0, 2, 1], mode="reflect"), {}),
        "pad, cropping": (11, node("Pad", "x", "p"), {"p": np.array([0, 0, -1, 2, 0, -1, 0, -2], LONG)}),
        "slice, attributes": (7, node("Slice", "x", starts=[1, -3], ends=[5, 100], axes=[2, 3]), {}),
        "slice, backwards": (
            10,
            node("Slice", "x", "s", "e", "a", "t"),
            {
                "s": np.array([-1], LONG),
                "e": np.array([-100], LONG),
                "a": np.array([2], LONG),
                "t": np.array([-2], LONG),
            },
        ),
        "squeeze, attribute": (11, node("Squeeze", "x", axes=[1]), {}),
        "unsqueeze, attribute": (11, node("Unsqueeze", "x", axes=[0, 3]), {}),
        "split, attribute": (11, node("Split", "x", outputs=("y", "z"), split=[1, 5], axis=2), {}),
        "split, equal": (7, node("Split", "x", outputs=("y", "z"), axis=2), {}),
        "reduce sum, attribute": (11, node("ReduceSum", "x", axes=[1, -1], keepdims=0), {}),
        "reduce sum, input": (13, node("ReduceSum", "x", "a"), {"a": np.array([1], LONG)}),
        "reduce mean, attribute": (13, node("ReduceMean", "x", axes=[2, 3]), {}),
        "reduce mean, input": (18, node("ReduceMean", "x", "a"), {"a": np.array([2, 3], LONG)}),
        "reduce, no axes, no operation": (18, node("ReduceMax", "x", noop_with_empty_axes=1), {}),
        "dropout, attribute": (7, node("Dropout", "x", ratio=0.4), {}),
        "dropout, input": (13, node("Dropout", "x", "r"), {"r": np.float32(0.4)}),
        "upsample, attribute": (7, node("Upsample", "x", scales=[1.0, 1.0, 2.0, 3.0]), {}),
        "upsample, input": (9, node("Upsample", "x", "s", mode="linear"), {"s": np.array([1, 1, 2, 2], np.float32)}),
        "resize, opset 10": (10, node("Resize", "x", "s"), {"s": np.array([1, 1, 1.7, 0.6], np.float32)}),
        "resize, opset 11": (
            11,
            node("Resize", "x", "r", "s", mode="cubic"),
            {"r": np.zeros(0, np.float32), "s": np.array([1, 1, 1.5, 2], np.float32)},
        ),
        "resize, by the engine": (
            13,
            node("Resize", "x", "", "", "z", mode="linear"),
            {"z": np.array([2, 3, 9, 10], LONG)},
        ),
        "resize, repeated": (13, node("Resize", "x", "", "s"), {"s": np.array([1, 1, 2, 3], np.float32)}),
        "batch norm, opset 9": (
            9,
            node("BatchNormalization", "x", "w", "b", "m", "v"),
            dict(zip("wbmv", np.abs(X[0, :3, :4, 0].T) + 0.1, strict=True)),
        ),
        "flatten": (7, node("Flatten", "x", axis=2), {}),
        "constant": (12, node("Mul", "x", "c"), {"c": np.float32(3)}),
        "lrn": (7, node("LRN", "x", size=3, alpha=0.1), {}),
        "max pool, same lower": (
            8,
            node("MaxPool", "x", kernel_shape=[3, 2], auto_pad="SAME_LOWER", strides=[2, 2]),
            {},
        ),
        "average pool, ceil": (10, node("AveragePool", "x", kernel_shape=[3, 2], strides=[2, 2], ceil_mode=1), {}),
        "transposed, output shape": (
            11,
            node("ConvTranspose", "x", "w", output_shape=[13, 12], strides=[2, 2]),
            {"w": X[0, :, :2, :3].reshape(3, 1, 2, 3)},
        ),
        "grouped, dilated": (
            11,
            node("Conv", "x", "w", group=3, dilations=[2, 1], pads=[1, 0, 2, 1]),
            {"w": X[:, :, :3, :2].reshape(6, 1, 3, 2)},
        ),
        "gemm, all of it": (
            11,
            node("Gemm", "a", "b", "c", alpha=0.5, beta=2.0, transA=1),
            {"a": X[0, 0], "b": X[0, 1], "c": X[0, 2, 0]},
        ),
        "global": (7, node("GlobalAveragePool", "x"), {}),
        "prelu, a channel": (9, node("PRelu", "x", "s"), {"s": X[0, :, :1, :1]}),
        "cast": (9, node("Cast", "x", to=TensorProto.INT32), {}),
    }

    @pytest.mark.parametrize("nearest", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
    @pytest.mark.parametrize("place", ["half_pixel", "pytorch_half_pixel", "asymmetric"])
    def test_places_between_two_pixels_fall_as_in_onnx_runtime(self, nearest, place, tmp_path):
        how = {"coordinate_transformation_mode": place, "nearest_mode": nearest}
        for n, scale in ((5, 0.6), (7, 1.7), (3, 5 / 3), (6, 0.7), (10, 0.3), (9, 7 / 9), (4, 2.1)):
            x = np.arange(n, dtype=np.float32)[None, None, None]
            one = node("Resize", "x", "", "s", **how)
            scales = {"s": np.array([1, 1, 1, scale], np.float32)}
            path = write(tmp_path, model_of([one], {"x": x}, one.output, scales, 19))
            expected = ort.InferenceSession(path.read_bytes(), options()).run(None, {"x": x})[0]
            assert tinymed.onnx.load(path)(tinymed.tensor(x)).tolist() == expected.tolist(), (n, scale)

    @pytest.mark.parametrize("name", CASES)
    def test_as_onnx_runtime(self, name, tmp_path):
        opset, one, initialisers = self.CASES[name]
        x = X[:, :1] if one.op_type == "Squeeze" else X
        kind = TensorProto.INT32 if one.op_type == "Cast" else TensorProto.FLOAT
        path = write(tmp_path, model_of([one], {"x": x}, one.output, initialisers, opset, kind))
        session = ort.InferenceSession(path.read_bytes(), options())
        expected = session.run(None, {i.name: x for i in session.get_inputs()})
        results = tinymed.onnx.load(path)(x)
        results = results if isinstance(results, tuple) else (results,)
        for got, want in zip(results, expected, strict=True):
            np.testing.assert_allclose(got.numpy(), want, rtol=2e-5, atol=1e-6)
            assert got.dtype == want.dtype

    def test_an_even_window_of_lrn(self, tmp_path):
        """ONNX Runtime takes odd ones only; the standard: from c - floor((n - 1) / 2) to c + ceil((n - 1) / 2)."""
        model = model_of([node("LRN", "x", size=4, alpha=0.1)], {"x": X}, opset=13)
        got = tinymed.onnx.load(write(tmp_path, model))(X).numpy()
        sums = np.stack([(X[:, max(0, c - 1) : c + 3] ** 2).sum(1) for c in range(3)], 1)
        np.testing.assert_allclose(got, X / (1 + 0.1 / 4 * sums) ** 0.75, rtol=1e-5)

    def test_not_is_as_old_as_onnx(self, tmp_path):
        """Its node tests are in opset 1; the operator has not changed since."""
        path = write(tmp_path, model_of([node("Not", "x")], {"x": X > 0}, opset=7))
        np.testing.assert_array_equal(tinymed.onnx.load(path)(X > 0).numpy(), X <= 0)
