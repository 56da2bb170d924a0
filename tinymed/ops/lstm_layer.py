"""A layer of long short-term memory: the product with its input and the walk through the steps, in one kernel.

`LSTMSequence` walks over sums that a product of their own made for all steps.  Where nothing else asks for these sums
they need not be written: a kernel of this file multiplies and walks.  Without gradients it keeps no gates either.
"""

from typing import Any

from ..dispatch import Array, kernel
from ..tape import Op
from .matmul import rows
from .promotion import floating
from .recurrent import (
    LSTM_GATES,
    LSTMSequence,
    Recurrence,
    State,
    bounds,
    ends,
    lstm_forward,
    sequence_sample,
)

__all__ = ["LSTMLayer"]


def layer_shapes(x: Array, weight: Array, bias: Array, recurrent: Array, h0: Array, *_: Any) -> list[tuple[int, ...]]:
    """Return the shapes of outputs, states, cells and gates."""
    states = (len(x) + 1, *h0.shape)
    return [(len(x), *h0.shape), states, states, (*x.shape[:2], LSTM_GATES * h0.shape[1])]


def answer_shapes(x: Array, weight: Array, bias: State, recurrent: Array, *_: Any) -> list[tuple[int, ...]]:
    """Return the shapes of outputs, last state and last cell."""
    state = (x.shape[1], recurrent.shape[1])
    return [(len(x), *state), state, state]


def answer_products(x: Array, weight: Array, bias: State, recurrent: Array, *_: Any) -> float:
    """Count the multiply-adds of both products, and the gates."""
    return layer_flops(x, recurrent.shape[1])


def layer_products(x: Array, *rest: Any) -> float:
    """Count the multiply-adds of both products, and the gates."""
    return layer_flops(x, rest[-4].shape[1])


def layer_flops(x: Array, hidden: int) -> float:
    """Count the multiply-adds of a layer of so many units."""
    sums = x.shape[0] * x.shape[1] * hidden * LSTM_GATES
    return float(2 * sums * (x.shape[2] + hidden) + 20 * sums)


def input_sums(x: Array, weight: Array, bias: State) -> Array:
    """Return W x_t + b of every step."""
    sums = x @ weight.T
    return sums if bias is None else sums + bias


@kernel(out=layer_shapes, flops=layer_products)
def lstm_layer_forward(
    xp: Any,
    x: Array,
    weight: Array,
    bias: State,
    recurrent: Array,
    h0: Array,
    c0: Array,
    lengths: Array,
    reverse: bool,
) -> tuple[Array, ...]:
    """i, f, g, o = W x_t + b + U h_(t-1); c_t = s(f) c_(t-1) + s(i) tanh(g), h_t = s(o) tanh(c_t), s the sigmoid."""
    return lstm_forward(xp, input_sums(x, weight, bias), recurrent, h0, c0, lengths, reverse)


@kernel(out=answer_shapes, flops=answer_products)
def lstm_layer_answer(
    xp: Any,
    x: Array,
    weight: Array,
    bias: State,
    recurrent: Array,
    h0: State,
    c0: State,
    lengths: State,
    reverse: bool,
) -> tuple[Array, ...]:
    """Compute what lstm_layer_forward does, and keep the outputs and the last state and cell.

    An initial state that is None is 0, and lengths that are None are those of whole sequences.
    """
    h0, c0 = (xp.zeros((x.shape[1], recurrent.shape[1]), x.dtype) if s is None else s for s in (h0, c0))
    lengths = xp.full(x.shape[1], len(x)) if lengths is None else lengths
    y, states, cells, _ = lstm_forward(xp, input_sums(x, weight, bias), recurrent, h0, c0, lengths, reverse)
    last = ends(len(x), reverse)[1]
    return y, states[last].copy(), cells[last].copy()


class LSTMLayer(Recurrence, Op):
    """Walk as LSTMSequence does over the sums W x_t + b;  dx = dsums W, dW = dsums' x, db = sum of dsums.

    Hochreiter & Schmidhuber 1997; the forget gate: Gers et al. 2000.
    """

    promotes = floating("LSTM")

    def forward(
        self,
        x: Array,
        weight: Array,
        bias: State,
        recurrent: Array,
        h0: State,
        c0: State,
        lengths: State,
        reverse: bool,
    ) -> Any:
        if not any(self.needs):
            return self.k.lstm_layer_answer(x, weight, bias, recurrent, h0, c0, lengths, reverse)
        h0, c0, lengths = self.first(x, recurrent, h0), self.first(x, recurrent, c0), self.counts(x, lengths)
        found = self.k.lstm_layer_forward(x, weight, bias, recurrent, h0, c0, lengths, reverse)
        y, states, cells, gates = found
        self.save(x, weight, states, gates, cells, recurrent, lengths, reverse)
        return y, self.last(states, reverse), self.last(cells, reverse)

    def backward(self, dy: Array, dh: Array, dc: Array) -> Any:
        x, weight, states, *saved = self.saved
        dsums, dh0, dc0 = self.k.lstm_backward(dy, dh, dc, *saved)
        flat = rows(self.k, dsums)
        dx = self.k.matmul(flat, weight).reshape(x.shape) if self.needs[0] else None
        dweight = self.k.matmul_ta(flat, rows(self.k, x)) if self.needs[1] else None
        dbias = self.k.channel_sum(flat) if self.needs[2] else None
        drecurrent = self.weight_gradient(dsums, states, saved[-1]) if self.needs[3] else None
        return dx, dweight, dbias, drecurrent, dh0, dc0, None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        steps, batch, hidden, lengths, reverse = sequence_sample(draw)
        inputs = draw.choice((3, 1, 2, 17, 33))
        x, states = draw.array((steps, batch, inputs)), [draw.array((batch, hidden)) for _ in range(2)]
        weights = [draw.array((LSTM_GATES * hidden, depth), *bounds(depth)) for depth in (inputs, hidden)]
        bias = draw.array((LSTM_GATES * hidden,)) if draw.boolean() else None
        return x, weights[0], bias, weights[1], *states, lengths, reverse

    @staticmethod
    def oracle(
        torch: Any,
        x: Any,
        weight: Any,
        bias: Any,
        recurrent: Any,
        h0: Any,
        c0: Any,
        lengths: Any,
        reverse: bool,
    ) -> tuple[Any, ...]:
        sums = torch.nn.functional.linear(x, weight, bias)
        return LSTMSequence.oracle(torch, sums, recurrent, h0, c0, lengths, reverse)
