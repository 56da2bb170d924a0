"""Gaussian filters of high dimension: sum over j of exp(-|f_i - f_j|^2 / 2) v_j, exactly and fast.

The permutohedral lattice is the points of integers whose d + 1 coordinates leave one remainder and add up to 0; its
simplices tile the plane in which they lie.  A filter splats each value onto the d + 1 corners of the simplex that its
feature lies in, by barycentric weights, blurs along each of the d + 1 directions by (1/2 1 1/2), and reads back at the
features (slices).  Memory and time grow with the points, not with their square, and with d^2.  Adams, Baek & Davis,
"Fast high-dimensional filtering using the permutohedral lattice", Eurographics 2010.

Written for whole arrays; corners are found by sorting, so the result does not depend on a hash table's order.
"""

import numpy as np

__all__ = ["ExactFilter", "LatticeFilter"]

BLOCK = 1 << 22  # pairs of points that the exact filter holds at a time


class ExactFilter:
    """The Gaussian filter by its definition, over all pairs of points.

    Args:
        features: float [points, d], each divided by the deviation of its Gaussian.

    Example:
        >>> filter = ExactFilter(np.array([[0.0], [1.0], [50.0]]))
        >>> filter(np.ones((3, 1)))[:, 0].round(4).tolist()
        [1.6065, 1.6065, 1.0]
    """

    def __init__(self, features: np.ndarray):
        self.features = np.asarray(features, np.float64)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return the filtered values, float64 [points, n], of values [points, n]."""
        f = self.features
        squares, result = (f**2).sum(axis=1), np.empty(values.shape, np.float64)
        rows = max(1, BLOCK // len(f))
        for start in range(0, len(f), rows):
            here = slice(start, start + rows)
            distance = squares[here, None] + squares[None] - 2 * (f[here] @ f.T)
            result[here] = np.exp(-np.maximum(distance, 0) / 2) @ values
        return result


class LatticeFilter:
    """The Gaussian filter by the permutohedral lattice, an approximation of it up to a factor near 1.

    The dense conditional random field normalises the factor away.  What is prepared depends on the features alone, so
    that several sets of values are filtered by one lattice.

    Args:
        features: float [points, d], each divided by the deviation of its Gaussian.

    Example:
        >>> filter = LatticeFilter(np.linspace(0, 2, 50)[:, None])
        >>> smooth = filter(np.ones((50, 1))) / 25
        >>> bool((smooth > 0.5).all())
        True
    """

    def __init__(self, features: np.ndarray):
        f = np.asarray(features, np.float64)
        points, d = f.shape
        nearest, rank, self.weights = enclosing_simplices(elevate(f))
        # The corner of remainder k: nearest + k where the rank is at most d - k, nearest + k - (d + 1) elsewhere.
        corners = np.arange(d + 1)[None, :, None] + nearest[:, None, :]
        corners = corners - (d + 1) * (rank[:, None, :] > d - np.arange(d + 1)[None, :, None])
        keys = corners.reshape(points * (d + 1), d + 1)[:, :d].astype(np.int64)  # the last one follows from the others
        low, high = keys.min(axis=0) - (d + 1), keys.max(axis=0) + (d + 1)
        radix = np.concatenate([np.cumprod((high - low + 1)[::-1].astype(np.float64))[::-1][1:], [1.0]])
        if radix[0] * (high[0] - low[0] + 1) >= 2**62:
            raise ValueError("LatticeFilter: the features spread too far for a lattice; use larger deviations")
        place = radix.astype(np.int64)
        codes = (keys - low) @ place
        self.cells, inverse = np.unique(codes, return_inverse=True)
        self.corner = inverse.reshape(points, d + 1)
        # One step along axis j: +d at coordinate j, -1 at the others; of the last coordinate only the others are kept.
        steps = [(-np.ones(d, np.int64) + (d + 1) * (np.arange(d) == j)) @ place for j in range(d + 1)]
        self.neighbours = [(self.find(self.cells + step), self.find(self.cells - step)) for step in steps]
        self.scale = 1 / (1 + 2.0**-d)

    def find(self, codes: np.ndarray) -> np.ndarray:
        """Return the places of cells by their codes; one beyond the last where there is none."""
        at = np.searchsorted(self.cells, codes)
        there = self.cells[np.minimum(at, len(self.cells) - 1)] == codes
        return np.asarray(np.where(there, at, len(self.cells)))

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return the filtered values, float64 [points, n], of values [points, n]."""
        corners, cells = self.corner.shape[1], len(self.cells)
        where = self.corner.ravel()
        result = np.empty(values.shape, np.float64)
        for column in range(values.shape[1]):
            spread = (self.weights * values[:, column, None]).ravel()
            grid = np.append(np.bincount(where, spread, cells), 0.0)  # the last cell is that of what is not there
            for before, after in self.neighbours:
                grid[:-1] = grid[:-1] + 0.5 * (grid[before] + grid[after])
            result[:, column] = (self.weights * grid[where].reshape(-1, corners)).sum(axis=1)
        return np.asarray(result * self.scale)


def elevate(features: np.ndarray) -> np.ndarray:
    """Return features [points, d] in the plane of the lattice, [points, d + 1] whose sum is 0.

    Scaled so that splat, blur and slice together have the variance of a Gaussian of deviation 1: each of the d + 1
    blurs has 1/2 of a step squared, splat and slice a twelfth of a simplex each.
    """
    d = features.shape[1]
    scale = np.sqrt(2 / 3) * (d + 1) / np.sqrt(np.arange(1, d + 1) * np.arange(2, d + 2))
    scaled = features * scale
    after = np.cumsum(scaled[:, ::-1], axis=1)[:, ::-1]  # the sum of this feature and those behind it
    elevated = np.zeros((len(features), d + 1))
    elevated[:, :d] = after
    elevated[:, 1:] -= np.arange(1, d + 1) * scaled
    return elevated


def enclosing_simplices(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (nearest lattice point of remainder 0, ranks of the differences to it, barycentric weights) of points.

    points: [n, d + 1] in the plane of the lattice.  The weights [n, d + 1] are of the corners of remainder 0 to d.
    """
    d = points.shape[1] - 1
    nearest = np.rint(points / (d + 1)) * (d + 1)
    order = np.argsort(-(points - nearest), axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.broadcast_to(np.arange(d + 1), order.shape), axis=1)
    excess = np.rint(nearest.sum(axis=1) / (d + 1)).astype(np.int64)[:, None]  # how far it lies off the plane
    rank += excess
    below, above = rank < 0, rank > d
    nearest += (d + 1) * (below.astype(np.int64) - above)
    rank += (d + 1) * (below.astype(np.int64) - above)
    share = np.take_along_axis(points - nearest, np.argsort(rank, axis=1, kind="stable"), axis=1) / (d + 1)
    weights = np.empty_like(share)  # of the corners, between neighbouring differences in descending order
    weights[:, 1:] = (share[:, :-1] - share[:, 1:])[:, ::-1]
    weights[:, 0] = 1 - weights[:, 1:].sum(axis=1)
    return nearest, rank, weights
