"""Dropout, on the GPU: csrc/dropout.cu.  The bits are those of every backend, bit for bit."""

from typing import Any

from ..dispatch import kernel
from ..ops.dropout import ALPHA, TICKET, alpha_map, limit_of


@kernel(backend="csrc", rows="y x")
def dropout_forward(y: Any, ticket: Any, x: Any, state: Any, limit: Any, scale: Any) -> None:
    """y = scale x where the element's bits are >= limit, else 0; takes the ticket that backward draws with."""


@kernel(backend="csrc", rows="dx dy")
def dropout_backward(dx: Any, dy: Any, ticket: Any, limit: Any, scale: Any) -> None:
    """dx = scale dy where the bits that the ticket draws again are >= limit, else 0."""


@kernel(backend="csrc", rows="y x", work=lambda x, *_: [x.shape[:2]])
def dropout_channels_forward(y: Any, ticket: Any, factors: Any, x: Any, state: Any, limit: Any, scale: Any) -> None:
    """y[n, c] = factors[n, c] x[n, c], the factor scale where the bits of (n, c) are >= limit, else 0."""


@kernel(backend="csrc", rows="dx dy", work=lambda dy, *_: [dy.shape[:2]])
def dropout_channels_backward(dx: Any, factors: Any, dy: Any, ticket: Any, limit: Any, scale: Any) -> None:
    """dx[n, c] = factors[n, c] dy[n, c], the factors drawn again from the ticket."""


# ---------------------------------------------------------------------------------------------------- alpha dropout


def takes(x: Any, *rest: Any) -> bool:
    """Return whether an array is of float32, and has channels where they are to be dropped."""
    return bool(x.dtype.char == "f" and (x.ndim >= 2 or not rest[-1]))


@kernel(backend="csrc", composite=True, when=takes)
def alpha_dropout_forward(k: Any, x: Any, state: Any, p: float, channels: bool) -> Any:
    """take_ticket, then alpha_drop or alpha_drop_channels."""
    ticket, (a, b) = k.take_ticket(state), alpha_map(p)
    drop = k.alpha_drop_channels if channels else k.alpha_drop
    return drop(x, ticket, limit_of(p)[0], a, b, a * ALPHA + b), ticket


@kernel(backend="csrc", composite=True, when=takes)
def alpha_dropout_backward(k: Any, dy: Any, ticket: Any, p: float, channels: bool) -> Any:
    """alpha_drop or alpha_drop_channels of the gradient."""
    drop = k.alpha_drop_channels if channels else k.alpha_drop
    return drop(dy, ticket, limit_of(p)[0], alpha_map(p)[0], 0.0, 0.0)


@kernel(
    backend="csrc",
    out=lambda state: [TICKET],
    writes="state",
    flops=lambda state: 0,
    when=lambda state: state.dtype.char == "I",
)
def take_ticket(ticket: Any, state: Any) -> None:
    """Copy a generator's state, which moves on to its next draw."""


@kernel(backend="csrc", rows="y x", out=lambda x, *_: [x.shape], flops=lambda x, *_: 2 * x.size)
def alpha_drop(y: Any, x: Any, ticket: Any, limit: Any, a: Any, b: Any, dropped: Any) -> None:
    """y = a x + b where the element's bits are >= limit, else dropped."""


@kernel(
    backend="csrc",
    rows="y x",
    out=lambda x, *_: [x.shape],
    work=lambda x, *_: [x.shape[:2]],
    flops=lambda x, *_: 2 * x.size,
)
def alpha_drop_channels(y: Any, kept: Any, x: Any, ticket: Any, limit: Any, a: Any, b: Any, dropped: Any) -> None:
    """y = a x + b where the bits of the channel of the sample are >= limit, else dropped."""
