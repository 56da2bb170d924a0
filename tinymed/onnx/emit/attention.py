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


@emits("AxialAttention")
def axial(w: Writer, call: Call) -> None:
    """Write the scores' terms, their batch norm, the softmax and what it weighs, each by itself."""
    if call.training:
        raise w.refuse("a batch norm of scores by the batch's own statistics")
    heads, axis, other = call.heads, call.axis, 5 - call.axis
    c, side, folded = call.x.shape[1], call.x.shape[axis], call.x.shape[other]
    size, half = c // heads // 2, c // heads // 4
    both = w.add("Reshape", w.add("Transpose", call.x, perm=[0, other, 1, axis]), w.ints([-1, heads, 2 * size, side]))
    q, k, v = (sliced(w, both, a, b, 2) for a, b in ((0, half), (half, size), (size, 2 * size)))
    terms, far = [w.add("MatMul", w.add("Transpose", q, perm=[0, 1, 3, 2]), k)], []
    if call.table is not None:
        i = np.arange(side)
        table = w.add("Gather", call.table, w.constant(i[:, None] - i + side - 1), axis=1)
        far = [sliced(w, table, a, b, 0) for a, b in ((0, half), (half, size), (size, 2 * size))]
        terms.append(gated(w, call, 0, w.add("Einsum", q, far[0], equation="bgci,cij->bgij")))
        terms.append(gated(w, call, 1, w.add("Einsum", k, far[1], equation="bgcj,cji->bgij")))
    scores = w.add("Concat", *terms, axis=1) if far else terms[0]
    norm = call.weight, call.bias, call.running_mean, call.running_var
    scores = w.add("BatchNormalization", scores, *norm, epsilon=call.eps)
    if far:
        scores = w.reduce("ReduceSum", w.add("Reshape", scores, w.ints([-1, 3, heads, side, side])), [1], False)
    weights = w.add("Softmax", scores, axis=-1)
    y = gated(w, call, 3, w.add("MatMul", v, w.add("Transpose", weights, perm=[0, 1, 3, 2])))
    if far:
        placed = gated(w, call, 2, w.add("Einsum", weights, far[2], equation="bgij,cij->bgci"))
        pair = (w.add("Unsqueeze", a, w.ints([3])) for a in (y, placed))
        y = w.add("Concat", *pair, axis=3)
    y = w.add("Reshape", y, w.ints([-1, folded, (2 if far else 1) * heads * size, side]))
    w.result(call, "Transpose", y, perm=[0, 2, 1, 3] if axis == 3 else [0, 2, 3, 1])


def sliced(w: Writer, x: str, first: int, last: int, axis: int) -> str:
    """Return elements first to last - 1 along an axis."""
    return w.add("Slice", x, w.ints([first]), w.ints([last]), w.ints([axis]))


def gated(w: Writer, call: Call, which: int, term: str) -> str:
    """Return a term times its gate, where there are gates."""
    if call.gates is None:
        return term
    return w.add("Mul", term, w.add("Gather", call.gates, w.constant(np.asarray(which, np.int64)), axis=0))
