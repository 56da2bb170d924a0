"""If, Loop, Scan, SequenceMap and sequences: beside ONNX Runtime, with gradients, limits, and under capture."""

import numpy as np
import pytest
from onnx_models import LONG, TensorProto, X, agree, beside, helper, loaded, model_of, node, ours

import tinymed
import tinymed.onnx
from tinymed.errors import UserError
from tinymed.program.record import CaptureError

Y = X[:, 0]


@pytest.fixture(autouse=True)
def reference():
    """The mapping is tested, not the kernels."""
    with tinymed.use_backend("numpy"):
        yield


def info(name, kind=TensorProto.FLOAT, shape=None):
    return helper.make_tensor_value_info(name, kind, shape)


def body(nodes, inputs, outputs, initialisers=()):
    """A graph within a node: inputs and outputs as names, or (name, element type)."""
    values = [[info(*((v,) if isinstance(v, str) else v)) for v in vs] for vs in (inputs, outputs)]
    arrays = [helper.make_tensor(n, TensorProto.FLOAT, a.shape, a.reshape(-1)) for n, a in initialisers]
    return helper.make_graph(nodes, "body", *values, arrays)


def branches(**more):
    """y = x w for true, else relu(x)."""
    yes = body([node("Mul", "x", "w", outputs=["p"])], [], ["p"], [("w", np.full(5, 3.0, np.float32))])
    no = body([node("Relu", "x", outputs=["q"])], [], ["q"])
    return node("If", "c", then_branch=yes, else_branch=no, **more)


class TestIf:
    @pytest.mark.parametrize("answer", [True, False])
    def test_as_onnx_runtime(self, answer, tmp_path):
        c = np.array(answer)
        beside(tmp_path, model_of([branches()], {"c": c, "x": X}), c, X)

    def test_a_weight_of_a_branch_learns(self, tmp_path):
        module = loaded(tmp_path, model_of([branches()], {"c": np.array(True), "x": X}))
        assert [n for n, _ in module.named_parameters()] == ["w"]
        module(np.array(True), X).sum().backward()
        np.testing.assert_allclose(module.w.grad.numpy(), X.sum((0, 1, 2)), rtol=1e-5)

    def test_both_branches_have_a_name(self, tmp_path):
        """Initialisers of one name in two bodies are two parameters."""
        sides = [
            body([node("Mul", "x", "w", outputs=["p"])], [], ["p"], [("w", np.full(5, k, np.float32))]) for k in (2, 5)
        ]
        one = node("If", "c", then_branch=sides[0], else_branch=sides[1])
        module = beside(tmp_path, model_of([one], {"c": np.array(True), "x": X}), np.array(False), X)
        assert len(module.state_dict()) == 2
        agree(ours(module, np.array(True), X), [2 * X])

    def test_a_condition_of_shapes_is_captured(self, tmp_path):
        """What follows from a shape is part of the program, which is keyed by shapes."""
        nodes = [
            node("Shape", "x", outputs=["s"]),
            node("Gather", "s", "i", outputs=["n"]),
            node("Equal", "n", "two", outputs=["c"]),
            branches(),
        ]
        arrays = {"i": np.array(0, LONG), "two": np.array(2, LONG)}
        module = loaded(tmp_path, model_of(nodes, {"x": np.zeros((0, 3, 6, 5), np.float32)}, initialisers=arrays))
        step = tinymed.capture(lambda x: module(x))
        for x in (X, X, X[:1], X[:1]):
            want = 3 * x if x.shape[0] == 2 else np.maximum(x, 0)
            np.testing.assert_allclose(step(tinymed.tensor(x)).numpy(), want, rtol=1e-6)

    def test_a_condition_of_values_is_not(self, tmp_path):
        """A replay would go on with the branch of the recording, whatever the values are."""
        module = loaded(tmp_path, model_of([branches()], {"c": np.array(True), "x": X}))
        step = tinymed.capture(lambda c, x: module(c, x))
        with pytest.raises(CaptureError, match="the value of a tensor, in an ONNX operator"):
            step(tinymed.tensor(np.array(True)), tinymed.tensor(X))

    def test_a_condition_of_several_elements(self, tmp_path):
        module = loaded(tmp_path, model_of([branches()], {"c": np.ones(2, bool), "x": X}))
        with pytest.raises(ValueError, match="the condition is of shape"):
            module(np.ones(2, bool), X)


@pytest.mark.parametrize("one", [node("Floor", "x"), node("TopK", "x", "k", outputs=("y", "i"))])
def test_what_reads_values_is_not_captured(one, tmp_path):
    """Every operator that goes through NumPy: a replay would repeat the recording's values."""
    arrays = {"k": np.array([2], LONG)} if one.op_type == "TopK" else {}
    module = loaded(tmp_path, model_of([one], {"x": X}, initialisers=arrays))
    with pytest.raises(CaptureError, match="the value of a tensor"):
        tinymed.capture(lambda x: module(x))(tinymed.tensor(X))


def loop(most="m", condition="c", **more):
    """v = v + x while the sum stays small; also all v^2, and the trip's number."""
    nodes = [
        node("Add", "v", "x", outputs=["w"]),
        node("Mul", "w", "w", outputs=["square"]),
        node("ReduceSum", "w", outputs=["total"], keepdims=0),
        node("Less", "total", "limit", outputs=["go"]),
        node("Identity", "i", outputs=["number"]),
    ]
    inner = body(
        nodes,
        [("i", TensorProto.INT64, []), ("go_in", TensorProto.BOOL, []), "v"],
        [("go", TensorProto.BOOL, []), "w", "square", ("number", TensorProto.INT64, [])],
    )
    return node("Loop", most, condition, "v0", outputs=("y", "squares", "numbers"), body=inner, **more)


def loop_model(**more):
    arrays = {"m": np.array(7, LONG), "c": np.array(True), "limit": np.float32(100)} | more
    used = {k: v for k, v in arrays.items() if v is not None}
    one = loop(*(name if arrays[name] is not None else "" for name in ("m", "c")))
    model = model_of([one], {"x": np.abs(Y), "v0": Y}, ("y", "squares", "numbers"), used)
    model.graph.output[2].type.tensor_type.elem_type = TensorProto.INT64
    return model


class TestLoop:
    @pytest.mark.parametrize(
        "more",
        [{}, {"m": np.array(1, LONG)}, {"m": None}, {"c": None}, {"c": None, "limit": np.float32(1e9)}],
        ids=str,
    )
    def test_as_onnx_runtime(self, more, tmp_path):
        beside(tmp_path, loop_model(**more), np.abs(Y), Y)

    @pytest.mark.parametrize("more", [{"m": np.array(0, LONG)}, {"c": np.array(False)}])
    def test_no_trip(self, more, tmp_path):
        got = ours(loaded(tmp_path, loop_model(**more)), np.abs(Y), Y)
        np.testing.assert_array_equal(got[0], Y)
        assert got[1].shape[0] == got[2].shape[0] == 0
        assert got[2].dtype == np.int64

    def test_gradient(self, tmp_path):
        """v_n = v_0 + n x: seven trips."""
        module = loaded(tmp_path, loop_model(limit=np.float32(1e9)))
        x, v = (tinymed.tensor(a, requires_grad=True) for a in (np.abs(Y), Y))
        module(x, v)[0].sum().backward()
        np.testing.assert_array_equal(x.grad.numpy(), np.full(Y.shape, 7))
        np.testing.assert_array_equal(v.grad.numpy(), np.ones(Y.shape))

    def test_a_static_loop_is_captured(self, tmp_path):
        """The trip count is the file's, and the condition too."""
        inner = body(
            [node("Add", "v", "x", outputs=["w"]), node("Identity", "go_in", outputs=["go"])],
            [("i", TensorProto.INT64, []), ("go_in", TensorProto.BOOL, []), "v"],
            [("go", TensorProto.BOOL, []), "w"],
        )
        one = node("Loop", "m", "c", "v0", body=inner)
        arrays = {"m": np.array(4, LONG), "c": np.array(True)}
        module = loaded(tmp_path, model_of([one], {"x": Y, "v0": Y}, initialisers=arrays))
        step = tinymed.capture(lambda x, v: module(x, v))
        for k in (1, 2, 3):
            got = step(tinymed.tensor(k * Y), tinymed.tensor(Y)).numpy()
            np.testing.assert_allclose(got, (4 * k + 1) * Y, rtol=1e-5, atol=1e-6)

    def test_too_many_trips(self, tmp_path):
        """At once where the count says so, else when they have been made; nested ones count too."""
        with pytest.raises(ValueError, match="at most 100,000 trips"):
            loaded(tmp_path, loop_model(m=np.array(1 << 60, LONG), c=None))(np.abs(Y), Y)
        forever = node(
            "Loop",
            "",
            "c",
            "x",
            outputs=["y"],
            body=body(
                [node("Identity", "v", outputs=["w"])],
                [("i", TensorProto.INT64, []), ("go", TensorProto.BOOL, []), "v"],
                [("go", TensorProto.BOOL, []), "w"],
            ),
        )
        nested = node(
            "Loop",
            "",
            "c",
            "x",
            outputs=["y"],
            body=body(
                [
                    node(
                        "Loop",
                        "k",
                        "go",
                        "v",
                        outputs=["w"],
                        body=body(
                            [node("Identity", "v1", outputs=["w1"])],
                            [("i1", TensorProto.INT64, []), ("go2", TensorProto.BOOL, []), "v1"],
                            [("go2", TensorProto.BOOL, []), "w1"],
                        ),
                    )
                ],
                [("i", TensorProto.INT64, []), ("go", TensorProto.BOOL, []), "v"],
                [("go", TensorProto.BOOL, []), "w"],
            ),
        )
        for one, arrays in ((forever, {}), (nested, {"k": np.array(1 << 40, LONG)})):
            model = model_of([one], {"x": Y}, initialisers=arrays | {"c": np.array(True)})
            with pytest.raises(ValueError, match="at most 100,000"):
                loaded(tmp_path, model)(Y)

    def test_stacking_that_grows_too_large(self, tmp_path, monkeypatch):
        from tinymed.onnx import table

        monkeypatch.setattr(table, "MOST_ELEMENTS", 300)
        with pytest.raises(ValueError, match="at most 300"):
            loaded(tmp_path, loop_model(limit=np.float32(1e9)))(np.abs(Y), Y)

    def test_trips_of_several_shapes(self, tmp_path):
        inner = body(
            [node("Concat", "v", "v", outputs=["w"], axis=0), node("Identity", "w", outputs=["s"])],
            [("i", TensorProto.INT64, []), ("go", TensorProto.BOOL, []), "v"],
            [("go", TensorProto.BOOL, []), "w", "s"],
        )
        one = node("Loop", "m", "c", "x", outputs=["y", "z"], body=inner)
        arrays = {"m": np.array(3, LONG), "c": np.array(True)}
        with pytest.raises(ValueError, match="several shapes"):
            loaded(tmp_path, model_of([one], {"x": Y}, ("y", "z"), arrays))(Y)


class TestScan:
    @pytest.mark.parametrize(
        "settings",
        [
            {},
            {"scan_input_directions": [1]},
            {"scan_output_directions": [1]},
            {"scan_input_axes": [1]},
            {"scan_output_axes": [1]},
        ],
        ids=str,
    )
    def test_as_onnx_runtime(self, settings, tmp_path):
        """A running sum."""
        shape = [6, 5] if not settings.get("scan_input_axes") else [2, 5]
        inner = body(
            [node("Add", "s", "x", outputs=["t"]), node("Identity", "t", outputs=["u"])],
            [("s", TensorProto.FLOAT, shape), ("x", TensorProto.FLOAT, shape)],
            [("t", TensorProto.FLOAT, shape), ("u", TensorProto.FLOAT, shape)],
        )
        one = node("Scan", "s0", "xs", outputs=("y", "all"), body=inner, num_scan_inputs=1, **settings)
        start = np.zeros(shape, np.float32)
        beside(tmp_path, model_of([one], {"s0": start, "xs": Y}, ("y", "all")), start, Y)

    def test_opset_8_is_refused(self, tmp_path):
        inner = body([node("Add", "s", "x", outputs=["t"])], ["s", "x"], ["t"])
        one = node("Scan", "", "s0", "xs", outputs=("y",), body=inner, num_scan_inputs=1)
        with pytest.raises(ValueError, match="opset 8"):
            loaded(tmp_path, model_of([one], {"s0": Y[0], "xs": Y}, opset=8))(Y[0], Y)


class TestSequences:
    def test_split_and_joined(self, tmp_path):
        nodes = [
            node("SplitToSequence", "x", "n", outputs=["s"], axis=1),
            node("SequenceAt", "s", "i", outputs=["a"]),
            node("SequenceErase", "s", "i", outputs=["t"]),
            node("SequenceInsert", "t", "a", outputs=["u"]),
            node("SequenceLength", "u", outputs=["l"]),
            node("ConcatFromSequence", "u", outputs=["y"], axis=1),
        ]
        arrays = {"n": np.array(4, LONG), "i": np.array(-2, LONG)}
        beside(tmp_path, model_of(nodes, {"x": Y}, ("y",), arrays), Y)

    def test_a_map_with_gradient(self, tmp_path):
        """Each half times a weight that lies around the body."""
        inner = body([node("Mul", "e", "w", outputs=["p"])], ["e"], ["p"])
        nodes = [
            node("SplitToSequence", "x", "n", outputs=["s"], axis=1),
            node("SequenceMap", "s", outputs=["t"], body=inner),
            node("ConcatFromSequence", "t", outputs=["y"], axis=1),
        ]
        arrays = {"n": np.array(3, LONG), "w": np.full(5, 2.0, np.float32)}
        module = loaded(tmp_path, model_of(nodes, {"x": Y}, ("y",), arrays))
        agree(ours(module, Y), [2 * Y])
        module(Y).sum().backward()
        np.testing.assert_allclose(module.w.grad.numpy(), Y.sum((0, 1)), rtol=1e-5)

    @pytest.mark.parametrize(
        ("one", "words"),
        [
            (node("SequenceAt", "s", "i"), "position 9 in a sequence of 2; it takes -2 to 1"),
            (node("SequenceErase", "s", "i"), "position 9"),
            (node("Relu", "s"), "of a sequence of 2: it takes tensors, not a sequence"),
            (node("SequenceLength", "x"), "takes a sequence"),
        ],
    )
    def test_refusals(self, one, words, tmp_path):
        nodes = [node("SequenceConstruct", "x", "x", outputs=["s"]), one]
        module = loaded(tmp_path, model_of(nodes, {"x": Y}, initialisers={"i": np.array(9, LONG)}))
        with pytest.raises(UserError, match=words) as caught:
            module(Y)
        assert any("in ONNX node" in note for note in caught.value.__notes__)
