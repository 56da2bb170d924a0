"""The nuclear norm of matrices: the sum of their singular values."""

from typing import Any

from ..dispatch import Array, kernel
from ..tape import Op
from .axes import dropped, kept

Axes = tuple[int, ...]


@kernel(
    out=lambda x, axes: [dropped(x.shape, axes), x.shape],
    flops=lambda x, axes: 20 * x.size * min(x.shape[a] for a in axes),
)
def nuclear_norm_forward(xp: Any, x: Array, axes: Axes) -> tuple[Array, Array]:
    """y = sum of s, and U V^T over s that are not 0, of x = U diag(s) V^T over two axes; NaN where x is not finite."""
    matrices = xp.moveaxis(x, axes, (-2, -1))
    finite = xp.isfinite(matrices).all((-2, -1), keepdims=True)
    u, s, v = xp.linalg.svd(xp.where(finite, matrices, 0), full_matrices=False)
    counted = s > s.max(-1, keepdims=True, initial=0) * xp.finfo(x.dtype).eps * max(x.shape[a] for a in axes)
    slope = xp.where(finite, xp.matmul(u * counted[..., None, :], v), xp.nan)
    return xp.where(finite[..., 0, 0], s.sum(-1), xp.nan).astype(x.dtype), xp.moveaxis(
        slope.astype(x.dtype), (-2, -1), axes
    )


@kernel(out=lambda dy, slope, axes: [slope.shape], flops=lambda dy, slope, axes: slope.size)
def nuclear_norm_backward(xp: Any, dy: Array, slope: Array, axes: Axes) -> Array:
    """dx = dy U V^T."""
    return dy.reshape(kept(slope.shape, axes)) * slope


class NuclearNorm(Op):
    """y = sum of the singular values of each matrix;  dx = dy U V^T, of x = U diag(s) V^T.  Watson, LAA 170, 1992.

    Directions of a singular value of 0 are left out of dx, where they are no one's: the smallest of the subgradients.
    """

    def forward(self, x: Array, axes: Axes, keepdim: bool) -> Array:
        y, slope = self.k.nuclear_norm_forward(x, axes)
        self.save(slope, axes)
        return y.reshape(kept(x.shape, axes)) if keepdim else y

    def backward(self, dy: Array) -> Any:
        return self.k.nuclear_norm_backward(dy, *self.saved), None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        shape = (draw.integer(1, 3), draw.integer(1, 4), draw.integer(1, 4))
        axes = draw.choice(((1, 2), (2, 1), (0, 2)))
        x = draw.array(shape, -0.2, 0.2)
        strong = (slice(None), *(range(min(shape[a] for a in axes)) for _ in axes))  # far from a singular value of 0
        rows = x.transpose([a for a in range(3) if a not in axes] + list(axes))
        rows[strong] += 1 + draw.integer(0, 2)
        return x, axes, draw.boolean()

    @staticmethod
    def oracle(torch: Any, x: Any, axes: Axes, keepdim: bool) -> Any:
        return torch.linalg.matrix_norm(x, "nuc", axes, keepdim)
