"""Dropout, on the GPU: csrc/dropout.cu.  The bits are those of every backend, bit for bit."""

from typing import Any

from ..dispatch import kernel


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
