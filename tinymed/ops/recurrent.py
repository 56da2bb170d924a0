"""Recurrences over a sequence: RNN, LSTM and GRU, one direction of one layer, all steps in one kernel.

What a step takes from the input, W x_t + b, is one matrix product for all steps, which the layer makes first: x here is
that product, (T, N, gates * H).  What is left is the part that cannot run in parallel: h_(t-1) weight', and the gates.

Each sequence has a length.  From there on the state stays as it is and the output is 0, so a batch of sequences of
several lengths is one call.  `reverse` walks from the last step to the first; a shorter sequence begins at its own end.

An initial state that is None is 0, and lengths that are None are those of whole sequences.

`states` has one entry more than there are steps: the state before the walk, then after each step.  The state before
step t is states[t] and after it states[t + 1]; the other way about in reverse.
"""

from typing import Any

import numpy as np

from ..dispatch import Array, kernel
from ..tape import Op
from .promotion import floating
from .smooth import logistic

__all__ = ["GRUSequence", "LSTMSequence", "RNNSequence"]

LSTM_GATES, GRU_GATES = 4, 3
State = Array | None  # None: zeros, or the lengths of whole sequences


def walk(steps: int, reverse: bool) -> list[tuple[int, int, int]]:
    """Return (step, index of the state before it, index of the state after it) in the order of the walk."""
    if reverse:
        return [(t, t + 1, t) for t in reversed(range(steps))]
    return [(t, t, t + 1) for t in range(steps)]


def ends(steps: int, reverse: bool) -> tuple[int, int]:
    """Return the indices of the state before the walk and after it."""
    return (steps, 0) if reverse else (0, steps)


def before_each_step(states: Array, reverse: bool) -> Array:
    """Return the state before each step, (T, N, H), as a view."""
    return states[1:] if reverse else states[:-1]


def running(lengths: Array, t: int) -> Array:
    """Return which sequences have a step t, as a column."""
    return (t < lengths)[:, None]


def state_shape(x: Array, h0: Array) -> tuple[int, ...]:
    """Return the shape of the states before and after each step."""
    return (x.shape[0] + 1, *h0.shape)


def products(steps: Array, weight: Array) -> float:
    """Count the multiply-adds of a product with the weight at each step, and the gates."""
    return float(2 * steps.shape[0] * steps.shape[1] * weight.size + 20 * steps.size)


# --------------------------------------------------------------------------------------------------------- RNN


def rnn_shapes(x: Array, weight: Array, h0: Array, *_: Any) -> list[tuple[int, ...]]:
    """Return the shapes of outputs and states."""
    return [x.shape, state_shape(x, h0)]


@kernel(out=rnn_shapes, flops=lambda x, weight, *_: products(x, weight))
def rnn_forward(
    xp: Any, x: Array, weight: Array, h0: Array, lengths: Array, reverse: bool, rectified: bool
) -> tuple[Array, Array]:
    """h_t = f(x_t + h_(t-1) weight'), f = max(0, .) if rectified, else tanh."""
    y, states = xp.zeros(x.shape, x.dtype), xp.zeros(state_shape(x, h0), x.dtype)
    states[ends(len(x), reverse)[0]] = h0
    for t, before, after in walk(len(x), reverse):
        sums = x[t] + states[before] @ weight.T
        h = xp.where(sums < 0, 0, sums) if rectified else xp.tanh(sums)
        y[t] = xp.where(running(lengths, t), h, 0)
        states[after] = xp.where(running(lengths, t), h, states[before])
    return y, states


@kernel(out=lambda dy, dh, *_: [dy.shape, dh.shape], flops=lambda dy, dh, states, weight, *_: products(dy, weight))
def rnn_backward(
    xp: Any, dy: Array, dh: Array, states: Array, weight: Array, lengths: Array, reverse: bool, rectified: bool
) -> tuple[Array, Array]:
    """dx_t = (dy_t + dh_t) f'(h_t), dh_(t-1) = dx_t weight; dh is that of the last state, then of the first."""
    dx = xp.zeros(dy.shape, dy.dtype)
    for t, _, after in reversed(walk(len(dy), reverse)):
        h = states[after]
        slope = xp.where(h > 0, 1, xp.where(h != h, h, 0)) if rectified else 1 - h * h
        dx[t] = xp.where(running(lengths, t), (dy[t] + dh) * slope, 0)
        dh = xp.where(running(lengths, t), dx[t] @ weight, dh)
    return dx, xp.array(dh)


# -------------------------------------------------------------------------------------------------------- LSTM


def lstm_shapes(x: Array, weight: Array, h0: Array, *_: Any) -> list[tuple[int, ...]]:
    """Return the shapes of outputs, states, cells and gates."""
    return [(len(x), *h0.shape), state_shape(x, h0), state_shape(x, h0), x.shape]


@kernel(out=lstm_shapes, flops=lambda x, weight, *_: products(x, weight))
def lstm_forward(
    xp: Any, x: Array, weight: Array, h0: Array, c0: Array, lengths: Array, reverse: bool
) -> tuple[Array, Array, Array, Array]:
    """i, f, g, o = x_t + h_(t-1) weight'; c_t = s(f) c_(t-1) + s(i) tanh(g), h_t = s(o) tanh(c_t), s the sigmoid."""
    hidden = h0.shape[1]
    y, states, cells, gates = (xp.zeros(shape, x.dtype) for shape in lstm_shapes(x, weight, h0))
    first = ends(len(x), reverse)[0]
    states[first], cells[first] = h0, c0
    for t, before, after in walk(len(x), reverse):
        sums = x[t] + states[before] @ weight.T
        i, f = logistic(xp, sums[:, :hidden]), logistic(xp, sums[:, hidden : 2 * hidden])
        g, o = xp.tanh(sums[:, 2 * hidden : 3 * hidden]), logistic(xp, sums[:, 3 * hidden :])
        c = f * cells[before] + i * g
        h = o * xp.tanh(c)
        gates[t] = xp.where(running(lengths, t), xp.concatenate([i, f, g, o], 1), 0)
        y[t] = xp.where(running(lengths, t), h, 0)
        states[after] = xp.where(running(lengths, t), h, states[before])
        cells[after] = xp.where(running(lengths, t), c, cells[before])
    return y, states, cells, gates


@kernel(
    out=lambda dy, dh, dc, gates, *_: [gates.shape, dh.shape, dc.shape],
    flops=lambda dy, dh, dc, gates, cells, weight, *_: products(gates, weight),
)
def lstm_backward(
    xp: Any,
    dy: Array,
    dh: Array,
    dc: Array,
    gates: Array,
    cells: Array,
    weight: Array,
    lengths: Array,
    reverse: bool,
) -> tuple[Array, Array, Array]:
    """Of x, h0 and c0: dc_t += dh_t o (1 - tanh(c_t)^2), each gate's slope times its share, dh_(t-1) = dx_t weight."""
    hidden = dh.shape[1]
    dx = xp.zeros(gates.shape, gates.dtype)
    for t, before, after in reversed(walk(len(gates), reverse)):
        i, f, g, o = (gates[t][:, k * hidden : (k + 1) * hidden] for k in range(LSTM_GATES))
        bounded = xp.tanh(cells[after])
        through = dc + (dy[t] + dh) * o * (1 - bounded * bounded)
        parts = [
            through * g * i * (1 - i),
            through * cells[before] * f * (1 - f),
            through * i * (1 - g * g),
            (dy[t] + dh) * bounded * o * (1 - o),
        ]
        dx[t] = xp.where(running(lengths, t), xp.concatenate(parts, 1), 0)
        dh = xp.where(running(lengths, t), dx[t] @ weight, dh)
        dc = xp.where(running(lengths, t), through * f, dc)
    return dx, xp.array(dh), xp.array(dc)


# --------------------------------------------------------------------------------------------------------- GRU


def gru_shapes(x: Array, weight: Array, bias: Array, h0: Array, *_: Any) -> list[tuple[int, ...]]:
    """Return the shapes of outputs, states and gates."""
    return [(len(x), *h0.shape), state_shape(x, h0), (*x.shape[:2], 4 * h0.shape[1])]


@kernel(out=gru_shapes, flops=lambda x, weight, *_: products(x, weight))
def gru_forward(
    xp: Any, x: Array, weight: Array, bias: Array, h0: Array, lengths: Array, reverse: bool
) -> tuple[Array, Array, Array]:
    """r, z, m = h_(t-1) weight' + bias; n = tanh(x_n + s(x_r + r) m), h_t = (1 - u) n + u h_(t-1), u = s(x_z + z).

    The gates are kept in the order r, u, m, n.
    """
    hidden = h0.shape[1]
    y, states, gates = (xp.zeros(shape, x.dtype) for shape in gru_shapes(x, weight, bias, h0))
    states[ends(len(x), reverse)[0]] = h0
    for t, before, after in walk(len(x), reverse):
        sums = states[before] @ weight.T + bias
        r = logistic(xp, x[t][:, :hidden] + sums[:, :hidden])
        u = logistic(xp, x[t][:, hidden : 2 * hidden] + sums[:, hidden : 2 * hidden])
        m = sums[:, 2 * hidden :]
        n = xp.tanh(x[t][:, 2 * hidden :] + r * m)
        h = (1 - u) * n + u * states[before]
        gates[t] = xp.where(running(lengths, t), xp.concatenate([r, u, m, n], 1), 0)
        y[t] = xp.where(running(lengths, t), h, 0)
        states[after] = xp.where(running(lengths, t), h, states[before])
    return y, states, gates


def gru_gradient_shapes(dy: Array, dh: Array, *_: Any) -> list[tuple[int, ...]]:
    """Return the shapes of the gradients of x, of the recurrent sums and of h0."""
    wide = (*dy.shape[:2], GRU_GATES * dh.shape[1])
    return [wide, wide, dh.shape]


@kernel(out=gru_gradient_shapes, flops=lambda dy, dh, gates, states, weight, *_: products(gates, weight))
def gru_backward(
    xp: Any, dy: Array, dh: Array, gates: Array, states: Array, weight: Array, lengths: Array, reverse: bool
) -> tuple[Array, Array, Array]:
    """Of x, of the recurrent sums r, z, m, and of h0: dh_(t-1) = dh_t u + (gradient of the sums) weight."""
    hidden = dh.shape[1]
    dx, dsums, _ = (xp.zeros(shape, dy.dtype) for shape in gru_gradient_shapes(dy, dh))
    for t, before, _ in reversed(walk(len(gates), reverse)):
        r, u, m, n = (gates[t][:, k * hidden : (k + 1) * hidden] for k in range(4))
        through = dy[t] + dh
        dn = through * (1 - u) * (1 - n * n)
        dr, du = dn * m * r * (1 - r), through * (states[before] - n) * u * (1 - u)
        dx[t] = xp.where(running(lengths, t), xp.concatenate([dr, du, dn], 1), 0)
        dsums[t] = xp.where(running(lengths, t), xp.concatenate([dr, du, dn * r], 1), 0)
        dh = xp.where(running(lengths, t), through * u + dsums[t] @ weight, dh)
    return dx, dsums, xp.array(dh)


# ------------------------------------------------------------------------------------------------------ the ops


class Recurrence:
    """What the three ops share: the last state, and the gradient of the recurrent weight."""

    k: Any

    def first(self, x: Array, weight: Array, state: State) -> Array:
        """Return the state before the walk, zeros where none is given."""
        return self.k.full((x.shape[1], weight.shape[1]), x.dtype, 0) if state is None else state

    def counts(self, x: Array, lengths: State) -> Array:
        """Return the length of each sequence, all steps where none is given."""
        return self.k.full((x.shape[1],), np.dtype(np.int64), x.shape[0]) if lengths is None else lengths

    def last(self, states: Array, reverse: bool) -> Array:
        """Return the state after the walk, in memory of its own."""
        return self.k.copy(states[ends(len(states) - 1, reverse)[1]])

    def weight_gradient(self, dsums: Array, states: Array, reverse: bool) -> Array:
        """Compute the sum over steps and sequences of dsums' h_(t-1): one product for all steps."""
        rows = dsums.shape[0] * dsums.shape[1]
        before = before_each_step(states, reverse)
        return self.k.matmul_ta(dsums.reshape(rows, dsums.shape[2]), before.reshape(rows, states.shape[2]))


class RNNSequence(Recurrence, Op):
    """h_t = f(x_t + h_(t-1) weight');  dx_t = (dy_t + dh_t) f'(h_t), dh_(t-1) = dx_t weight.  Elman 1990."""

    promotes = floating("RNN")

    def forward(self, x: Array, weight: Array, h0: State, lengths: State, reverse: bool, rectified: bool) -> Any:
        h0, lengths = self.first(x, weight, h0), self.counts(x, lengths)
        y, states = self.k.rnn_forward(x, weight, h0, lengths, reverse, rectified)
        self.save(states, weight, lengths, reverse, rectified)
        return y, self.last(states, reverse)

    def backward(self, dy: Array, dh: Array) -> Any:
        states, reverse = self.saved[0], self.saved[3]
        dx, dh0 = self.k.rnn_backward(dy, dh, *self.saved)
        dweight = self.weight_gradient(dx, states, reverse) if self.needs[1] else None
        return dx, dweight, dh0, None, None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        steps, batch, hidden, lengths, reverse = sequence_sample(draw)
        rectified = draw.boolean()
        x = draw.array((steps, batch, hidden), *((0.5, 2.0) if rectified else (-2.0, 2.0)))
        low = 0.0 if rectified else -1.0  # sums that stay away from the kink
        weight, h0 = draw.array((hidden, hidden), low / hidden, 1.0 / hidden), draw.array((batch, hidden), low, 1.0)
        return x, weight, h0, lengths, reverse, rectified

    @staticmethod
    def oracle(
        torch: Any, x: Any, weight: Any, h0: Any, lengths: Any, reverse: bool, rectified: bool
    ) -> tuple[Any, ...]:
        function = torch.rnn_relu if rectified else torch.rnn_tanh

        def one(steps: Any, n: int) -> tuple[Any, ...]:
            weights = [torch.eye(x.shape[2], dtype=x.dtype), weight]
            return tuple(function(steps, h0[None, n : n + 1], weights, False, 1, 0.0, False, False, False))

        return each_sequence(torch, x, lengths, reverse, (h0,), one)


class LSTMSequence(Recurrence, Op):
    """c_t = f c_(t-1) + i g, h_t = o tanh(c_t);  dx: each gate's slope times its share.

    Hochreiter & Schmidhuber 1997; the forget gate: Gers et al. 2000.
    """

    promotes = floating("LSTM")

    def forward(self, x: Array, weight: Array, h0: State, c0: State, lengths: State, reverse: bool) -> Any:
        h0, c0, lengths = self.first(x, weight, h0), self.first(x, weight, c0), self.counts(x, lengths)
        y, states, cells, gates = self.k.lstm_forward(x, weight, h0, c0, lengths, reverse)
        self.save(gates, cells, weight, lengths, reverse, states)
        return y, self.last(states, reverse), self.last(cells, reverse)

    def backward(self, dy: Array, dh: Array, dc: Array) -> Any:
        *saved, states = self.saved
        dx, dh0, dc0 = self.k.lstm_backward(dy, dh, dc, *saved)
        dweight = self.weight_gradient(dx, states, saved[-1]) if self.needs[1] else None
        return dx, dweight, dh0, dc0, None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        steps, batch, hidden, lengths, reverse = sequence_sample(draw)
        x, weight = (
            draw.array((steps, batch, LSTM_GATES * hidden)),
            draw.array((LSTM_GATES * hidden, hidden), *bounds(hidden)),
        )
        return x, weight, draw.array((batch, hidden)), draw.array((batch, hidden)), lengths, reverse

    @staticmethod
    def oracle(torch: Any, x: Any, weight: Any, h0: Any, c0: Any, lengths: Any, reverse: bool) -> tuple[Any, ...]:
        def one(steps: Any, n: int) -> tuple[Any, ...]:
            first = h0[None, n : n + 1], c0[None, n : n + 1]
            weights = [torch.eye(x.shape[2], dtype=x.dtype), weight]
            return tuple(torch.lstm(steps, first, weights, False, 1, 0.0, False, False, False))

        return each_sequence(torch, x, lengths, reverse, (h0, c0), one)


class GRUSequence(Recurrence, Op):
    """h_t = (1 - u) n + u h_(t-1), n = tanh(x_n + r m);  dh_(t-1) = dh_t u + (gradient of the sums) weight.

    Cho et al. 2014, with the reset gate after the product, as PyTorch and cuDNN have it.
    """

    promotes = floating("GRU")

    def forward(self, x: Array, weight: Array, bias: Array, h0: State, lengths: State, reverse: bool) -> Any:
        h0, lengths = self.first(x, weight, h0), self.counts(x, lengths)
        y, states, gates = self.k.gru_forward(x, weight, bias, h0, lengths, reverse)
        self.save(gates, states, weight, lengths, reverse)
        return y, self.last(states, reverse)

    def backward(self, dy: Array, dh: Array) -> Any:
        dx, dsums, dh0 = self.k.gru_backward(dy, dh, *self.saved)
        dweight = self.weight_gradient(dsums, self.saved[1], self.saved[-1]) if self.needs[1] else None
        rows = dsums.shape[0] * dsums.shape[1]
        dbias = self.k.channel_sum(dsums.reshape(rows, dsums.shape[2])) if self.needs[2] else None
        return dx, dweight, dbias, dh0, None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        steps, batch, hidden, lengths, reverse = sequence_sample(draw)
        wide = GRU_GATES * hidden
        x, weight = draw.array((steps, batch, wide)), draw.array((wide, hidden), *bounds(hidden))
        return x, weight, draw.array((wide,), -0.5, 0.5), draw.array((batch, hidden), -1.0, 1.0), lengths, reverse

    @staticmethod
    def oracle(torch: Any, x: Any, weight: Any, bias: Any, h0: Any, lengths: Any, reverse: bool) -> tuple[Any, ...]:
        def one(steps: Any, n: int) -> tuple[Any, ...]:
            weights = [torch.eye(x.shape[2], dtype=x.dtype), weight, torch.zeros_like(bias), bias]
            return tuple(torch.gru(steps, h0[None, n : n + 1], weights, True, 1, 0.0, False, False, False))

        return each_sequence(torch, x, lengths, reverse, (h0,), one)


def sequence_sample(draw: Any) -> tuple[int, int, int, Array, bool]:
    """Draw (steps, batch, hidden units, the length of each sequence, reverse)."""
    steps, batch = draw.choice((3, 1, 2, 5)), draw.choice((2, 1, 3, 9, 17))
    hidden = draw.choice((3, 1, 2, 16, 17, 33))
    shortest = draw.choice((steps, 0, 1))
    return steps, batch, hidden, draw.integers((batch,), shortest, steps), draw.boolean()


def bounds(hidden: int) -> tuple[float, float]:
    """Return the range of weights whose sums do not saturate the gates, where gradients vanish."""
    return -1 / hidden, 1 / hidden


def each_sequence(torch: Any, x: Any, lengths: Any, reverse: bool, first: tuple[Any, ...], one: Any) -> tuple[Any, ...]:
    """Return one(steps, n) of every sequence alone, of its own length and order, joined to a batch."""
    outputs, last = [], []
    for n, length in enumerate(int(l) for l in lengths):
        steps = x[:length, n : n + 1]
        if length:
            y, *state = one(steps.flip(0) if reverse else steps, n)
            y, state = y.flip(0) if reverse else y, [s[0] for s in state]
        else:
            y, state = x.new_zeros(0, 1, first[0].shape[1]), [s[n : n + 1] for s in first]
        outputs.append(torch.cat([y, x.new_zeros(len(x) - length, *y.shape[1:])]))
        last.append(state)
    return torch.cat(outputs, 1), *(torch.cat(parts) for parts in zip(*last, strict=True))
