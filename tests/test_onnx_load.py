"""Loading ONNX files: what they become, and what is refused."""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx_models import LONG, TensorProto, X, helper, model_of, node, perceptron, write

import tinymed
import tinymed.onnx
from tinymed import nn, optim
from tinymed.check import gradcheck
from tinymed.errors import UserError
from tinymed.nn import functional as F


@pytest.fixture(autouse=True)
def reference():
    """The mapping is tested, not the kernels."""
    with tinymed.use_backend("numpy"):
        yield


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

    @pytest.mark.parametrize(
        "name", ["forward", "training", "_parameters", "a..b", ".a", "x.forward", "ö.1", "block", "notes"]
    )
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

    @pytest.mark.parametrize("opset", [0, 29])
    def test_opset(self, opset, tmp_path):
        self.refused(write(tmp_path, perceptron(opset=opset)), f"opset {opset}", "1 to 28")

    def test_unknown_operator(self, tmp_path):
        model = model_of([node("DeformConv", "x", "x", "x", name="bent")], {"x": X})
        self.refused(write(tmp_path, model), "node 'bent'", "operator DeformConv", "it takes", "Conv")

    def test_other_domain(self, tmp_path):
        model = model_of([helper.make_node("Fused", ["x"], ["y"], domain="com.example")], {"x": X})
        model.opset_import.append(helper.make_opsetid("com.example", 1))
        self.refused(write(tmp_path, model), "com.example.Fused", "standard domain")

    def test_inside_a_body(self, tmp_path):
        """What a body holds is looked at as the rest is: operators, attributes, values that nothing makes."""
        for inner, *words in (
            (node("DeformConv", "x", "x", "x"), "operator DeformConv"),
            (node("Relu", "x", colour=3), "(Relu)", "colour"),
            (node("Relu", "nothing"), "['nothing']"),
        ):
            branch = helper.make_graph([inner], "b", [], [helper.make_tensor_value_info("y", 1, None)])
            one = node("If", "c", outputs=("z",), then_branch=branch, else_branch=branch)
            self.refused(write(tmp_path, model_of([one], {"c": np.array(True), "x": X}, ("z",))), *words)

    @pytest.mark.parametrize(
        ("dims", "word"), [([1 << 20, 1 << 20], "at most"), ([-8, 5], ">= 0"), ([9, 5], "holds 40")]
    )
    def test_declared_shapes(self, dims, word, tmp_path):
        model = perceptron()
        model.graph.initializer[0].ClearField("dims")
        model.graph.initializer[0].dims.extend(dims)
        self.refused(write(tmp_path, model), "initialiser 'fc.1.weight'", word)

    @pytest.mark.parametrize(
        ("kind", "name"),
        [(TensorProto.INT4, "INT4"), (TensorProto.STRING, "STRING"), (TensorProto.FLOAT8E5M2, "FLOAT8E5M2")],
    )
    def test_element_types(self, kind, name, tmp_path):
        model = model_of([node("Relu", "x")], {"x": X})
        model.graph.input[0].type.tensor_type.elem_type = kind
        self.refused(write(tmp_path, model), "'x'", name, "it takes float32")

    def test_a_map(self, tmp_path):
        model = model_of([node("Identity", "x")], {"x": X})
        kind = helper.make_map_type_proto(TensorProto.INT64, model.graph.input[0].type)
        model.graph.input[0].type.CopyFrom(kind)
        self.refused(write(tmp_path, model), "'x'", "map_type", "tensors and sequences")

    def test_a_constant_that_is_none(self, tmp_path):
        model = model_of([node("Constant", outputs=["c"], value_string="text"), node("Relu", "x")], {"x": X})
        self.refused(write(tmp_path, model), "node 'c' (Constant)", "value_string", "tensors of numbers")

    def test_a_body_with_too_few_outputs(self, tmp_path):
        branch = helper.make_graph(
            [node("Relu", "x", outputs=["p"])], "b", [], [helper.make_empty_tensor_value_info("p")]
        )
        one = node("If", "c", outputs=("y", "z"), then_branch=branch, else_branch=branch)
        module = tinymed.onnx.load(write(tmp_path, model_of([one], {"c": np.array(True), "x": X}, ("y", "z"))))
        with pytest.raises(UserError, match=r"\(If\): names 2 outputs; it makes 1"):
            module(np.array(True), X)

    def test_functions(self, tmp_path):
        model = perceptron()
        model.functions.add(name="f", domain="local")
        self.refused(write(tmp_path, model), "functions of its own", "onnx.inliner")

    def test_a_name_twice(self, tmp_path):
        model = perceptron()
        model.graph.input.append(model.graph.input[0])
        self.refused(write(tmp_path, model), "the name of another")

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
            arrays = {
                "n": huge,
                "t": np.array([1, 1, 1, 1 << 40], LONG),
                "s": np.array([1, 1, 1, 1e12], np.float32),
                "p": np.array([0, 0, 0, 0, 0, 0, 0, 1 << 40], LONG),
            }
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
