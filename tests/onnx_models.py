"""Small ONNX models for tests, made node by node."""

import numpy as np
import pytest

pytest.importorskip("onnx", reason="onnx is not installed: pip install '.[test]'")
ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install '.[test]'")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

X = np.random.default_rng(0).normal(size=(2, 3, 6, 5)).astype(np.float32)
LONG = np.int64


def model_of(nodes, inputs, outputs=("y",), initialisers=None, opset=18, kind=TensorProto.FLOAT, **more):
    """A ModelProto.  inputs: {name: array}; kind: the outputs' element type, None to leave it open."""
    kinds = {name: helper.np_dtype_to_tensor_dtype(a.dtype) for name, a in inputs.items()}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(n, kinds[n], a.shape) for n, a in inputs.items()],
        [declared(n, kind) for n in outputs],
        [numpy_helper.from_array(a, n) for n, a in (initialisers or {}).items()],
    )
    imports = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=imports, ir_version=max(4, min(8, opset - 3)), **more)


def declared(name, kind):
    """An output of any shape, its element type open if kind is None."""
    return helper.make_tensor_value_info(name, kind, None) if kind else helper.make_empty_tensor_value_info(name)


def write(tmp_path, model, name="model.onnx"):
    path = tmp_path / name
    path.write_bytes(model.SerializeToString())
    return path


def node(op, *inputs, outputs=("y",), **attributes):
    return helper.make_node(op, inputs, outputs, **attributes)


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


def options():
    """ONNX Runtime without chatter."""
    o = ort.SessionOptions()
    o.log_severity_level, o.intra_op_num_threads = 4, 1
    return o


def runtime(model, *inputs):
    """ONNX Runtime's outputs, its rewriting of graphs switched off."""
    o = options()
    o.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), o, providers=["CPUExecutionProvider"])
    return session.run(None, dict(zip([i.name for i in session.get_inputs()], inputs, strict=True)))


def loaded(tmp_path, model):
    """The module that a model becomes."""
    import tinymed.onnx

    return tinymed.onnx.load(write(tmp_path, model))


def ours(module, *inputs):
    """Its outputs as arrays."""
    results = module(*inputs)
    return [r.numpy() for r in (results if isinstance(results, tuple) else (results,))]


def agree(got, want, tolerance=1e-5, label=""):
    """Outputs of the same number, dtypes, shapes and values, to a tolerance of the largest value."""
    assert len(got) == len(want), label
    for g, w in zip(got, want, strict=True):
        assert (g.dtype, g.shape) == (w.dtype, w.shape), label
        size = np.abs(w[np.isfinite(w)]).max(initial=0) if w.dtype.kind == "f" else 0
        np.testing.assert_allclose(g, w, rtol=0, atol=tolerance * max(size, 1e-30), err_msg=str(label))


def beside(tmp_path, model, *inputs, tolerance=1e-5):
    """Compare with ONNX Runtime; returns the module."""
    module = loaded(tmp_path, model)
    agree(ours(module, *inputs), runtime(model, *inputs), tolerance)
    return module
