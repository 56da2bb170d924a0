"""Recurrences, and the gates of long short-term memory by themselves, on the GPU: csrc/recurrent.cu."""

from typing import Any

from ..dispatch import kernel


def turned(x: Any, weight: Any, *_: Any) -> list[tuple[int, ...]]:
    """Return the workspace: the weight with a row for each unit of the state."""
    return [weight.shape[::-1]]


@kernel(backend="csrc", work=turned)
def rnn_forward(
    y: Any, states: Any, turned: Any, x: Any, weight: Any, h0: Any, lengths: Any, reverse: Any, rectified: Any
) -> None:
    """h_t = f(x_t + h_(t-1) weight'), f = max(0, .) if rectified, else tanh."""


@kernel(backend="csrc")
def rnn_backward(
    dx: Any, dh0: Any, dy: Any, dh: Any, states: Any, weight: Any, lengths: Any, reverse: Any, rectified: Any
) -> None:
    """dx_t = (dy_t + dh_t) f'(h_t), dh_(t-1) = dx_t weight."""


@kernel(backend="csrc", work=turned)
def lstm_forward(
    y: Any,
    states: Any,
    cells: Any,
    gates: Any,
    turned: Any,
    x: Any,
    weight: Any,
    h0: Any,
    c0: Any,
    lengths: Any,
    reverse: Any,
) -> None:
    """c_t = s(f) c_(t-1) + s(i) tanh(g), h_t = s(o) tanh(c_t); i, f, g, o = x_t + h_(t-1) weight'."""


@kernel(backend="csrc")
def lstm_backward(
    dx: Any,
    dh0: Any,
    dc0: Any,
    dy: Any,
    dh: Any,
    dc: Any,
    gates: Any,
    cells: Any,
    weight: Any,
    lengths: Any,
    reverse: Any,
) -> None:
    """dc_t += dh_t o (1 - tanh(c_t)^2), each gate's slope times its share, dh_(t-1) = dx_t weight."""


@kernel(backend="csrc", work=turned)
def gru_forward(
    y: Any,
    states: Any,
    gates: Any,
    turned: Any,
    x: Any,
    weight: Any,
    bias: Any,
    h0: Any,
    lengths: Any,
    reverse: Any,
) -> None:
    """h_t = (1 - u) n + u h_(t-1), n = tanh(x_n + s(x_r + r) m), u = s(x_z + z); r, z, m = h_(t-1) weight' + bias."""


@kernel(backend="csrc")
def gru_backward(
    dx: Any,
    dsums: Any,
    dh0: Any,
    dy: Any,
    dh: Any,
    gates: Any,
    states: Any,
    weight: Any,
    lengths: Any,
    reverse: Any,
) -> None:
    """dh_(t-1) = dh_t u + (gradient of the sums) weight."""


@kernel(backend="csrc", rows="h c gates sums c0")
def lstm_gates_forward(h: Any, c: Any, gates: Any, sums: Any, c0: Any) -> None:
    """c = s(f) c0 + s(i) tanh(g), h = s(o) tanh(c); i, f, g, o the quarters of sums."""


@kernel(backend="csrc", rows="dsums dc0 dh dc gates c c0")
def lstm_gates_backward(dsums: Any, dc0: Any, dh: Any, dc: Any, gates: Any, c: Any, c0: Any) -> None:
    """through = dc + dh o (1 - tanh(c)^2), each gate's slope times its share; dc0 = through f."""
