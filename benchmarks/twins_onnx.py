"""A PyTorch twin as an ONNX graph, node by node: what ONNX Runtime runs in the benchmarks."""

from typing import Any

import numpy as np


def graph(torch: Any, model: Any, shape: tuple[int, ...]) -> bytes:
    """Return the serialised graph of a `Sequential` of convolutions, poolings, norms and dense layers, evaluating."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, weights, name = [], [], "input"

    def node(kind: str, *parameters: Any, **attributes: Any) -> None:
        nonlocal name
        inputs = [name]
        for p in parameters:
            inputs.append(f"weight{len(weights)}")
            weights.append(numpy_helper.from_array(np.ascontiguousarray(p.detach().numpy()), inputs[-1]))
        name = f"value{len(nodes)}"
        nodes.append(helper.make_node(kind, inputs, [name], **attributes))

    for m in model:
        if isinstance(m, torch.nn.Conv2d):
            node("Conv", m.weight, m.bias, pads=[*m.padding, *m.padding], strides=list(m.stride), group=m.groups)
        elif isinstance(m, torch.nn.MaxPool2d):
            node("MaxPool", kernel_shape=[m.kernel_size] * 2, strides=[m.stride] * 2)
        elif isinstance(m, torch.nn.BatchNorm2d):
            node("BatchNormalization", m.weight, m.bias, m.running_mean, m.running_var, epsilon=m.eps)
        elif isinstance(m, torch.nn.Linear):
            node("Gemm", m.weight, m.bias, transB=1)
        elif isinstance(m, torch.nn.ReLU | torch.nn.Flatten):
            node("Relu" if isinstance(m, torch.nn.ReLU) else "Flatten")
        elif not isinstance(m, torch.nn.Dropout):
            raise TypeError(f"no ONNX node for {m}")
    classes = model[-1].out_features
    made = helper.make_graph(
        nodes,
        "twin",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [shape[0], classes])],
        weights,
    )
    opsets = [helper.make_opsetid("", 17)]
    result: bytes = helper.make_model(made, opset_imports=opsets, ir_version=9).SerializeToString()
    return result


def session(content: bytes, threads: int) -> Any:
    """Return an ONNX Runtime session with so many threads that do not spin between calls."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
