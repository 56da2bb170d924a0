"""The transforms of Winograd's convolution: matrices from their points, and the code that applies them to vectors.

F(m, 3) gets m outputs of a 3-tap filter from m + 2 products: seen as polynomials, signal and filter are evaluated at
m + 1 points and at infinity, multiplied there, and the product is interpolated (Toom 1963, Cook 1966, Winograd 1980;
for CNNs Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", 2016).  In two dimensions
F(m x m, 3 x 3) is  y = A^T [ (G w G^T) * (B^T x B) ] A  with an elementwise product of (m + 2)^2 numbers.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from llvmlite import ir

from . import generated
from .microkernel import I64, SHAPE, Shape, Vectors, over_channels
from .windows import largest

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
    """The polynomial's value at x."""
    return sum((c * x**k for k, c in enumerate(coefficients)), Fraction(0))


MATRICES = {m: winograd_matrices(points) for m, points in POINTS.items()}


def transposed(matrix: Matrix) -> Matrix:
    """Rows as columns."""
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


PARAMETERS = ["image", "h", "w", "pixel", "outside", "i", "j", "planes", "plane", "channels"]


def emitter(matrix: Matrix, gather: bool, parity: int | None = None, shape: Shape = SHAPE) -> generated.Emit:
    """What writes y = matrix x matrix^T for a square of pixels x, for all channels.

    One side is the square of pixels whose first is (i, j) in an image of h x w, `pixel` bytes apart; for pixels that
    are not in the image stands the one at `outside`: zeros to read, waste to write.  The other side is planes: number
    q of the square at planes + q * plane.  gather: from pixels to planes, else back.
    A pixel has `channels` floats; planes have room for whole vectors.
    With a parity the image is one of pooled pixels: see Windows.
    """

    def emit(b: ir.IRBuilder, arg: dict[str, ir.Value]) -> None:
        v = Vectors(b, shape)
        size = len(matrix[0]) if gather else len(matrix)
        image = Pixels(v, arg, size) if parity is None else Windows(v, arg, size, parity)
        over_channels(v, arg["channels"], lambda shift, mask: square(v, matrix, gather, image, arg, shift, mask))

    return emit


def square(v: Vectors, matrix: Matrix, gather: bool, image: "Pixels", arg: dict[str, ir.Value],
           shift: ir.Value, mask: ir.Value | None) -> None:  # fmt: skip
    """One vector of channels, `shift` bytes from the first: columns, then rows."""
    b, sums, (rows, columns) = v.b, Sums(v), (len(matrix), len(matrix[0]))
    planes = b.add(arg["planes"], shift)
    plane = lambda q: b.add(planes, b.mul(arg["plane"], I64(q)))  # noqa: E731
    image.begin(shift, mask)
    read = image.read if gather else (lambda r, s: v.load(plane(r * columns + s)))
    middle = [sums.apply(matrix, [read(r, s) for r in range(columns)]) for s in range(columns)]
    for r in range(rows):
        for s, y in enumerate(sums.apply(matrix, [column[r] for column in middle])):
            if gather:
                v.store(y, plane(r * rows + s))
            else:
                image.write(r, s, y)


class Pixels:
    """A square of pixels of an image, one vector of channels at a time."""

    index = False  # whether places have a second address, among the winners

    def __init__(self, v: Vectors, arg: dict[str, ir.Value], size: int) -> None:
        self.v, self.b, self.arg = v, v.b, arg
        self.places = self.located(size)

    def begin(self, shift: ir.Value, mask: ir.Value | None) -> None:
        """From here on, channels from `shift` bytes on."""
        self.shift, self.mask = shift, mask

    def located(self, size: int) -> dict[tuple[int, int], tuple[ir.Value, ...]]:
        """Addresses of size x size places from (i, j); `outside` for those beyond the image."""
        b, arg = self.b, self.arg

        def along(first: str, length: str) -> list[tuple[ir.Value, ir.Value]]:
            at = [b.add(arg[first], I64(r)) for r in range(size)]
            return [(a, b.icmp_unsigned("<", a, arg[length])) for a in at]  # a negative number is a large one

        found: dict[tuple[int, int], tuple[ir.Value, ...]] = {}
        row = b.mul(arg["w"], arg["pixel"])
        for r, (i, inside) in enumerate(along("i", "h")):
            start = b.mul(i, row)
            for s, (j, within) in enumerate(along("j", "w")):
                offset, here = b.add(start, b.mul(j, arg["pixel"])), b.and_(inside, within)
                found[r, s] = (b.select(here, b.add(arg["image"], offset), arg["outside"]),)
                if self.index:  # a byte for each float
                    winner = b.add(arg["index"], b.sdiv(offset, I64(4)))
                    found[r, s] += (b.select(here, winner, arg["outside"]),)
        return found

    def read(self, r: int, s: int) -> ir.Value:
        return self.v.load(self.b.add(self.places[r, s][0], self.shift), self.mask)

    def write(self, r: int, s: int, y: ir.Value) -> None:
        self.v.store(y, self.b.add(self.places[r, s][0], self.shift), self.mask)


class Windows(Pixels):
    """The same square where the image holds, for each 2 x 2 window, a pooled value and which pixel won (a byte).

    (i, j) is the first window and h x w the size in windows; the square begins at pixel `parity`, 0 or 1, of it, down
    and across.  Read, a pixel is the pooled value if it won and 0 else: the gradient before max-pooling.  Written, the
    four pixels of a window become the largest of their ReLU and its place.
    """

    index = True

    def __init__(self, v: Vectors, arg: dict[str, ir.Value], size: int, parity: int) -> None:
        self.parity = parity
        super().__init__(v, arg, (size + parity + 1) // 2)

    def begin(self, shift: ir.Value, mask: ir.Value | None) -> None:
        super().begin(shift, mask)
        self.seen: dict[tuple[int, int], Any] = {}

    def window(self, r: int, s: int) -> tuple[tuple[int, int], int]:
        """Which window a pixel is in, and its number there."""
        (down, below), (across, right) = divmod(r + self.parity, 2), divmod(s + self.parity, 2)
        return (down, across), 2 * below + right

    def addresses(self, window: tuple[int, int]) -> tuple[ir.Value, ir.Value]:
        """Of the pooled values and of the winners."""
        value, winner = self.places[window]
        return self.b.add(value, self.shift), self.b.add(winner, self.b.sdiv(self.shift, I64(4)))

    def read(self, r: int, s: int) -> ir.Value:
        window, number = self.window(r, s)
        if window not in self.seen:
            value, winner = self.addresses(window)
            self.seen[window] = self.v.load(value, self.mask), self.v.load(winner, self.mask, self.v.bytes)
        value, winner = self.seen[window]
        return self.b.select(self.b.icmp_signed("==", winner, self.v.byte(number)), value, self.v.zero)

    def write(self, r: int, s: int, y: ir.Value) -> None:
        window, number = self.window(r, s)
        pixels = self.seen.setdefault(window, {})
        pixels[number] = y
        if len(pixels) == 4:
            best, first = largest(self.v, [pixels[q] for q in range(4)])
            value, winner = self.addresses(window)
            self.v.store(best, value, self.mask)
            self.v.store(first, winner, self.mask)


def transform(name: str, matrix: Matrix, gather: bool, parity: int | None = None) -> Any:
    """The function name(image, h, w, pixel, outside, i, j, planes, plane, channels) for Numba code.

    With a parity it takes, last, the address of the winners of `image`.
    """
    parameters = PARAMETERS if parity is None else [*PARAMETERS, "index"]
    return generated.function(name, parameters, emitter(matrix, gather, parity))
