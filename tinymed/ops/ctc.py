"""Connectionist temporal classification: the likelihood of a label sequence, summed over its alignments.

A sequence of S labels is written with a blank before, between and after them, 2 S + 1 states.  A path stays in a state,
goes to the next, or skips a blank between two labels that differ.  alpha[t, s] is the logarithm of the probability of
all ways to be in state s at time t; the backward pass walks the other way with the same rule.  Both walk in float64:
a posterior is the exponential of a small difference of large logarithms.
"""

from typing import Any

import numpy as np

from .. import devices, tape
from ..annotations import Tensor
from ..dispatch import Array, kernel
from ..tape import Node, Op
from .elementwise import div
from .loss import check_reduction
from .reduce import mean, sum
from .shape import reshape
from .softmax import log_softmax_forward


def states(xp: Any, targets: Array, blank: int) -> tuple[Array, Array]:
    """Return (label of each state, whether a path may come to it from two states before): (N, 2 S + 1)."""
    n, length = targets.shape
    label = xp.full((n, 2 * length + 1), blank, targets.dtype)
    label[:, 1::2] = targets
    skips = xp.zeros(label.shape, bool)
    skips[:, 2:] = (label[:, 2:] != blank) & (label[:, 2:] != label[:, :-2])
    return label, skips


def emitted(xp: Any, log_p: Array, label: Array) -> Array:
    """Return the log probability of each state's label at each time: (T, N, states)."""
    return xp.stack([xp.take_along_axis(at, label, 1) for at in log_p])


def earlier(xp: Any, a: Array, by: int) -> Array:
    """Return each state's value `by` states before it, -inf where there is none; by < 0: after it."""
    moved = xp.full(a.shape, -xp.inf, a.dtype)
    if by > 0:
        moved[:, by:] = a[:, :-by]
    else:
        moved[:, :by] = a[:, -by:]
    return moved


def last_states(xp: Any, lengths: Array, count: int) -> Array:
    """Return where a path may end: the last label and the blank after it."""
    s, end = xp.arange(count), 2 * lengths[:, None]
    return (s == end) | ((s == end - 1) & (end > 0))


def total(xp: Any, a: Array) -> Array:
    """Compute log sum exp over the states; -inf of nothing."""
    top = xp.maximum(a.max(1), xp.finfo(a.dtype).min)
    return top + xp.log(xp.exp(a - top[:, None]).sum(1))


def ctc_shapes(x: Array, targets: Array, *_: Any) -> list[tuple[tuple[int, ...], Any]]:
    """Return the loss of each sample, log probabilities, alpha."""
    states = (*x.shape[:2], 2 * targets.shape[1] + 1)
    return [(x.shape[1:2], x.dtype), (x.shape, np.dtype(np.float64)), (states, np.dtype(np.float64))]


def work(x: Array, targets: Array, *_: Any) -> float:
    """Count ten operations for each state at each time, and the softmax."""
    return float(5 * x.size + 10 * x.shape[0] * x.shape[1] * (2 * targets.shape[1] + 1))


@kernel(out=ctc_shapes, flops=work)
def ctc_forward(xp: Any, x: Array, targets: Array, input_lengths: Array, target_lengths: Array, blank: int) -> Any:
    """loss = -log sum over alignments of the product of softmax(x[t])[label]; also log softmax(x), and alpha + loss.

    The sum is alpha alone where no alignment exists.
    """
    dtype, x = x.dtype, x.astype(xp.float64)
    log_p = log_softmax_forward(xp, x, 2)
    label, skips = states(xp, targets, blank)
    emit = emitted(xp, log_p, label) if x.shape[0] else xp.zeros((0, *label.shape), x.dtype)
    alpha = xp.full(emit.shape, -xp.inf, x.dtype)
    first = xp.arange(label.shape[1]) <= xp.minimum(2 * target_lengths[:, None], 1)
    at = xp.where(first, xp.asarray(0, x.dtype), xp.asarray(-xp.inf, x.dtype))
    end = xp.where(target_lengths[:, None] == 0, at, xp.asarray(-xp.inf, x.dtype))  # of sequences without input
    for t in range(x.shape[0]):
        if t:
            skipped = xp.where(skips, earlier(xp, at, 2), -xp.inf)
            at = xp.logaddexp(xp.logaddexp(at, earlier(xp, at, 1)), skipped)
        at = at + emit[t]
        alpha[t] = at
        end = xp.where((t + 1 == input_lengths)[:, None], at, end)
    ends = xp.where(last_states(xp, target_lengths, label.shape[1]), end, -xp.inf)
    loss = -total(xp, ends)
    return loss.astype(dtype), log_p, alpha + xp.where(xp.isinf(loss), 0, loss)[:, None]


@kernel(
    out=lambda dy, log_p, *_: [(log_p.shape, dy.dtype)],
    flops=lambda dy, log_p, alpha, targets, *_: work(log_p, targets),
)
def ctc_backward(
    xp: Any,
    dy: Array,
    log_p: Array,
    alpha: Array,
    targets: Array,
    input_lengths: Array,
    target_lengths: Array,
    loss: Array,
    blank: int,
    zero_infinity: bool,
) -> Array:
    """dx[t, c] = dy (softmax(x[t])[c] - the probability, given the labels, of label c at time t).

    alpha is what ctc_forward returned: the logarithms less that of the labels' probability.
    """
    label, skips = states(xp, targets, blank)
    emit = emitted(xp, log_p, label) if len(log_p) else alpha
    hits = (label[:, :, None] == xp.arange(log_p.shape[2])).astype(log_p.dtype)
    ends = xp.where(last_states(xp, target_lengths, label.shape[1]), xp.asarray(0, log_p.dtype), -xp.inf)
    leap = xp.zeros(skips.shape, bool)
    leap[:, :-2] = skips[:, 2:]
    dx = xp.zeros(log_p.shape, dy.dtype)
    impossible = xp.isinf(loss)[:, None]  # no alignment exists: a probability given that is not a number
    after = ends  # the log probability of all ways to go on from a state
    for t in reversed(range(len(log_p))):
        if t + 1 < len(log_p):
            next_ = after + emit[t + 1]
            skipped = xp.where(leap, earlier(xp, next_, -2), -xp.inf)
            after = xp.logaddexp(xp.logaddexp(next_, earlier(xp, next_, -1)), skipped)
            after = xp.where((t + 1 == input_lengths)[:, None], ends, after)
        posterior = xp.where(impossible, xp.nan, xp.exp(alpha[t] + after))
        share = xp.exp(log_p[t]) - (posterior[:, None] @ hits)[:, 0]
        dx[t] = xp.where((t < input_lengths)[:, None], dy[:, None] * share, 0)
    return xp.where(impossible, 0, dx) if zero_infinity else dx


class CTC(Op):
    """loss[n] = -log p(labels n | x[:, n]), x scores (T, N, C);  dx = dy (softmax(x) - posterior of the labels).

    Graves et al., ICML 2006, equations 6 to 16.
    """

    def forward(
        self,
        x: Array,
        targets: Array,
        input_lengths: Array,
        target_lengths: Array,
        blank: int,
        zero_infinity: bool,
    ) -> Array:
        loss, log_p, alpha = self.k.ctc_forward(x, targets, input_lengths, target_lengths, blank)
        self.save(log_p, alpha, targets, input_lengths, target_lengths, loss, blank, zero_infinity)
        return self.k.where_forward(self.k.has_property_forward(loss, "isinf"), 0.0, loss) if zero_infinity else loss

    def backward(self, dy: Array) -> Any:
        return self.k.ctc_backward(dy, *self.saved), *[None] * 5

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        batch, classes, longest = draw.integer(1, 3), draw.integer(2, 5), draw.integer(0, 3)
        blank = draw.choice((0, classes - 1))
        targets = draw.integers((batch, longest), 1, classes - 1) - (blank != 0)
        target_lengths = draw.integers((batch,), 0, longest)
        input_lengths = draw.integers((batch,), 2 * longest + 1, 2 * longest + 3)
        x = draw.array((2 * longest + 3, batch, classes), -3, 3)
        return x, targets, input_lengths, target_lengths, blank, draw.boolean()

    @staticmethod
    def oracle(
        torch: Any, x: Any, targets: Any, input_lengths: Any, target_lengths: Any, blank: int, zero_infinity: bool
    ) -> Any:
        log_p = torch.log_softmax(x, 2)
        loss = torch.nn.functional.ctc_loss
        return loss(log_p, targets, input_lengths, target_lengths, blank, "none", zero_infinity)


# ------------------------------------------------------------------------------------------------ public functions


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Compute -log of the probability of label sequences, summed over all alignments with the inputs.

    Args:
        log_probs: (T, N, C) or (T, C), the logarithm of a softmax: that is checked.
        targets: Class numbers, (N, S) or the sequences one after the other; (S,) without N.
        input_lengths, target_lengths: One for each sample, tensors or tuples.
        blank: The class that stands for no label.
        reduction: "none", "sum", or "mean", which divides each loss by its number of labels first.
        zero_infinity: Where no alignment exists the loss is 0 and has no gradient.

    Returns:
        A tensor without axes; (N,) for reduction "none".

    Raises:
        ValueError: Shapes, lengths or class numbers do not fit, or the scores are not log-probabilities.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> log_probs = tinymed.log_softmax(tinymed.tensor([[[0.0, 200.0]]]), 2)
        >>> F.ctc_loss(log_probs, tinymed.tensor([[1]]), (1,), (1,)).item()
        0.0

    Reference:
        Graves et al., ICML 2006.
    """
    check_reduction("ctc_loss", reduction)
    single = len(log_probs.shape) == 2
    x = reshape(log_probs, log_probs.shape[0], 1, log_probs.shape[1]) if single else log_probs
    if len(x.shape) != 3 or not 0 <= blank < x.shape[2]:
        raise ValueError(
            f"ctc_loss: log_probs is (T, N, C) or (T, C) and blank one of the C classes; got {list(log_probs.shape)} "
            f"and blank {blank}"
        )
    inputs, lengths = (
        length_array(name, given, x.shape[1])
        for name, given in (("input_lengths", input_lengths), ("target_lengths", target_lengths))
    )
    labels = padded_labels(targets, lengths, x.shape[1])
    check_sequences(x.array, labels, inputs, lengths)
    place = devices.of(x.array)
    arrays = [devices.move(a, place) for a in (labels, inputs, lengths)]
    loss = CTC.apply(x, *arrays, int(blank), bool(zero_infinity))
    if reduction == "sum":
        return sum(loss)
    if reduction == "mean":
        counts = devices.move(np.maximum(lengths, 1).astype(x.array.dtype), place)
        return mean(div(loss, x.result_class(counts)))
    return reshape(loss, ()) if single else loss


def length_array(name: str, given: Any, batch: int) -> Array:
    """Return lengths as an int64 vector on the CPU."""
    if isinstance(given, Node):
        tape.host_read(f"ctc_loss with a tensor of {name}")
        given = devices.move(given.array, "cpu")
    a = np.atleast_1d(np.asarray(given))
    if a.shape != (batch,) or a.dtype.kind not in "iu":
        raise ValueError(f"ctc_loss: {name} is an integer for each of {batch} samples, got {given!r}")
    return a.astype(np.int64)


def padded_labels(targets: Any, lengths: Array, batch: int) -> Array:
    """Return the labels of each sample in a row, (N, longest), 0 beyond its length."""
    a = devices.move(targets.array, "cpu") if isinstance(targets, Node) else np.asarray(targets)
    if a.dtype.kind not in "iu":
        raise TypeError(f"ctc_loss: targets are class numbers, got {a.dtype}")
    longest = int(lengths.max(initial=0))
    if a.ndim == 2 and a.shape[0] == batch and a.shape[1] >= longest:
        rows = a[:, :longest]
    elif a.ndim == 1 and a.size == lengths.sum():
        rows = np.zeros((batch, longest), a.dtype)
        rows[np.arange(longest) < lengths[:, None]] = a
    else:
        raise ValueError(
            f"ctc_loss: targets of shape {list(a.shape)} do not hold {batch} sequences of lengths {lengths.tolist()}"
        )
    return np.where(np.arange(longest) < lengths[:, None], rows, 0).astype(np.int64)


def check_sequences(x: Array, labels: Array, inputs: Array, lengths: Array) -> None:
    """Raise for lengths and class numbers out of range, and scores that no softmax gave."""
    if inputs.size and (inputs.max() > x.shape[0] or min(inputs.min(), lengths.min()) < 0):
        raise ValueError(
            f"ctc_loss: input_lengths lie in 0 to {x.shape[0]} and target_lengths are not negative, got "
            f"{inputs.tolist()} and {lengths.tolist()}"
        )
    if labels.size and not (labels.min() >= 0 and labels.max() < x.shape[2]):
        raise ValueError(f"ctc_loss: targets lie in 0 to {x.shape[2] - 1}, got {labels.min()} to {labels.max()}")
    if devices.of(x) == "cpu" and not tape.host_read_listeners and x.size:
        off = np.abs(np.exp(x.astype(np.float64)).sum(2) - 1).max()
        if off > 1e-3:
            raise ValueError(
                "ctc_loss: log_probs are logarithms of probabilities, whose exponentials add up to 1 over the classes "
                f"(off by {off:.3g}); apply log_softmax(dim=-1)"
            )


__all__ = ["ctc_loss"]
