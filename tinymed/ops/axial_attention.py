"""Attention along one axis of a map, scores normalised by a batch norm of their own, as one op (Wang et al. 2020).

Of a line of K positions each head has queries and keys of half its features, and values.  A table has a vector for each
distance i - j; r_q, r_k, r_v are its features as the queries, keys and values have them.  Of each head three terms,

    u_0[i, j] = q_i . k_j      u_1[i, j] = q_i . r_q[i - j]      u_2[i, j] = k_j . r_k[j - i]

(the first alone without a table), the last two times a gate, z_t = gate_t u_t, are normalised over all lines, as
channel t heads + head of a batch norm.  Their sum goes through a softmax over j.  What comes out of the weights w are,
for each feature, gate_v sum_j w[i, j] v_j and gate_r sum_j w[i, j] r_v[i - j], side by side.

A number added to all scores of a query changes no weight: the batch norm's means and its bias do not reach the output,
and the gradient of the bias is 0.  Nor does the sum of a query's gradients of scores, which is 0, reach theirs.

The reference writes the scores down; a compiled kernel need not, see `cpu/sequence/axial.py`.
"""

from typing import Any

from ..annotations import Tensor
from ..dispatch import Array, kernel
from ..tape import Op
from .batch_norm import update_running
from .norm import RULES, written

# ------------------------------------------------------------------------------------------------- reference kernels


def lines(x: Array, heads: int, axis: int) -> Array:
    """Return a map (N, C, H, W) as (lines, heads, C / heads, K), along axis 2 or 3."""
    n, c, k, other = x.shape[0], x.shape[1], x.shape[axis], x.shape[5 - axis]
    return x.transpose(0, 5 - axis, 1, axis).reshape(n * other, heads, c // max(1, heads), k)


def image(y: Array, n: int, axis: int) -> Array:
    """Return lines (N other, ..., K) as the map (N, C, H, W) they came from."""
    k = y.shape[-1]
    y = y.reshape(n, y.shape[0] // max(1, n), -1, k) if y.size else y.reshape(n, 0, 1, k)
    return y.transpose(0, 2, 1, 3) if axis == 3 else y.transpose(0, 2, 3, 1)


def parts(xp: Any, x: Array, table: Any, heads: int, axis: int) -> tuple[Any, ...]:
    """Return q, k, v (lines, heads, features, K), and r_q, r_k, r_v as (features, K, K), None without a table."""
    both = lines(x, heads, axis)
    size, side = both.shape[2] // 2, both.shape[3]
    cut = (slice(0, size // 2), slice(size // 2, size), slice(size, 2 * size))
    if table is None:
        return *(both[:, :, s] for s in cut), None, None, None
    i = xp.arange(side)
    apart = table[:, i[:, None] - i + side - 1]
    return *(both[:, :, s] for s in cut), *(apart[s] for s in cut)


def gate(gates: Any, which: int) -> Any:
    """Return the gate of the query's positions (0), the key's (1), the values' (2) or the values (3); 1 without."""
    return 1 if gates is None else gates[which]


def terms(xp: Any, q: Array, k: Array, r_q: Any, r_k: Any) -> list[Array]:
    """Return u_0, u_1, u_2 as (lines, heads, K, K)."""
    found = [q.swapaxes(2, 3) @ k]
    if r_q is not None:
        found += [xp.einsum("bgci,cij->bgij", q, r_q), xp.einsum("bgcj,cji->bgij", k, r_k)]
    return found


def gated(found: list[Array], gates: Any) -> list[Array]:
    """Return z_t = gate_t u_t."""
    return [u * gate(gates, t - 1) if t else u for t, u in enumerate(found)]


def weights(xp: Any, z: list[Array], weight: Array, rstd: Array) -> Array:
    """Return the softmax over j of the sum of normalised terms."""
    scale = (weight * rstd).reshape(len(z), 1, -1, 1, 1)
    s = sum(a * t for a, t in zip(scale, z, strict=True))
    e = xp.exp(s - s.max(3, keepdims=True)) if s.size else s
    return (e / e.sum(3, keepdims=True)).astype(weight.dtype, copy=False)


def score_flops(x: Array, table: Any, heads: int, axis: int) -> float:
    """Count the products of the scores' terms."""
    return float(x.size // 4 * x.shape[axis] * 2 * (1 if table is None else 3))


def channels(x: Array, table: Any, heads: int) -> int:
    """Return how many channels the scores have."""
    return heads * (1 if table is None else 3)


@kernel(
    out=lambda x, table, gates, mean, var, count, heads, *_: [(channels(x, table, heads),)] * 2,
    writes="running_mean running_var count",
    flops=lambda x, table, gates, mean, var, count, heads, axis, *_: score_flops(x, table, heads, axis),
)
def axial_statistics(
    xp: Any,
    x: Array,
    table: Any,
    gates: Any,
    running_mean: Any,
    running_var: Any,
    count: Any,
    heads: int,
    axis: int,
    momentum: float,
    eps: float,
    corrected: bool,
    unbiased: bool,
) -> Any:
    """Compute mean and 1 / sqrt(var + eps) of each channel of the gated terms, and move the running ones on."""
    q, k, _, r_q, r_k, _ = parts(xp, x, table, heads, axis)
    z = xp.stack(gated(terms(xp, q, k, r_q, r_k), gates)).astype(x.dtype, copy=False)
    n, over = max(1, z[0, :, 0].size if heads else 1), (1, 3, 4)
    mean = z.sum(over, keepdims=True) / n
    var = ((z - mean) ** 2).sum(over).reshape(-1) / n
    mean = mean.reshape(-1)
    update_running(xp, mean, var, n, running_mean, running_var, count, momentum, corrected, unbiased)
    return mean, 1 / xp.sqrt(var + eps)


@kernel(out=lambda mean, var, eps: [mean.shape] * 2, flops=lambda mean, var, eps: 3 * mean.size)
def axial_running_statistics(xp: Any, mean: Array, var: Array, eps: float) -> Any:
    """Return the running mean and 1 / sqrt(var + eps)."""
    return mean.copy(), 1 / xp.sqrt(var + eps)


def attended(x: Array, table: Any, *_: Any) -> list[tuple[int, ...]]:
    """Return the shape of the output: a pair of maps a feature with positions, else one."""
    return [(x.shape[0], x.shape[1] if table is not None else x.shape[1] // 2, *x.shape[2:])]


@kernel(
    out=attended,
    flops=lambda x, table, gates, weight, rstd, heads, axis: 3 * score_flops(x, table, heads, axis),
)
def axial_attention_forward(
    xp: Any, x: Array, table: Any, gates: Any, weight: Array, rstd: Array, heads: int, axis: int
) -> Array:
    """y = gate_v sum_j w v_j, beside gate_r sum_j w r_v; w = softmax of sum_t weight_t rstd_t z_t; see the module."""
    q, k, v, r_q, r_k, r_v = parts(xp, x, table, heads, axis)
    w = weights(xp, gated(terms(xp, q, k, r_q, r_k), gates), weight, rstd)
    y = gate(gates, 3) * (v @ w.swapaxes(2, 3))
    if r_v is not None:
        y = xp.stack([y, gate(gates, 2) * xp.einsum("bgij,cij->bgci", w, r_v)], 3)
    return image(y, x.shape[0], axis).astype(x.dtype, copy=False)


def gradients(dy: Array, x: Array, table: Any, gates: Any, weight: Array, *_: Any) -> list[tuple[int, ...]]:
    """Return the shapes of dx, dtable, dgates, dweight; of what is None no elements."""
    return [x.shape, *((0,) if a is None else a.shape for a in (table, gates)), weight.shape]


@kernel(
    out=gradients,
    flops=lambda dy, x, table, gates, weight, mean, rstd, heads, axis, *_: 8 * score_flops(x, table, heads, axis),
)
def axial_attention_backward(
    xp: Any,
    dy: Array,
    x: Array,
    table: Any,
    gates: Any,
    weight: Array,
    mean: Array,
    rstd: Array,
    heads: int,
    axis: int,
    eps: float,
    training: bool,
) -> Any:
    """Compute dx, dtable, dgates, dweight; training: through the statistics of the scores too."""
    q, k, v, r_q, r_k, r_v = parts(xp, x, table, heads, axis)
    found = terms(xp, q, k, r_q, r_k)
    z = gated(found, gates)
    w = weights(xp, z, weight, rstd)
    dy = lines(dy, heads, axis)
    dv, dr_v = (dy, None) if r_v is None else (dy[:, :, 0::2], dy[:, :, 1::2])
    dw = gate(gates, 3) * (dv.swapaxes(2, 3) @ v)
    if r_v is not None:
        dw = dw + gate(gates, 2) * xp.einsum("bgci,cij->bgij", dr_v, r_v)
    ds = w * (dw - (w * dw).sum(3, keepdims=True))
    n, over = max(1, ds[:, 0].size if heads else 1), (0, 2, 3)
    du, dweight, dgate = [], [], []
    for t, (u, term) in enumerate(zip(found, z, strict=True)):
        m, r, a = (s[t * heads : (t + 1) * heads].reshape(1, -1, 1, 1) for s in (mean, rstd, weight))
        normalised = (term - m) * r
        dweight.append((ds * normalised).sum(over))
        through = ds - normalised * dweight[t].reshape(1, -1, 1, 1) / n if training else ds
        dz = a * r * through
        dgate.append((dz * u).sum())
        du.append(dz * gate(gates, t - 1) if t else dz)
    values, placed = dv @ w, None
    dq, dk, dvalues = k @ du[0].swapaxes(2, 3), q @ du[0], gate(gates, 3) * values
    dtable, dgates = xp.zeros((0,), x.dtype), xp.zeros((0,), x.dtype)
    if r_v is not None:
        dq, dk = dq + xp.einsum("bgij,cij->bgci", du[1], r_q), dk + xp.einsum("bgij,cji->bgcj", du[2], r_k)
        placed = xp.einsum("bgij,bgci->cij", w, dr_v)
        dr = (xp.einsum("bgij,bgci->cij", du[1], q), xp.einsum("bgij,bgcj->cji", du[2], k), gate(gates, 2) * placed)
        apart, side = xp.concatenate(dr), x.shape[axis]
        dtable = xp.stack([apart.trace(-d, 1, 2) for d in range(1 - side, side)], 1).astype(x.dtype, copy=False)
    if gates is not None:
        dgates = xp.stack([dgate[1], dgate[2], (placed * r_v).sum(), (values * v).sum()]).astype(x.dtype, copy=False)
    dx = image(xp.concatenate([dq, dk, dvalues], 2), x.shape[0], axis).astype(x.dtype, copy=False)
    return dx, dtable, dgates, xp.concatenate(dweight).astype(x.dtype, copy=False)


# ---------------------------------------------------------------------------------------------------- the op


class AxialAttention(Op):
    """y of queries, keys and values x (N, 2 C, H, W) along an axis, as in the module's text.

    With w the weights, dw their gradient and ds = w (dw - sum_j w dw):  dz_t = weight_t rstd_t (ds - xhat_t mean(ds
    xhat_t)), or without the second term where the running statistics are used; dweight_t = sum ds xhat_t.  dq, dk, dv,
    the table's gradient and the gates' follow by the products' rules.  Valanarasu et al., MICCAI 2021.
    """

    tolerance = 2e-4  # of keys that are equal ds, and so dweight, is a difference that leaves rounding only

    def forward(
        self,
        x: Array,
        table: Any,
        gates: Any,
        weight: Array,
        bias: Array,
        running_mean: Any,
        running_var: Any,
        count: Any,
        training: bool,
        momentum: float,
        eps: float,
        corrected: bool,
        unbiased: bool,
        heads: int,
        axis: int,
    ) -> Array:
        if training:
            how = heads, axis, momentum, eps, corrected, unbiased
            mean, rstd = self.k.axial_statistics(x, table, gates, running_mean, running_var, count, *how)
        else:
            mean, rstd = self.k.axial_running_statistics(running_mean, running_var, eps)
        y: Array = self.k.axial_attention_forward(x, table, gates, weight, rstd, heads, axis)
        self.save(x, table, gates, weight, mean, rstd, heads, axis, eps, training)
        return y

    def backward(self, dy: Array) -> Any:
        weight = self.saved[3]
        dx, dtable, dgates, dweight = self.k.axial_attention_backward(dy, *self.saved)
        dtable, dgates = (None if a is None else d for a, d in zip(self.saved[1:3], (dtable, dgates), strict=True))
        return dx, dtable, dgates, dweight, self.k.full(weight.shape, weight.dtype, 0), *[None] * 10

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        heads, half, side, axis = draw.choice((1, 2, 3)), draw.choice((1, 2, 3)), draw.choice((3, 4, 2, 9)), 2
        shape = [draw.integer(1, 3), 4 * half * heads, side, draw.choice((2, 1, 5, 17))]
        if draw.boolean():
            axis, shape[2:] = 3, shape[:1:-1]
        kind, training = draw.choice(("gated", "plain", "none")), draw.boolean()
        channels = heads * (1 if kind == "none" else 3)
        x = draw.array(tuple(shape))
        table = None if kind == "none" else draw.array((4 * half, 2 * side - 1))
        # of equal keys gradients cancel to 0: values are small, and what is left with them
        x.reshape(shape[0], heads, 4 * half, *shape[2:])[:, :, 2 * half :] *= 0.005
        if table is not None:
            table[2 * half :] *= 0.005
        gates = draw.array((4,), 0.2, 1.5) if kind == "gated" else None
        mean, var = draw.array((channels,), constant=True), draw.array((channels,), 0.3, 2.0, constant=True)
        if training and not draw.integer(0, 3):
            mean = var = None
        count = draw.integers((), 0, 12) if training and mean is not None and draw.boolean() else None
        rule = count is not None and draw.boolean(), draw.boolean()
        weight, bias = draw.array((channels,)), draw.array((channels,))
        how = training, draw.choice((0.1, 0.5)), draw.choice((1e-3, 1e-2)), *rule
        return x, table, gates, weight, bias, mean, var, count, *how, heads, axis

    @staticmethod
    def oracle(
        torch: Any,
        x: Any,
        table: Any,
        gates: Any,
        weight: Any,
        bias: Any,
        mean: Any,
        var: Any,
        count: Any,
        training: bool,
        momentum: float,
        eps: float,
        corrected: bool,
        unbiased: bool,
        heads: int,
        axis: int,
    ) -> Any:
        """Compose it of PyTorch's einsum, batch norm and softmax, index by index."""
        mean, var = (None if v is None else v.clone() for v in (mean, var))
        x = x.movedim(axis, 3)  # (N, 2 C, other, K)
        n, c, other, side = x.shape
        size, half = c // heads // 2, c // heads // 4
        both = x.permute(0, 2, 1, 3).reshape(n * other, heads, 2 * size, side)
        q, k, v = both[:, :, :half], both[:, :, half:size], both[:, :, size:]
        z = [torch.einsum("bgci,bgcj->bgij", q, k)]
        if table is not None:
            g = torch.ones(4, dtype=x.dtype) if gates is None else gates
            far = torch.stack(
                [torch.stack([table[:, i - j + side - 1] for j in range(side)], 1) for i in range(side)], 1
            )
            z += [g[0] * torch.einsum("bgci,cij->bgij", q, far[:half])]
            z += [g[1] * torch.einsum("bgcj,cji->bgij", k, far[half:size])]
        s = torch.nn.functional.batch_norm(torch.cat(z, 1), mean, var, weight, bias, training, momentum, eps)
        w = s.reshape(n * other, len(z), heads, side, side).sum(1).softmax(3)
        y = torch.einsum("bgij,bgcj->bgci", w, v)
        if table is not None:
            y = torch.stack([g[3] * y, g[2] * torch.einsum("bgij,cij->bgci", w, far[size:])], 3)
        return y.reshape(n, other, -1, side).permute(0, 2, 1, 3).movedim(3, axis)


# ------------------------------------------------------------------------------------------- for nn/axial.py


def axial_attention(
    input: Tensor,
    distances: Tensor | None,
    gates: Tensor | None,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    count: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    statistics: str,
    channels: int,
    axis: int,
) -> Tensor:
    """Attend along an axis of a map of queries, keys and values, the scores normalised by a batch norm.

    Args:
        input: (N, heads * 4 half, H, W); of each head half queries, half keys and 2 half values.
        distances: (4 half, 2 K - 1), a vector for each distance along the axis of K positions; None: no positions.
        gates: (4,), of the positions of queries, keys and values, and of the values; None: 1.
        weight, bias, running_mean, running_var: (channels,), of the batch norm.
        count: The number of its updates, int64.
        training: Normalise by the batch's statistics and move the running ones on, else by the running ones.
        momentum, eps, statistics: As of `batch_norm`.
        channels: Of the scores: heads, or with positions 3 heads.
        axis: 2 for columns, 3 for rows.

    Returns:
        (N, heads * 4 half, H, W) with positions, weighted values and positions in turn; else half the channels.

    Raises:
        ValueError: Shapes or options do not fit.
    """
    heads = channels // (1 if distances is None else 3)
    if len(input.shape) != 4 or axis not in (2, 3) or heads < 1 or input.shape[1] % (4 * heads):
        raise ValueError(
            f"axial_attention: input {list(input.shape)}, axis {axis}, {heads} heads; it takes (N, C, H, W) with C a "
            "multiple of 4 heads, and axis 2 or 3"
        )
    table = input.shape[1] // heads, 2 * input.shape[axis] - 1
    if distances is not None and distances.shape != table:
        raise ValueError(f"axial_attention: distances has shape {list(distances.shape)}; it takes {list(table)} here")
    if distances is None and gates is not None:
        raise ValueError("axial_attention: gates weigh terms with positions; give distances beside them, or no gates")
    if gates is not None and gates.shape != (4,):
        raise ValueError(f"axial_attention: gates has shape {list(gates.shape)}; it takes [4]")
    if statistics not in RULES:
        raise ValueError(f"axial_attention: statistics is one of {', '.join(RULES)}, got {statistics!r}")
    if training and input.shape[0] * input.shape[5 - axis] * input.shape[axis] ** 2 == 1:
        raise ValueError("axial_attention: training needs more than 1 score per channel; use a larger batch")
    if training:
        written(running_mean, running_var, count)
    return AxialAttention.apply(
        input,
        distances,
        gates,
        weight,
        bias,
        running_mean,
        running_var,
        count,
        bool(training),
        float(momentum),
        float(eps),
        statistics == "corrected",
        statistics != "keras",
        heads,
        int(axis),
    )


__all__: list[str] = []
