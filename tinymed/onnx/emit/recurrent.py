"""Recurrences: one node RNN, LSTM or GRU for each direction of each layer, with the product of its input."""

from typing import Any

import numpy as np

from ..trace import Call
from ..writer import Writer, emits

# Where each gate of ONNX's order stands in PyTorch's: i, o, f, g of i, f, g, o; u, r, n of r, u, n.
ORDER = {"RNN": (0,), "LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2)}


@emits("RNNSequence")
def rnn(w: Writer, call: Call) -> None:
    """RNN."""
    recurrent(w, call, "RNN", None, (call.h0,), activations=["Relu" if call.rectified else "Tanh"])


@emits("LSTMSequence")
def lstm(w: Writer, call: Call) -> None:
    """LSTM of sums."""
    recurrent(w, call, "LSTM", None, (call.h0, call.c0))


@emits("LSTMLayer")
def lstm_layer(w: Writer, call: Call) -> None:
    """LSTM."""
    node(w, call, "LSTM", (call.x, call.weight, call.bias), call.recurrent, None, (call.h0, call.c0))


@emits("GRUSequence")
def gru(w: Writer, call: Call) -> None:
    """GRU, with the reset gate after the product."""
    recurrent(w, call, "GRU", call.bias, (call.h0,), linear_before_reset=1)


@emits("LSTMGates")
def lstm_gates(w: Writer, call: Call) -> None:
    """Write the gates of one step by themselves, which ONNX has no node for: quarters of the sums."""
    width = call.outputs[0].shape[1]
    functions = ("Sigmoid", "Sigmoid", "Tanh", "Sigmoid")
    parts = []
    for k, operator in enumerate(functions):
        bounds = (w.ints([n]) for n in (k * width, (k + 1) * width, 1))
        parts.append(w.add(operator, w.add("Slice", call.sums, *bounds)))
    i, f, g, o = parts
    c = w.own(call.outputs[1], f"{w.local('')}LSTMGates_c")
    if call.c0 is None:
        w.add("Mul", i, g, outputs=[c])
    else:
        w.add("Add", w.add("Mul", f, call.c0), w.add("Mul", i, g), outputs=[c])
    h = w.own(call.outputs[0], f"{w.local('')}LSTMGates_h")
    w.add("Mul", o, w.add("Tanh", c), outputs=[h])


def recurrent(w: Writer, call: Call, operator: str, own: Any, states: tuple[Any, ...], **attributes: Any) -> None:
    """Write a node of one direction; the Linear that made its sums becomes the node's W and first bias."""
    product = (call.x, np.eye(len(call.weight), dtype=call.x.dtype), None)
    maker = w.makers.get(id(call.x))
    if maker is not None and maker.op == "Linear":
        product = (maker.x, maker.weight, maker.bias)
    node(w, call, operator, product, call.weight, own, states, **attributes)


def node(
    w: Writer,
    call: Call,
    operator: str,
    product: tuple[Any, ...],
    weight: Any,
    own: Any,
    states: tuple[Any, ...],
    **attributes: Any,
) -> None:
    """Write a node of one direction from the product with its input, (x, W, bias), and the weight of its states."""
    (x, matrix, bias), (rows, hidden) = product, weight.shape
    order = np.concatenate([np.arange(k * hidden, (k + 1) * hidden) for k in ORDER[operator]])[None]
    biases = None
    if bias is not None or own is not None:
        zeros = np.zeros((1, rows), call.x.dtype)
        parts = [zeros if b is None else w.add("Gather", b, order, axis=0) for b in (bias, own)]
        biases = w.add("Concat", *parts, axis=1)
    lengths = None if call.lengths is None else w.add("Cast", call.lengths, to=w.onnx.TensorProto.INT32)
    first = [None if s is None else w.add("Unsqueeze", s, w.ints([0])) for s in states]
    names = [w.fresh(f"{w.local('')}{operator}_{name}") for name in ("y", "h", "c")[: len(call.outputs)]]
    w.add(
        operator,
        x,
        w.add("Gather", matrix, order, axis=0),
        w.add("Gather", weight, order, axis=0),
        biases,
        lengths,
        *first,
        outputs=names,
        hidden_size=hidden,
        direction="reverse" if call.reverse else "forward",
        **attributes,
    )
    for array, name, axis in zip(call.outputs, names, (1, 0, 0), strict=False):
        w.add("Squeeze", name, w.ints([axis]), outputs=[w.own(array, f"{name}_out")])
