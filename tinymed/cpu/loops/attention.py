"""Attention with an online softmax: each query goes over the keys once, and no row of scores is kept.

`top` is the largest score so far, `total` the sum of e^(score - top) so far.  A larger score makes all that was summed
too large by e^(new top - top), so that it is scaled down first.  Backward needs both of each query.

`factors` is what dropout multiplies the weights by, 0 or keep; None without dropout.
"""

import math

from numba import njit, prange

from ...dispatch import LOOPS, kernel
from ...ops.attention import attended, gradients, products


@njit
def score(q, k, mask, n, h, i, j, scale, causal):
    """Return scale q . k + mask; -inf where query i may not attend to key j."""
    if causal and j > i:
        return -math.inf
    total = 0.0
    for e in range(q.shape[3]):
        total += q[n, h, i, e] * k[n, h, j, e]
    total *= scale
    if mask is not None:
        total += mask[n % mask.shape[0], h % mask.shape[1], i % mask.shape[2], j]
    return total


@kernel(name="attention_forward_loop", backend=LOOPS, out=attended, flops=products)
def forward(y, tops, totals, q, k, v, mask, factors, scale, causal):
    """y = softmax(scale Q K' + mask) V; of each query top and total, 0 and +inf where it may attend to nothing."""
    for n in prange(q.shape[0]):
        for h in range(q.shape[1]):
            for i in range(q.shape[2]):
                top, total = -math.inf, 0.0
                for d in range(v.shape[3]):
                    y[n, h, i, d] = 0
                for j in range(k.shape[2]):
                    z = score(q, k, mask, n, h, i, j, scale, causal)
                    if z > top:
                        shrink = math.exp(top - z)
                        total *= shrink
                        for d in range(v.shape[3]):
                            y[n, h, i, d] *= shrink
                        top = z
                    weight = math.exp(z - top) if z != -math.inf else 0.0
                    total += weight
                    if factors is not None:
                        weight *= factors[n, h, i, j]
                    for d in range(v.shape[3]):
                        y[n, h, i, d] += weight * v[n, h, j, d]
                tops[n, h, i], totals[n, h, i] = 0.0, math.inf
                if total != 0:
                    tops[n, h, i], totals[n, h, i] = top, total
                    for d in range(v.shape[3]):
                        y[n, h, i, d] /= total


@kernel(name="attention_backward_loop", backend=LOOPS, out=gradients, flops=lambda dy, *qkv: 2.5 * products(*qkv))
def backward(dq, dk, dv, dscores, dy, q, k, v, mask, y, tops, totals, factors, scale, causal, of_scores):
    """dV = P' dY, dS = P (dY V' - sum(dY Y)), dQ = scale dS K, dK = scale dS' Q, P = e^(score - top) / total."""
    for n in prange(q.shape[0]):
        for h in range(q.shape[1]):
            for j in range(k.shape[2]):
                for e in range(k.shape[3]):
                    dk[n, h, j, e] = 0
                for d in range(v.shape[3]):
                    dv[n, h, j, d] = 0
            for i in range(q.shape[2]):
                for e in range(q.shape[3]):
                    dq[n, h, i, e] = 0
                mean = 0.0
                for d in range(v.shape[3]):
                    mean += dy[n, h, i, d] * y[n, h, i, d]
                for j in range(k.shape[2]):
                    p = math.exp(score(q, k, mask, n, h, i, j, scale, causal) - tops[n, h, i]) / totals[n, h, i]
                    f = 1.0 if factors is None else factors[n, h, i, j]
                    dp = 0.0
                    for d in range(v.shape[3]):
                        dp += dy[n, h, i, d] * v[n, h, j, d]
                        dv[n, h, j, d] += p * f * dy[n, h, i, d]
                    ds = p * (dp * f - mean)
                    if of_scores:
                        dscores[n, h, i, j] = ds
                    for e in range(q.shape[3]):
                        dq[n, h, i, e] += scale * ds * k[n, h, j, e]
                        dk[n, h, j, e] += scale * ds * q[n, h, i, e]


# ------------------------------------------------------------------------------------------------- with dropout


@kernel(backend=LOOPS, composite=True)
def attention_forward(table, q, k, v, mask, ticket, scale, causal, limit, keep):
    """Draw the factors, then call the loop."""
    return table.attention_forward_loop(q, k, v, mask, drawn(table, q, k, ticket, limit, keep), scale, causal)


@kernel(backend=LOOPS, composite=True)
def attention_backward(table, dy, q, k, v, mask, y, tops, totals, ticket, scale, causal, limit, keep, of_scores):
    """Draw the same factors again, then call the loop."""
    factors = drawn(table, q, k, ticket, limit, keep)
    return table.attention_backward_loop(dy, q, k, v, mask, y, tops, totals, factors, scale, causal, of_scores)


def drawn(table, q, k, ticket, limit, keep):
    """Return keep at each weight (n, head, query, key) that the ticket keeps, else 0; None without a ticket."""
    if ticket is None:
        return None
    shape = *q.shape[:3], k.shape[2]
    return table.dropout_backward(table.full((math.prod(shape),), q.dtype, 1), ticket, limit, keep).reshape(shape)
