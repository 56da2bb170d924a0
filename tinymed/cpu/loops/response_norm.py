"""Local response normalisation: each pixel's channels are divided by the energy of their neighbours."""

from numba import njit, prange

from ...dispatch import LOOPS, kernel


@njit
def energy(x, p, c, size, alpha, k):
    """Return k + alpha / size times the sum of x^2 over the `size` channels around c."""
    total = 0.0
    for i in range(max(0, c - size // 2), min(x.shape[1], c + (size - 1) // 2 + 1)):
        total += x[p, i] * x[p, i]
    return k + alpha / size * total


@kernel(backend=LOOPS, rows="y x")
def local_response_norm_forward(y, x, size, alpha, beta, k):
    """y = x s^-beta, s the energy around the channel."""
    for p in prange(x.shape[0]):
        for c in range(x.shape[1]):
            y[p, c] = x[p, c] * energy(x, p, c, size, alpha, k) ** -beta


@kernel(backend=LOOPS, rows="dx dy x")
def local_response_norm_backward(dx, dy, x, size, alpha, beta, k):
    """dx = dy s^-beta - 2 alpha beta / size x sum(dy x s^(-beta - 1)), over the windows that hold the channel."""
    for p in prange(x.shape[0]):
        for c in range(x.shape[1]):
            total = 0.0
            for i in range(max(0, c - (size - 1) // 2), min(x.shape[1], c + size // 2 + 1)):
                total += dy[p, i] * x[p, i] * energy(x, p, i, size, alpha, k) ** (-beta - 1)
            own = dy[p, c] * energy(x, p, c, size, alpha, k) ** -beta
            dx[p, c] = own - 2 * alpha * beta / size * x[p, c] * total
