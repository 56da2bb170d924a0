"""Activations that are straight on both sides of a bend."""

from numba import prange

from ...dispatch import LOOPS, kernel
from .dropout import philox, take_ticket, uniform
from .views import large


@kernel(backend=LOOPS, flat="y x")
def relu_forward(y, x):
    """y = max(x, 0); NaN stays NaN."""
    for i in prange(x.size):
        y[i] = 0 if x[i] < 0 else x[i]


@kernel(backend=LOOPS, flat="dx dy y")
def relu_backward(dx, dy, y):
    """dx = dy where y > 0 or NaN, else 0."""
    for i in prange(dy.size):
        dx[i] = 0 if y[i] <= 0 else dy[i]


@kernel(backend=LOOPS, flat="y x")
def leaky_relu_forward(y, x, slope):
    """y = x where x > 0, else slope x."""
    for i in prange(x.size):
        y[i] = x[i] if x[i] > 0 else slope * x[i]


@kernel(backend=LOOPS, flat="dx dy x")
def leaky_relu_backward(dx, dy, x, slope):
    """dx = dy where x > 0, else slope dy."""
    for i in prange(dy.size):
        dx[i] = dy[i] if x[i] > 0 else slope * dy[i]


@kernel(backend=LOOPS, rows="y x", writes="state")
def rrelu_forward(y, ticket, x, state, lower, upper):
    """y = x where x > 0, else a x, each a drawn uniformly from lower to upper; also the ticket of the draw."""
    take_ticket(ticket, state)
    channels = x.shape[1]
    for block in prange((x.size + 3) // 4):
        words = philox(block, ticket)
        for i in range(4 * block, min(4 * block + 4, x.size)):
            value = x[i // channels, i % channels]
            slope = uniform(words[i % 4], lower, upper)
            y[i // channels, i % channels] = value if value > 0 else slope * value


@kernel(backend=LOOPS, rows="dx dy x")
def rrelu_backward(dx, dy, x, ticket, lower, upper):
    """dx = dy where x > 0, else a dy, with the slopes a that the ticket draws again."""
    channels = x.shape[1]
    for block in prange((x.size + 3) // 4):
        words = philox(block, ticket)
        for i in range(4 * block, min(4 * block + 4, x.size)):
            slope = uniform(words[i % 4], lower, upper)
            d = dy[i // channels, i % channels]
            dx[i // channels, i % channels] = d if x[i // channels, i % channels] > 0 else slope * d


@kernel(backend=LOOPS, rows="y x")
def prelu_forward(y, x, weight):
    """y = x where x > 0, else weight[c] x; a weight of one element serves all channels."""
    for p in prange(x.shape[0]):
        for c in range(x.shape[1]):
            slope = weight[c if weight.size > 1 else 0]
            y[p, c] = x[p, c] if x[p, c] > 0 else slope * x[p, c]


@kernel(backend=LOOPS, rows="dx dy x")
def prelu_backward(dx, dweight, dy, x, weight):
    """dx = dy where x > 0, else weight[c] dy;  dweight[c] = sum of x dy where x <= 0, of all channels if one weight."""
    for p in prange(x.shape[0]):
        for c in range(x.shape[1]):
            slope = weight[c if weight.size > 1 else 0]
            dx[p, c] = dy[p, c] if x[p, c] > 0 else slope * dy[p, c]
    for k in prange(weight.size):
        total = 0.0
        for p in range(x.shape[0]):
            for c in range(x.shape[1]):
                if (weight.size == 1 or c == k) and not x[p, c] > 0:
                    total += x[p, c] * dy[p, c]
        dweight[k] = total


@kernel(backend=LOOPS, flat="y x")
def hardtanh_forward(y, x, low, high):
    """y = min(max(x, low), high); NaN stays NaN."""
    for i in prange(x.size):
        y[i] = low if x[i] < low else high if x[i] > high else x[i]


@kernel(backend=LOOPS, flat="dx dy y")
def hardtanh_backward(dx, dy, y, low, high):
    """dx = dy where low < y < high or y is NaN, else 0."""
    for i in prange(dy.size):
        dx[i] = 0 if y[i] <= low or y[i] >= high else dy[i]


@kernel(backend=LOOPS, flat="y x")
def hardsigmoid_forward(y, x):
    """y = min(max(x + 3, 0), 6) / 6; NaN stays NaN."""
    for i in prange(x.size):
        y[i] = 0 if x[i] < -3 else 1 if x[i] > 3 else (x[i] + 3) / 6


@kernel(backend=LOOPS, flat="dx dy y", worth=large)
def hardsigmoid_backward(dx, dy, y):
    """dx = dy / 6 where 0 < y < 1, else 0."""
    for i in prange(dy.size):
        dx[i] = dy[i] / 6 if 0 < y[i] < 1 else 0
