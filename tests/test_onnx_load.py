"""Loading ONNX files: what they become, how it changed between opsets, and what is refused."""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinymed
import tinymed.onnx
from tinymed import nn, optim
from tinymed.check import gradcheck
from tinymed.errors import UserError
from tinymed.nn import functional as F

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install '.[test]'")
ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install '.[test]'")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402


@pytest.fixture(autouse=True)
def reference():
    """The mapping is tested, not the kernels."""
    with tinymed.use_backend("numpy"):
        yield


def model_of(nodes, inputs, outputs=("y",), initialisers=None, opset=18, kind=TensorProto.FLOAT, **more):
    """A ModelProto.  inputs: {name: array}; kind: the outputs' element type."""
    kinds = {name: helper.np_dtype_to_tensor_dtype(a.dtype) for name, a in inputs.items()}
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info(n, kinds[n], a.shape) for n, a in inputs.items()],
        [helper.make_tensor_value_info(n, kind, None) for n in outputs],
        [numpy_helper.from_array(a, n) for n, a in (initialisers or {}).items()],
    )  # fmt: skip
    imports = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=imports, ir_version=max(4, min(8, opset - 3)), **more)


def write(tmp_path, model, name="model.onnx"):
    path = tmp_path / name
    path.write_bytes(model.SerializeToString())
    return path


def node(op, *inputs, outputs=("y",), **attributes):
    return helper.make_node(op, inputs, outputs, **attributes)


X = np.random.default_rng(0).normal(size=(2, 3, 6, 5)).astype(np.float32)
LONG = np.int64


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
        "slice, backwards": (10, node("Slice", "x", "s", "e", "a", "t"),
                             {"s": np.array([-1], LONG), "e": np.array([-100], LONG), "a": np.array([2], LONG),
                              "t": np.array([-2], LONG)}),
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
        "resize, opset 11": (11, node("Resize", "x", "r", "s", mode="cubic"),
                             {"r": np.zeros(0, np.float32), "s": np.array([1, 1, 1.5, 2], np.float32)}),
        "resize, by the engine": (13, node("Resize", "x", "", "", "z", mode="linear"),
                                  {"z": np.array([2, 3, 9, 10], LONG)}),
        "resize, repeated": (13, node("Resize", "x", "", "s"), {"s": np.array([1, 1, 2, 3], np.float32)}),
        "batch norm, opset 9": (9, node("BatchNormalization", "x", "w", "b", "m", "v"),
                                dict(zip("wbmv", np.abs(X[0, :3, :4, 0].T) + 0.1, strict=True))),
        "flatten": (7, node("Flatten", "x", axis=2), {}),
        "constant": (12, node("Mul", "x", "c"), {"c": np.float32(3)}),
        "lrn": (7, node("LRN", "x", size=3, alpha=0.1), {}),
        "max pool, same lower": (8, node("MaxPool", "x", kernel_shape=[3, 2], auto_pad="SAME_LOWER", strides=[2, 2]),
                                 {}),
        "average pool, ceil": (10, node("AveragePool", "x", kernel_shape=[3, 2], strides=[2, 2], ceil_mode=1), {}),
        "transposed, output shape": (11, node("ConvTranspose", "x", "w", output_shape=[13, 12], strides=[2, 2]),
                                     {"w": X[0, :, :2, :3].reshape(3, 1, 2, 3)}),
        "grouped, dilated": (11, node("Conv", "x", "w", group=3, dilations=[2, 1], pads=[1, 0, 2, 1]),
                             {"w": X[:, :, :3, :2].reshape(6, 1, 3, 2)}),
        "gemm, all of it": (11, node("Gemm", "a", "b", "c", alpha=0.5, beta=2.0, transA=1),
                            {"a": X[0, 0], "b": X[0, 1], "c": X[0, 2, 0]}),
        "global": (7, node("GlobalAveragePool", "x"), {}),
        "prelu, a channel": (9, node("PRelu", "x", "s"), {"s": X[0, :, :1, :1]}),
        "cast": (9, node("Cast", "x", to=TensorProto.INT32), {}),
    }  # fmt: skip

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


def options():
    """ONNX Runtime without chatter."""
    o = ort.SessionOptions()
    o.log_severity_level, o.intra_op_num_threads = 4, 1
    return o


def perceptron(extra=(), **more):
    """x W1' + b1, relu, x W2'; names as a module would have them."""
    rng = np.random.default_rng(1)
    weights = {"fc.1.weight": (8, 5), "fc.1.bias": (8,), "fc.2.weight": (3, 8)}
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in weights.items()}
    nodes = [
        node("Gemm", "x", "fc.1.weight", "fc.1.bias", outputs=["h"], transB=1),
        node("Relu", "h", outputs=["r"]),
        node("Gemm", "r", "fc.2.weight", outputs=["y"], transB=1),
        *extra,
    ]
    return model_of(nodes, {"x": np.zeros((4, 5), np.float32)}, initialisers=arrays, **more)


class TestModule:
    def test_names_and_kinds(self, tmp_path):
        module = tinymed.onnx.load(write(tmp_path, perceptron()))
        assert [n for n, _ in module.named_parameters()] == ["fc.1.weight", "fc.1.bias", "fc.2.weight"]
        assert not module.training
        assert "float32[4, 5] -> float32[...]" in repr(module)

    def test_statistics_and_settings_are_not_learned(self, tmp_path):
        ones = np.ones(3, np.float32)
        nodes = [
            node("BatchNormalization", "x", "scale", "bias", "mean", "var", outputs=["h"]),
            node("Clip", "h", "low", outputs=["c"]),
            node("Mul", "c", "scalar"),
        ]
        arrays = dict.fromkeys(("scale", "bias", "mean", "var"), ones) | {"low": np.float32(0), "scalar": np.float32(2)}
        module = tinymed.onnx.load(write(tmp_path, model_of(nodes, {"x": X}, initialisers=arrays)))
        assert {n for n, _ in module.named_parameters()} == {"scale", "bias"}
        assert {n for n, _ in module.named_buffers()} == {"mean", "var", "low", "scalar"}

    @pytest.mark.parametrize("name", ["forward", "training", "_parameters", "a..b", ".a", "x.forward", "ö.1", "nodes"])
    def test_a_name_that_no_module_can_have(self, name, tmp_path):
        model = model_of([node("Add", "x", name)], {"x": X}, initialisers={name: np.ones(5, np.float32)})
        module = tinymed.onnx.load(write(tmp_path, model))
        np.testing.assert_allclose(module(X).numpy(), X + 1)
        assert len(module.state_dict()) == 1

    def test_a_name_and_its_prefix(self, tmp_path):
        arrays = {"a": np.ones(5, np.float32), "a.b": np.full(5, 2, np.float32)}
        nodes = [node("Add", "x", "a", outputs=["h"]), node("Mul", "h", "a.b")]
        module = tinymed.onnx.load(write(tmp_path, model_of(nodes, {"x": X}, initialisers=arrays)))
        np.testing.assert_allclose(module(X).numpy(), (X + 1) * 2, rtol=1e-6)
        assert len(list(module.parameters())) == 2

    def test_several_inputs_and_outputs(self, tmp_path):
        nodes = [node("Add", "a", "b", outputs=["s"]), node("Sub", "a", "b", outputs=["d"])]
        module = tinymed.onnx.load(write(tmp_path, model_of(nodes, {"a": X, "b": X}, ("s", "d"))))
        total, difference = module(tinymed.tensor(X), tinymed.tensor(2 * X))
        np.testing.assert_allclose(total.numpy(), 3 * X, rtol=1e-6)
        np.testing.assert_allclose(difference.numpy(), -X, rtol=1e-6)

    def test_a_default_input(self, tmp_path):
        """An initialiser that is also an input, as before IR 4, is not asked for."""
        model = perceptron()
        model.graph.input.append(helper.make_tensor_value_info("fc.1.bias", TensorProto.FLOAT, [8]))
        assert tinymed.onnx.load(write(tmp_path, model))(np.zeros((4, 5), np.float32)).shape == (4, 3)

    def test_it_learns(self, tmp_path):
        module = tinymed.onnx.load(write(tmp_path, perceptron())).train()
        optimizer = optim.Adam(module.parameters(), lr=0.05)
        x, target = tinymed.randn(4, 5, seed=1), tinymed.tensor([0, 1, 2, 1])
        losses = []
        for _ in range(30):
            optimizer.zero_grad()
            loss = F.cross_entropy(module(x), target)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < 0.1 * losses[0]

    def test_dropout_and_batch_norm_in_training(self, tmp_path):
        ones = np.ones(3, np.float32)
        nodes = [
            node("BatchNormalization", "x", "scale", "bias", "mean", "var", outputs=["h"], momentum=0.75),
            node("Dropout", "h"),
        ]
        arrays = {"scale": ones, "bias": 0 * ones, "mean": 0 * ones, "var": ones}
        module = tinymed.onnx.load(write(tmp_path, model_of(nodes, {"x": X}, initialisers=arrays, opset=11)))
        still = module(X).numpy()
        np.testing.assert_allclose(still, X / np.sqrt(1 + 1e-5), rtol=1e-5)
        moved = module.train()(X).numpy()
        assert 0.3 < (moved == 0).mean() < 0.7
        np.testing.assert_allclose(module.mean.numpy(), 0.25 * X.mean((0, 2, 3)), rtol=1e-4)
        np.testing.assert_allclose(module.var.numpy(), 0.75 + 0.25 * X.var((0, 2, 3)), rtol=1e-4)

    def test_training_mode_leaves_the_buffers_alone(self, tmp_path):
        ones = np.ones(3, np.float32)
        one = node("BatchNormalization", "x", "scale", "bias", "mean", "var", outputs=["y", "m", "v"], training_mode=1)
        arrays = {"scale": ones, "bias": 0 * ones, "mean": 0 * ones, "var": ones}
        module = tinymed.onnx.load(write(tmp_path, model_of([one], {"x": X}, ("y", "m"), arrays, 15)))
        _, moved = module(X)
        np.testing.assert_allclose(moved.numpy(), 0.1 * X.mean((0, 2, 3)), rtol=1e-4, atol=1e-7)
        np.testing.assert_array_equal(module.mean.numpy(), 0 * ones)

    @pytest.mark.parametrize("mode", ["linear", "cubic", "nearest"])
    def test_gradients_of_resize(self, mode, tmp_path):
        """Finite differences: the paths that are products with a matrix, or picks."""
        x = X[:1, :1].astype(np.float64)
        arrays = {"s": np.array([1, 1, 1.5, 0.7], np.float32)}
        one = node("Resize", "x", "", "s", mode=mode)
        module = tinymed.onnx.load(write(tmp_path, model_of([one], {"x": x}, ("y",), arrays, 13, TensorProto.DOUBLE)))
        gradcheck(module, [tinymed.tensor(x, requires_grad=True)])


class TestRefusals:
    """A UserError that names the file and the culprit, and says what is accepted."""

    def refused(self, path, *words):
        with pytest.raises(UserError) as caught:
            tinymed.onnx.load(path)
        message = str(caught.value)
        assert str(path) in message
        assert "\n" not in message
        for word in words:
            assert word in message, message

    def test_no_file(self, tmp_path):
        self.refused(tmp_path / "absent.onnx", "cannot be read")
        self.refused(tmp_path, "cannot be read")

    @pytest.mark.parametrize("content", [b"", b"not a protobuf at all", b"\x08\x0a", b"PK\x03\x04" * 50])
    def test_no_model(self, content, tmp_path):
        (tmp_path / "model.onnx").write_bytes(content)
        self.refused(tmp_path / "model.onnx", "is not an ONNX model")

    def test_cut_short(self, tmp_path):
        content = perceptron().SerializeToString()
        (tmp_path / "model.onnx").write_bytes(content[: len(content) // 2])
        self.refused(tmp_path / "model.onnx")

    @pytest.mark.parametrize("opset", [6, 29])
    def test_opset(self, opset, tmp_path):
        self.refused(write(tmp_path, perceptron(opset=opset)), f"opset {opset}", "7 to 28")

    def test_unknown_operator(self, tmp_path):
        model = model_of([node("NonMaxSuppression", "x", "x", name="nms")], {"x": X})
        self.refused(write(tmp_path, model), "node 'nms'", "operator NonMaxSuppression", "it takes", "Conv")

    def test_other_domain(self, tmp_path):
        model = model_of([helper.make_node("Fused", ["x"], ["y"], domain="com.example")], {"x": X})
        model.opset_import.append(helper.make_opsetid("com.example", 1))
        self.refused(write(tmp_path, model), "com.example.Fused", "standard domain")

    def test_control_flow(self, tmp_path):
        branch = helper.make_graph([node("Relu", "x")], "b", [], [helper.make_tensor_value_info("y", 1, None)])
        model = model_of([node("If", "c", then_branch=branch, else_branch=branch)], {"c": np.array(True), "x": X})
        self.refused(write(tmp_path, model), "operator If")

    def external(self, location):
        """A model whose weight lies in another file."""
        model = perceptron()
        weight = model.graph.initializer[0]
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        weight.external_data.add(key="location", value=location)
        return model

    @pytest.mark.parametrize("location", ["weights.bin", "../secret", "/etc/passwd"])
    def test_external_data_is_never_opened(self, location, tmp_path):
        (tmp_path / "weights.bin").write_bytes(b"\0" * 160)
        self.refused(write(tmp_path, self.external(location)), "fc.1.weight", location, "external data is refused")

    def test_external_data_of_an_attribute(self, tmp_path):
        inner = self.external("weights.bin").graph.initializer[0]
        model = model_of([node("Constant", value=inner, outputs=["c"]), node("Add", "x", "c")], {"x": X})
        self.refused(write(tmp_path, model), "attribute 'value'", "external data is refused")

    @pytest.mark.parametrize(
        ("dims", "word"), [([1 << 20, 1 << 20], "at most"), ([-8, 5], ">= 0"), ([9, 5], "holds 40")]
    )
    def test_declared_shapes(self, dims, word, tmp_path):
        model = perceptron()
        model.graph.initializer[0].ClearField("dims")
        model.graph.initializer[0].dims.extend(dims)
        self.refused(write(tmp_path, model), "initialiser 'fc.1.weight'", word)

    @pytest.mark.parametrize(("kind", "name"), [(TensorProto.BFLOAT16, "BFLOAT16"), (TensorProto.STRING, "STRING"),
                                                (TensorProto.FLOAT8E5M2, "FLOAT8E5M2")])  # fmt: skip
    def test_element_types(self, kind, name, tmp_path):
        model = model_of([node("Relu", "x")], {"x": X})
        model.graph.input[0].type.tensor_type.elem_type = kind
        self.refused(write(tmp_path, model), "'x'", name, "it takes float32")

    def test_a_sequence(self, tmp_path):
        model = model_of([node("Identity", "x")], {"x": X})
        model.graph.input[0].type.CopyFrom(helper.make_sequence_type_proto(model.graph.input[0].type))
        self.refused(write(tmp_path, model), "'x'", "sequence_type")

    def test_sparse(self, tmp_path):
        model = perceptron()
        model.graph.sparse_initializer.add()
        self.refused(write(tmp_path, model), "sparse")

    def test_the_checker_is_asked(self, tmp_path):
        """Too many inputs, an attribute that the operator has not."""
        self.refused(write(tmp_path, model_of([node("Relu", "x", "x")], {"x": X})), "(Relu)")
        self.refused(write(tmp_path, model_of([node("Relu", "x", colour=3)], {"x": X})), "(Relu)", "colour")

    def test_values_are_made_once_and_before_they_are_used(self, tmp_path):
        twice = [node("Relu", "x"), node("Relu", "x")]
        self.refused(write(tmp_path, model_of(twice, {"x": X})), "['y']", "new values")
        self.refused(write(tmp_path, model_of([node("Relu", "x")], {"x": X}, ("z",))), "outputs ['z']")
        self.refused(write(tmp_path, model_of([node("Relu", "nothing")], {"x": X})), "node 'y' (Relu)", "['nothing']")

    def test_big_results(self, tmp_path):
        """A few bytes may not ask for terabytes."""
        huge = np.array([1 << 40, 1, 1, 1, 1], LONG)
        for nodes in (
            [node("ConstantOfShape", "n", outputs=["c"]), node("Add", "x", "c")],
            [node("Expand", "x", "n")],
            [node("Tile", "x", "t")],
            [node("Pad", "x", "p")],
            [node("Resize", "x", "", "s")],
        ):
            arrays = {"n": huge, "t": np.array([1, 1, 1, 1 << 40], LONG), "s": np.array([1, 1, 1, 1e12], np.float32),
                      "p": np.array([0, 0, 0, 0, 0, 0, 0, 1 << 40], LONG)}  # fmt: skip
            used = {n: a for n, a in arrays.items() if n in nodes[0].input}
            module = tinymed.onnx.load(write(tmp_path, model_of(nodes, {"x": X}, initialisers=used)))
            with pytest.raises(ValueError, match="at most 536,870,912"):
                module(X)

    def test_growth_by_many_steps(self, tmp_path, monkeypatch):
        from tinymed.onnx import table

        monkeypatch.setattr(table, "MOST_ELEMENTS", 5000)
        nodes = [node("Concat", f"v{i}", f"v{i}", outputs=[f"v{i + 1}"], axis=0) for i in range(40)]
        model = model_of(nodes, {"v0": X}, ("v40",))
        with pytest.raises(ValueError, match="at most 5,000") as caught:
            tinymed.onnx.load(write(tmp_path, model))(X)
        assert "v5" in str(caught.value)

    def test_wrong_inputs(self, tmp_path):
        module = tinymed.onnx.load(write(tmp_path, perceptron()))
        x = np.zeros((4, 5), np.float32)
        with pytest.raises(ValueError, match=r"takes 1 inputs \(x\), got 2"):
            module(x, x)
        with pytest.raises(ValueError, match=r"'x'.*is float64\[4, 5\]; it takes float32\[4, 5\]"):
            module(x.astype(np.float64))
        with pytest.raises(ValueError, match=r"is float32\[3, 5\]"):
            module(x[:3])

    def test_an_error_inside_names_the_node(self, tmp_path):
        model = model_of([node("Reshape", "x", "s", name="bad")], {"x": X}, initialisers={"s": np.array([7], LONG)})
        with pytest.raises(ValueError, match="does not fit") as caught:
            tinymed.onnx.load(write(tmp_path, model))(X)
        assert "in ONNX node 'bad' (Reshape)" in caught.value.__notes__

    def test_metadata_is_only_text(self, tmp_path):
        model = perceptron()
        helper.set_model_props(model, {"tinymed.buffers": "[" * 10_000})
        assert len(list(tinymed.onnx.load(write(tmp_path, model)).parameters())) == 3
        helper.set_model_props(model, {"tinymed.buffers": json.dumps(["fc.1.bias"])})
        assert len(list(tinymed.onnx.load(write(tmp_path, model)).parameters())) == 2

    @given(st.data())
    def test_damage(self, data):
        """Whatever happens to the bytes, the answer is a module or a UserError."""
        from tinymed.onnx.graph import Graph
        from tinymed.onnx.read import read_bytes

        content = bytearray(perceptron().SerializeToString())
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        with contextlib.suppress(UserError):
            Graph(read_bytes(bytes(content), "damaged"))


def test_the_library_is_an_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(UserError, match=r"pip install 'tinymed\[onnx\]'"):
        tinymed.onnx.load(tmp_path / "model.onnx")
    with pytest.raises(UserError, match=r"pip install 'tinymed\[onnx\]'"):
        tinymed.onnx.export(nn.ReLU(), tinymed.randn(1, 2), tmp_path / "model.onnx")
