"""The gates of long short-term memory by themselves: from the sums of one step, and the cell, to state and cell.

For recurrences whose sums are no product of matrices: a convolution in `nn.ConvLSTM2d`, or a projected state.
"""

from typing import Any

from ..dispatch import Array, kernel
from ..tape import Op
from .smooth import logistic

__all__ = ["LSTMGates"]


def gates_of(xp: Any, a: Array) -> list[Array]:
    """Return the four quarters along axis 1."""
    quarter = a.shape[1] // 4
    return [a[:, k * quarter : (k + 1) * quarter] for k in range(4)]


@kernel(out=lambda sums, c0: [c0.shape, c0.shape, sums.shape], flops=lambda sums, c0: 20 * sums.size)
def lstm_gates_forward(xp: Any, sums: Array, c0: Array) -> tuple[Array, Array, Array]:
    """i, f, g, o = sums along axis 1; c = s(f) c0 + s(i) tanh(g), h = s(o) tanh(c), s the sigmoid; also the gates."""
    i, f, g, o = gates_of(xp, sums)
    i, f, g, o = logistic(xp, i), logistic(xp, f), xp.tanh(g), logistic(xp, o)
    c = f * c0 + i * g
    return o * xp.tanh(c), c, xp.concatenate([i, f, g, o], 1)


@kernel(out=lambda dh, dc, gates, c, c0: [gates.shape, c0.shape], flops=lambda dh, dc, gates, *_: 10 * gates.size)
def lstm_gates_backward(xp: Any, dh: Array, dc: Array, gates: Array, c: Array, c0: Array) -> tuple[Array, Array]:
    """Of sums and c0: through = dc + dh o (1 - tanh(c)^2), each gate's slope times its share; dc0 = through f."""
    i, f, g, o = gates_of(xp, gates)
    bounded = xp.tanh(c)
    through = dc + dh * o * (1 - bounded * bounded)
    parts = [
        through * g * i * (1 - i),
        through * c0 * f * (1 - f),
        through * i * (1 - g * g),
        dh * bounded * o * (1 - o),
    ]
    return xp.concatenate(parts, 1), through * f


class LSTMGates(Op):
    """c = s(f) c0 + s(i) tanh(g), h = s(o) tanh(c);  dsums: each gate's slope times its share, dc0 = dc f.

    A cell that is None is 0.

    Hochreiter & Schmidhuber 1997; the forget gate: Gers et al. 2000.
    """

    def forward(self, sums: Array, c0: Array | None = None) -> tuple[Array, Array]:
        if c0 is None:
            c0 = self.k.full((sums.shape[0], sums.shape[1] // 4, *sums.shape[2:]), sums.dtype, 0)
        h, c, gates = self.k.lstm_gates_forward(sums, c0)
        self.save(gates, c, c0)
        return h, c

    def backward(self, dh: Array, dc: Array) -> Any:
        return self.k.lstm_gates_backward(dh, dc, *self.saved)

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        batch, width = draw.choice((2, 1, 5)), draw.choice((3, 1, 16, 17, 33))
        space = draw.choice(((), (3, 2), (1, 5), (2, 1, 3)))
        c0 = None if draw.integer(0, 3) == 3 else draw.array((batch, width, *space))
        return draw.array((batch, 4 * width, *space)), c0

    @staticmethod
    def oracle(torch: Any, sums: Any, c0: Any) -> tuple[Any, Any]:
        i, f, g, o = sums.chunk(4, 1)
        c = (0 if c0 is None else f.sigmoid() * c0) + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c
