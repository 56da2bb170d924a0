"""Principal components: the linear code that loses least, the floor of every auto-encoder with as long a code."""

from typing import Any

import numpy as np

from ..errors import UserError


class PrincipalComponents:
    """Directions of largest variance of rows of numbers.

    code = (x - mean) basis';  x is rebuilt as mean + code basis.  Of a wide matrix they are computed from the products
    of its rows, of a tall one from those of its columns.

    Args:
        rows: [n, d], n >= 2.
        components: Most directions k; fewer are kept where the rows span fewer.

    Attributes:
        mean: [d].
        basis: [k, d], orthonormal rows; of each the entry of largest size is positive.
        variances: [k], of the codes of `rows`, divided by n - 1, largest first.

    Raises:
        UserError: There are fewer than two rows, or components < 1.

    Example:
        >>> rows = np.array([[0.0, 0, 1], [2, 2, 1], [4, 4, 1]])
        >>> found = PrincipalComponents(rows, 2)
        >>> found.basis.round(4).tolist(), bool(np.allclose(found.decode(found.encode(rows)), rows))
        ([[0.7071, 0.7071, 0.0]], True)

    Reference:
        Jolliffe, "Principal component analysis", Springer 2002.
    """

    def __init__(self, rows: Any, components: int):
        x = np.asarray(rows, np.float64)
        if x.ndim != 2 or len(x) < 2 or components < 1:
            raise UserError(
                f"principal components: need rows [n, d], n >= 2, and components >= 1; got {x.shape}, {components}"
            )
        self.mean = x.mean(0)
        centred = x - self.mean
        wide = len(x) < x.shape[1]
        values, vectors = np.linalg.eigh(centred @ centred.T if wide else centred.T @ centred)
        kept = np.arange(len(values))[::-1][:components]
        kept = kept[values[kept] > 1e-10 * max(values[-1], np.finfo(float).tiny)]
        basis = vectors[:, kept].T
        if wide:
            basis = basis @ centred / np.sqrt(values[kept])[:, None]
        largest = np.abs(basis).argmax(1)
        self.basis: np.ndarray = basis * np.sign(basis[np.arange(len(basis)), largest])[:, None]
        self.variances: np.ndarray = values[kept] / (len(x) - 1)

    def encode(self, rows: Any) -> np.ndarray:
        """Return the code of each row, [n, k]."""
        found: np.ndarray = (np.asarray(rows, np.float64) - self.mean) @ self.basis.T
        return found

    def decode(self, code: Any) -> np.ndarray:
        """Return the rows that have these codes, [n, d]."""
        found: np.ndarray = self.mean + np.asarray(code, np.float64) @ self.basis
        return found
