"""Attention, decomposed into products and a softmax: ONNX's own operator is newer than the opsets written here."""

import numpy as np

from ..trace import Call
from ..writer import Writer, emits


@emits("Attention")
def attention(w: Writer, call: Call) -> None:
    """Softmax(scale Q K' + mask) V; a query that may attend to nothing gives 0, not the softmax's NaN."""
    if call.state is not None:
        raise w.refuse("dropout of the weights")
    n, queries, keys = call.q.ndim, call.q.shape[-2], call.k.shape[-2]
    swapped = w.add("Transpose", call.k, perm=[*range(n - 2), n - 1, n - 2])
    scores = w.add("Mul", w.add("MatMul", call.q, swapped), w.number(call.scale, call.q))
    if call.causal:
        scores = w.add("Add", scores, w.constant(np.triu(np.full((queries, keys), -np.inf, call.q.dtype), 1)))
    if call.mask is None:
        weights = w.add("Softmax", scores, axis=-1)
    else:
        scores = w.add("Add", scores, call.mask)
        closed = w.add("Equal", w.reduce("ReduceMax", scores, [-1], True), w.number(-np.inf, call.q))
        zero = w.number(0.0, call.q)
        weights = w.add("Softmax", w.add("Where", closed, zero, scores), axis=-1)
        weights = w.add("Where", closed, zero, weights)
    w.result(call, "MatMul", weights, call.v)
