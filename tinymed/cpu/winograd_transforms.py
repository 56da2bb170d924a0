"""The transforms of Winograd's convolution: matrices from their points, and the code that applies them to vectors.

F(m, 3) gets m outputs of a 3-tap filter from m + 2 products: seen as polynomials, signal and filter are evaluated at
m + 1 points and at infinity, multiplied there, and the product is interpolated (Toom 1963, Cook 1966, Winograd 1980;
for CNNs Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", 2016).  In two dimensions
F(m x m, 3 x 3) is  y = A^T [ (G w G^T) * (B^T x B) ] A  with an elementwise product of (m + 2)^2 numbers.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .microkernel import I64, SHAPE, Shape, Vectors

Matrix = list[list[Fraction]]
POINTS = {2: (0, 1, -1), 4: (0, 1, -1, 2, -2)}  # small, and in pairs p, -p that share their sums; infinity comes last


class Matrices(NamedTuple):
    """signal B^T (m+2, m+2), filter G (m+2, 3), inverse A^T (m, m+2), exact."""

    signal: Matrix
    filter: Matrix
    inverse: Matrix


def winograd_matrices(points: Sequence[int], taps: int = 3) -> Matrices:
    """Of F(m, taps) from m + taps - 2 points:  A^T[i][j] = p_j^i,  G[j][k] = p_j^k / prod_{l != j} (p_j - p_l), and row
    j of B^T holds the coefficients of prod_{l != j} (x - p_l).  At infinity only the highest power counts.
    """
    p, n = [Fraction(v) for v in points], len(points) + 1
    outputs = n + 1 - taps
    last = [Fraction(0)] * (n - 1) + [Fraction(1)]
    others = [[q for l, q in enumerate(p) if l != j] for j in range(n - 1)]
    signal = [product(roots) + [Fraction(0)] for roots in others] + [product(p)]
    weights = [[v**k / value(product(roots), v) for k in range(taps)] for v, roots in zip(p, others, strict=True)]
    inverse = [[v**i for v in p] + [Fraction(i == outputs - 1)] for i in range(outputs)]
    return Matrices(signal, [*weights, last[-taps:]], inverse)


def product(roots: Sequence[Fraction]) -> list[Fraction]:
    """Coefficients of the product of (x - root), from the constant upwards."""
    c = [Fraction(1)]
    for root in roots:
        c = [a - root * b for a, b in zip([Fraction(0), *c], [*c, Fraction(0)], strict=True)]
    return c


def value(coefficients: Sequence[Fraction], x: Fraction) -> Fraction:
    return sum((c * x**k for k, c in enumerate(coefficients)), Fraction(0))


MATRICES = {m: winograd_matrices(points) for m, points in POINTS.items()}


def transposed(matrix: Matrix) -> Matrix:
    return [list(column) for column in zip(*matrix, strict=True)]


# --------------------------------------------------------------------------------------------------- the code


Terms = list[tuple[Fraction, ir.Value]]


class Sums:
    """Writes linear combinations of vectors: zeros are left out, factors of one cost nothing, mirrored rows share."""

    def __init__(self, v: Vectors) -> None:
        self.v, self.b = v, v.b

    def scaled(self, factor: Fraction, x: ir.Value) -> ir.Value:
        if abs(factor) == 1:
            return x if factor > 0 else self.b.fneg(x)
        return self.b.fmul(x, self.constant(factor))

    def constant(self, factor: Fraction) -> ir.Value:
        return ir.Constant(self.v.vector, [float(factor)] * self.v.lanes)

    def plus(self, total: ir.Value, factor: Fraction, x: ir.Value) -> ir.Value:
        if abs(factor) == 1:
            return self.b.fadd(total, x) if factor > 0 else self.b.fsub(total, x)
        return self.v.multiply_add(x, self.constant(factor), total)

    def sum(self, terms: Terms) -> tuple[Fraction, ir.Value]:
        """(factor, vector) of a sum, its smallest factor taken out."""
        (factor, total), *rest = sorted(terms, key=lambda t: abs(t[0]))
        for f, x in rest:
            total = self.plus(total, f / factor, x)
        return factor, total

    def apply(self, matrix: Matrix, x: list[ir.Value]) -> list[ir.Value]:
        """matrix times x."""
        columns, terms = transposed(matrix), [[] for _ in matrix]  # type: list[list[Fraction]], list[Terms]
        pair = mirrors(columns)
        for j, column in enumerate(columns):
            if pair.get(j, j) < j:
                continue
            both = (x[j], x[j])
            if j in pair:
                both = self.b.fadd(x[j], x[pair[j]]), self.b.fsub(x[j], x[pair[j]])
            for i, factor in enumerate(column):
                if factor:
                    terms[i].append((factor, both[j in pair and columns[pair[j]][i] != factor]))
        return self.rows(matrix, terms, mirrors(matrix) if not pair else {})

    def rows(self, matrix: Matrix, terms: list[Terms], pair: dict[int, int]) -> list[ir.Value]:
        """The sum of each row's terms; of a mirrored pair of rows, (same + opposite) and (same - opposite)."""
        y: dict[int, ir.Value] = {}
        for i, row in enumerate(matrix):
            if i not in pair:
                y[i] = self.scaled(*self.sum(terms[i]))
            elif i < pair[i]:
                signs = [a == b for a, b in zip(row, matrix[pair[i]], strict=True) if a]
                same = self.scaled(*self.sum([t for t, s in zip(terms[i], signs, strict=True) if s]))
                factor, opposite = self.sum([t for t, s in zip(terms[i], signs, strict=True) if not s])
                y[i], y[pair[i]] = self.plus(same, factor, opposite), self.plus(same, -factor, opposite)
        return [y[i] for i in range(len(matrix))]


def mirrors(rows: Matrix) -> dict[int, int]:
    """Pairs of rows, both ways, that differ in nothing but some signs, and agree in others."""
    pair: dict[int, int] = {}
    for i, row in enumerate(rows):
        for j in range(i):
            equal = [a == b for a, b in zip(row, rows[j], strict=True) if a]
            alike = [abs(a) for a in row] == [abs(a) for a in rows[j]]
            if i not in pair and j not in pair and alike and any(equal) and not all(equal):
                pair[i], pair[j] = j, i
    return pair


def transform(matrix: Matrix, gather: bool, shape: Shape = SHAPE) -> Callable[..., None]:
    """square(pixels, table, planes, plane, channels): y = matrix x matrix^T for a square of pixels, for all channels.

    One side are pixels, number i at the address pixels + table[i], where the table stands for borders and strides;
    the other side are planes, number i at planes + i * plane.  gather: from pixels to planes, else back.
    Pixels have `channels` floats; planes have room for whole vectors.
    """
    rows, columns = len(matrix), len(matrix[0])
    names = ["pixels", "table", "planes", "plane", "channels"]

    @intrinsic
    def square(typing, pixels, table, planes, plane, channels):  # type: ignore[no-untyped-def]
        def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: Any) -> Any:
            arg, v = dict(zip(names, values, strict=True)), Vectors(b, shape)
            count = b.sdiv(b.add(arg["channels"], I64(v.lanes - 1)), I64(v.lanes))
            with cgutils.for_range(b, count) as loop:
                done = b.mul(loop.index, I64(v.lanes))
                left, shift = b.sub(arg["channels"], done), b.mul(done, I64(4))
                mask = v.below(left)
                with b.if_else(b.icmp_signed(">=", left, I64(v.lanes))) as (whole, part):
                    with whole:
                        emit(v, arg, shift, None)
                    with part:
                        emit(v, arg, shift, mask)
            return context.get_dummy_value()

        def emit(v: Vectors, arg: dict[str, ir.Value], shift: ir.Value, mask: ir.Value | None) -> None:
            b, sums = v.b, Sums(v)
            table = b.inttoptr(arg["table"], I64.as_pointer())
            pixels, planes = b.add(arg["pixels"], shift), b.add(arg["planes"], shift)
            pixel = lambda i: b.add(pixels, b.load(b.gep(table, [I64(i)])))  # noqa: E731
            plane = lambda i: b.add(planes, b.mul(arg["plane"], I64(i)))  # noqa: E731
            read = (lambda i: v.load(pixel(i), mask)) if gather else (lambda i: v.load(plane(i)))
            middle = [sums.apply(matrix, [read(i * columns + j) for i in range(columns)]) for j in range(columns)]
            for i in range(rows):
                for j, y in enumerate(sums.apply(matrix, [column[i] for column in middle])):
                    if gather:
                        v.store(y, plane(i * rows + j))
                    else:
                        v.store(y, pixel(i * rows + j), mask)

        return types.void(*[types.int64] * len(names)), codegen

    return square
