"""Which numbers of a line stand where after sorting: as many as come before a number, so far behind is its place."""

from numba import njit, prange

from ...dispatch import LOOPS, kernel
from ...memory import inverse_order
from .views import laid

MOST = 4096  # numbers of a line, above which comparing each with every other takes too long


@njit
def comes_before(a, i, b, j, sign):
    """Return whether number a at i comes before b at j: equal ones in order, NaN as the largest; sign -1: backwards."""
    if a == b or (a != a and b != b):
        return i < j
    if a != a or b != b:
        return (b != b) == (sign > 0)
    return sign * a < sign * b


@kernel(
    name="argsort_part_loop",
    backend=LOOPS,
    out=lambda x, sign, first, count: [((x.shape[0], count), "int64")],
    flops=lambda x, *_: x.size * x.shape[1],
)
def places_of_ranks(y, x, sign, first, count):
    """y[l, r - first] = the i whose x[l, i] has r numbers before it, for `count` ranks r from `first` on."""
    for l in prange(x.shape[0]):
        for i in range(x.shape[1]):
            rank = 0
            for j in range(x.shape[1]):
                if comes_before(x[l, j], j, x[l, i], i, sign):
                    rank += 1
            if first <= rank < first + count:
                y[l, rank - first] = i


@kernel(backend=LOOPS, composite=True, when=lambda x, axis, *_: x.ndim > 0 and x.shape[axis] <= MOST)
def argsort_part_forward(k, x, axis, descending, first, count):
    """Call the loop on the lines along the axis."""
    order = (*(i for i in range(x.ndim) if i != axis), axis)
    moved = tuple(x.shape[i] for i in order)
    lines = laid(k, x, order).reshape(x.size // max(1, moved[-1]), moved[-1])
    places = k.argsort_part_loop(lines, -1 if descending else 1, first, count)
    return places.reshape(*moved[:-1], count).transpose(inverse_order(order))
