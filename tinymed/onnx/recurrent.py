"""RNN, GRU and LSTM: a product of the weights with the whole input, then one small step after another."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..nn import functional as F
from ..tensor import Tensor
from .table import Node, numbers, operator, sized, unsupported

Step = Callable[[Any], Any]
NAMES = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
# name -> (function of x, alpha, beta; the defaults of those it takes)
ACTIVATIONS: dict[str, tuple[Callable[..., Any], tuple[float, ...]]] = {
    "relu": (F.relu, ()),
    "tanh": (F.tanh, ()),
    "sigmoid": (F.sigmoid, ()),
    "softsign": (F.softsign, ()),
    "softplus": (F.softplus, ()),
    "affine": (lambda x, alpha, beta: x * alpha + beta, (1.0, 0.0)),
    "leakyrelu": (F.leaky_relu, (0.01,)),
    "thresholdedrelu": (lambda x, alpha: F.where(x >= alpha, x, x * 0.0), (1.0,)),
    "scaledtanh": (lambda x, alpha, beta: F.tanh(x * beta) * alpha, (1.0, 1.0)),
    "hardsigmoid": (lambda x, alpha, beta: F.clamp(x * alpha + beta, 0.0, 1.0), (0.2, 0.5)),
    "elu": (F.elu, (1.0,)),
}


@operator("RNN", fixed=(4,))
def rnn(node: Node, x: Any, w: Any, r: Any, b: Any = None, lengths: Any = None, h: Any = None) -> Any:
    """h_t = f(W x_t + R h_(t-1) + b)."""
    return recurrent(node, x, w, r, b, lengths, h, None, None)[: max(len(node.outputs), 1)]


@operator("GRU", fixed=(4,))
def gru(node: Node, x: Any, w: Any, r: Any, b: Any = None, lengths: Any = None, h: Any = None) -> Any:
    """Gates z (keep) and r (reset), and a candidate c: h_t = (1 - z) c + z h_(t-1).

    linear_before_reset: r scales the candidate's recurrent product, else the state that goes into it.
    """
    return recurrent(node, x, w, r, b, lengths, h, None, None)[: max(len(node.outputs), 1)]


@operator("LSTM", fixed=(4,))
def lstm(
    node: Node,
    x: Any,
    w: Any,
    r: Any,
    b: Any = None,
    lengths: Any = None,
    h: Any = None,
    c: Any = None,
    peepholes: Any = None,
) -> Any:
    """Gates i (in), o (out), f (forget), and a candidate g: c_t = f c_(t-1) + i g, h_t = o tanh(c_t)."""
    return recurrent(node, x, w, r, b, lengths, h, c, peepholes)[: max(len(node.outputs), 1)]


def recurrent(
    node: Node, x: Any, w: Any, r: Any, b: Any, lengths: Any, h: Any, c: Any, peepholes: Any
) -> tuple[Any, ...]:
    """(all states (T, D, N, H), the last ones (D, N, H), the last cells) over D directions; layout 1 has N in front."""
    batch_first = node.get("layout", 0)
    if batch_first:
        x, h, c = F.swapaxes(x, 0, 1), turned(h), turned(c)
    backwards = directions(node, w)
    check_shapes(node, x, w, r, b)
    steps, batch = x.shape[:2]
    sized(node, (steps, len(backwards), batch, GATES[node.operator] * r.shape[2]))
    ends = sequence_ends(node, lengths, steps, batch)
    all_states, states, cells = [], [], []
    for d, back in enumerate(backwards):
        w_d, r_d, b_d, h_d, c_d, p_d = (None if t is None else t[d] for t in (w, r, b, h, c, peepholes))
        outputs, state, cell = one_direction(node, x, w_d, r_d, b_d, h_d, c_d, p_d, ends, d, back)
        all_states.append(outputs)
        states.append(state)
        cells.append(cell)
    y, last, cell = F.stack(all_states, 1), F.stack(states, 0), F.stack(cells, 0)
    if batch_first:
        return F.permute(y, (2, 0, 1, 3)), F.swapaxes(last, 0, 1), F.swapaxes(cell, 0, 1)
    return y, last, cell


def turned(t: Any) -> Any:
    """Return an initial state with the batch first, as one with the direction first."""
    return None if t is None else F.swapaxes(t, 0, 1)


def directions(node: Node, w: Any) -> list[bool]:
    """Return whether each direction runs from the end."""
    found = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}
    name = str(node.get("direction", "forward")).lower()
    if name not in found:
        raise unsupported(node, f"direction {name!r}", ", ".join(found))
    if w.shape[0] != len(found[name]):
        raise ValueError(f"{node}: W has shape {list(w.shape)}; {name} takes {len(found[name])} as its first length")
    return found[name]


def check_shapes(node: Node, x: Any, w: Any, r: Any, b: Any) -> None:
    """Raise ValueError unless the weights fit the input and each other."""
    gates = GATES[node.operator]
    hidden = r.shape[-1] if r.ndim == 3 else 0
    d, width = w.shape[0], x.shape[-1]
    fits = (
        x.ndim == 3 and tuple(w.shape) == (d, gates * hidden, width) and tuple(r.shape) == (d, gates * hidden, hidden)
    )
    fits = fits and (b is None or tuple(b.shape) == (d, 2 * gates * hidden))
    if not fits or node.get("hidden_size", hidden) != hidden:
        raise ValueError(
            f"{node}: X {list(x.shape)}, W {list(w.shape)}, R {list(r.shape)}, B {b is not None and list(b.shape)}, "
            f"hidden_size {node.get('hidden_size')}; it takes X (T, N, I), W (D, {gates} H, I), R (D, {gates} H, H), "
            f"B (D, {2 * gates} H)"
        )


def sequence_ends(node: Node, lengths: Any, steps: int, batch: int) -> Any:
    """Return the length of each sequence, or None where all are whole."""
    if lengths is None:
        return None
    found = np.asarray(numbers(lengths), np.int64)
    if found.shape != (batch,) or found.min(initial=0) < 0 or found.max(initial=0) > steps:
        raise ValueError(f"{node}: sequence_lens {found.tolist()}; it takes {batch} lengths from 0 to {steps}")
    return None if (found == steps).all() else found


def one_direction(
    node: Node, x: Any, w: Any, r: Any, b: Any, h: Any, c: Any, peepholes: Any, ends: Any, d: int, back: bool
) -> tuple[Any, Any, Any]:
    """(states (T, N, H), the last one (N, H), the last cell) of one direction; states beyond a sequence's end are 0."""
    (steps, batch), hidden, gates = x.shape[:2], r.shape[1], GATES[node.operator]
    order = order_of(steps, batch, ends, back)
    x = x if order is None else in_order(x, order)
    both = [None, None] if b is None else F.split(b, gates * hidden, 0)
    zeros = Tensor(np.zeros((batch, hidden), x.dtype))
    state, cell = (zeros if t is None else t for t in (h, c))
    inputs = F.linear(x, w, both[0])
    step = STEPS[node.operator](node, F.t(r), both[1], activations(node, d), peepholes)
    states = []
    for i in range(steps):
        new, new_cell = step(inputs[i], state, cell)
        if ends is not None:
            running = Tensor((i < ends).reshape(-1, 1))
            states.append(F.where(running, new, zeros))
            new, new_cell = F.where(running, new, state), F.where(running, new_cell, cell)
        else:
            states.append(new)
        state, cell = new, new_cell
    outputs = F.stack(states, 0) if states else Tensor(np.zeros((0, batch, hidden), x.dtype))
    return outputs if order is None else in_order(outputs, order), state, cell


def order_of(steps: int, batch: int, ends: Any, back: bool) -> Any:
    """For each step and sequence the step to take instead, each sequence from its own end; None: as they are."""
    if not back or not steps:
        return None
    t = np.arange(steps)[:, None]
    ends = np.full(batch, steps) if ends is None else ends
    return np.where(t < ends, ends - 1 - t, t)


def in_order(x: Any, order: Any) -> Any:
    """x (T, N, ...) with the steps of each sequence in another order."""
    return F.getitem(x, (Tensor(order), Tensor(np.broadcast_to(np.arange(order.shape[1]), order.shape).copy())))


# -------------------------------------------------------------------------------------------- one step


def bounded(node: Node, function: Step) -> Step:
    """Return an activation of gates whose input is held within [-clip, clip]; a cell is not, as in ONNX Runtime."""
    clip = node.get("clip")
    return function if not clip else lambda x: function(F.clamp(x, -clip, clip))


def activations(node: Node, d: int) -> list[Step]:
    """Return the activations of one direction: names, and their alpha and beta in the order of those that take them."""
    count = len(NAMES[node.operator])
    names = node.get("activations") or NAMES[node.operator] * (d + 1)
    if len(names) < count * (d + 1):
        raise ValueError(f"{node}: activations are {list(names)}; it takes {count} for each direction")
    alphas, betas = iter(node.get("activation_alpha") or []), iter(node.get("activation_beta") or [])
    found = [activation(node, name, alphas, betas) for name in names[: count * (d + 1)]]
    own = found[count * d :]
    return [*(bounded(node, f) for f in own[:2]), *own[2:]]


def activation(node: Node, name: str, alphas: Iterator[float], betas: Iterator[float]) -> Step:
    """Return one activation with its settings."""
    if name.lower() not in ACTIVATIONS:
        raise unsupported(node, f"activation {name!r}", ", ".join(ACTIVATIONS))
    function, defaults = ACTIVATIONS[name.lower()]
    given = [next(values, default) for values, default in zip((alphas, betas), defaults, strict=False)]
    return lambda x: function(x, *given)


def plus(x: Any, bias: Any) -> Any:
    """x + bias, which may be missing."""
    return x if bias is None else x + bias


def rnn_step(node: Node, r: Any, bias: Any, functions: Sequence[Step], _: Any) -> Callable[..., tuple[Any, Any]]:
    """Return one step of an RNN."""

    def step(x: Any, h: Any, c: Any) -> tuple[Any, Any]:
        return functions[0](plus(x + F.matmul(h, r), bias)), c

    return step


def gru_step(node: Node, r: Any, bias: Any, functions: Sequence[Step], _: Any) -> Callable[..., tuple[Any, Any]]:
    """Return one step of a GRU."""
    f, g = functions
    n = r.shape[0]
    gates, own = F.narrow(r, 1, 0, 2 * n), F.narrow(r, 1, 2 * n, n)
    gate_bias, own_bias = (None, None) if bias is None else F.split(bias, [2 * n, n], 0)
    linear = node.get("linear_before_reset", 0)

    def step(x: Any, h: Any, c: Any) -> tuple[Any, Any]:
        x_gates, x_own = F.split(x, [2 * n, n], -1)
        z, reset = F.split(f(plus(x_gates + F.matmul(h, gates), gate_bias)), n, -1)
        if linear:
            candidate = g(x_own + reset * plus(F.matmul(h, own), own_bias))
        else:
            candidate = g(plus(x_own + F.matmul(reset * h, own), own_bias))
        return (1 - z) * candidate + z * h, c

    return step


def lstm_step(node: Node, r: Any, bias: Any, functions: Sequence[Step], p: Any) -> Callable[..., tuple[Any, Any]]:
    """Return one step of an LSTM; peepholes let the gates see the cell."""
    f, g, out = functions
    n, coupled = r.shape[0], node.get("input_forget", 0)
    look_in, look_out, look_forget = (None, None, None) if p is None else F.split(p, n, 0)

    def peep(x: Any, weight: Any, cell: Any) -> Any:
        return x if weight is None else x + weight * cell

    def step(x: Any, h: Any, c: Any) -> tuple[Any, Any]:
        i, o, forget, candidate = F.split(plus(x + F.matmul(h, r), bias), n, -1)
        i = f(peep(i, look_in, c))
        forget = 1 - i if coupled else f(peep(forget, look_forget, c))
        c = forget * c + i * g(candidate)
        return f(peep(o, look_out, c)) * out(c), c

    return step


STEPS = {"RNN": rnn_step, "GRU": gru_step, "LSTM": lstm_step}
