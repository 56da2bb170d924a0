"""The transforms of Winograd's convolution: matrices from their points, and the code that applies them to vectors.

F(m, 3) gets m outputs of a 3-tap filter from m + 2 products: seen as polynomials, signal and filter are evaluated at m
+ 1 points and at infinity, multiplied there, and the product is interpolated (Toom 1963, Cook 1966, Winograd 1980; for
CNNs Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", 2016).  In two dimensions F(m x m, 3 x 3) is  y
= A^T [ (G w G^T) * (B^T x B) ] A  with an elementwise product of (m + 2)^2 numbers.

Written as LLVM IR: the sums that pairs of rows have in common, and 36 vectors that stay in registers, are not found by
LLVM.  The code below the matrices is for writers of kernels: `Steps` and `opaque` keep LLVM's register allocator from
spilling addresses.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from fractions import Fraction
from functools import reduce
from typing import Any, NamedTuple

from llvmlite import ir
from numba.core import cgutils

from .pool_windows import largest
from .vectors import I64, Shape, Vectors, vector_function

Matrix = list[list[Fraction]]
Body = Callable[[ir.Value, ir.Value | None], None]
POINTS = {2: (0, 1, -1), 4: (0, 1, -1, 2, -2)}  # small, and in pairs p, -p that share their sums; infinity comes last


class Matrices(NamedTuple):
    """signal B^T (m+2, m+2), filter G (m+2, 3), inverse A^T (m, m+2), exact."""

    signal: Matrix
    filter: Matrix
    inverse: Matrix


def winograd_matrices(points: Sequence[int], taps: int = 3) -> Matrices:
    """Return the matrices of F(m, taps) from m + taps - 2 points.

    A^T[i][j] = p_j^i,  G[j][k] = p_j^k / prod_{l != j} (p_j - p_l), and row j of B^T holds the coefficients of prod_{l
    != j} (x - p_l).  At infinity only the highest power counts.
    """
    p, n = [Fraction(v) for v in points], len(points) + 1
    outputs = n + 1 - taps
    last = [Fraction(0)] * (n - 1) + [Fraction(1)]
    others = [[q for l, q in enumerate(p) if l != j] for j in range(n - 1)]
    signal = [[*product(roots), Fraction(0)] for roots in others] + [product(p)]
    weights = [[v**k / value(product(roots), v) for k in range(taps)] for v, roots in zip(p, others, strict=True)]
    inverse = [[v**i for v in p] + [Fraction(i == outputs - 1)] for i in range(outputs)]
    return Matrices(signal, [*weights, last[-taps:]], inverse)


def product(roots: Sequence[Fraction]) -> list[Fraction]:
    """Return the coefficients of the product of (x - root), from the constant upwards."""
    c = [Fraction(1)]
    for root in roots:
        c = [a - root * b for a, b in zip([Fraction(0), *c], [*c, Fraction(0)], strict=True)]
    return c


def value(coefficients: Sequence[Fraction], x: Fraction) -> Fraction:
    """Return the polynomial's value at x."""
    return sum((c * x**k for k, c in enumerate(coefficients)), Fraction(0))


MATRICES = {m: winograd_matrices(points) for m, points in POINTS.items()}


def transposed(matrix: Matrix) -> Matrix:
    """Return a matrix with its rows as columns."""
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
        """Return (factor, vector) of a sum, its smallest factor taken out."""
        (factor, total), *rest = sorted(terms, key=lambda t: abs(t[0]))
        for f, x in rest:
            total = self.plus(total, f / factor, x)
        return factor, total

    def apply(self, matrix: Matrix, x: list[ir.Value]) -> list[ir.Value]:
        """Return matrix times x."""
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
        """Return the sum of each row's terms; of a mirrored pair of rows, (same + opposite) and (same - opposite)."""
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
    """Return pairs of rows, both ways, that differ in nothing but some signs, and agree in others."""
    pair: dict[int, int] = {}
    for i, row in enumerate(rows):
        for j in range(i):
            equal = [a == b for a, b in zip(row, rows[j], strict=True) if a]
            alike = [abs(a) for a in row] == [abs(a) for a in rows[j]]
            if i not in pair and j not in pair and alike and any(equal) and not all(equal):
                pair[i], pair[j] = j, i
    return pair


PARAMETERS = ["image", "h", "w", "pixel", "outside", "i", "j", "planes", "plane", "channels"]


def emitter(
    matrix: Matrix, gather: bool, parity: int | None = None, nontemporal: bool = False, rounds: bool = False
) -> Callable[[ir.IRBuilder, dict[str, ir.Value], Shape], None]:
    """Return the writer of y = matrix x matrix^T for a square of pixels x, for all channels.

    One side is the square of pixels whose first is (i, j) in an image of h x w, `pixel` bytes apart.  Read, pixels that
    are not in the image are zeros, of which a row of the square lies at `outside`; written, they are left out.  The
    other side is planes: number q of the square at planes + q * plane.  gather: from pixels to planes, else back.  A
    pixel has `channels` floats; planes have room for whole vectors.

    With a parity the image is one of pooled pixels, rounded if so asked: see Windows.  nontemporal: planes bypass the
    caches; they lie on whole vectors.
    """

    def emit(b: ir.IRBuilder, arg: dict[str, ir.Value], shape: Shape) -> None:
        v, rows, columns = Vectors(b, shape), len(matrix), len(matrix[0])
        size = columns if gather else rows
        image = Pixels(v, arg, size) if parity is None else Windows(v, arg, size, parity, rounds)
        planes = Planes(v, arg, rows if gather else columns, nontemporal)

        def body(shift: ir.Value, mask: ir.Value | None) -> None:
            image.begin(shift, mask)
            planes.begin(shift)
            square(Sums(v), matrix, gather, image, planes)

        over_vectors(v, arg["channels"], image.inside, body)

    return emit


def square(sums: "Sums", matrix: Matrix, gather: bool, image: "Pixels", planes: "Planes") -> None:
    """Write one vector of channels: each row of pixels is touched once, and so is each column of planes."""
    rows, columns = len(matrix), len(matrix[0])
    if gather:
        lines = [sums.apply(matrix, image.read(r)) for r in range(columns)]
        for s in range(rows):
            planes.write(s, sums.apply(matrix, [line[s] for line in lines]))
    else:
        lines = [sums.apply(matrix, planes.read(s)) for s in range(columns)]
        for r in range(rows):
            image.write(r, sums.apply(matrix, [line[r] for line in lines]))


def over_vectors(v: Vectors, channels: ir.Value, inside: ir.Value, body: Body) -> None:
    """Call body(bytes from the first channel, mask) for each vector of channels.

    There is no mask for a whole vector of a square inside the image.
    """
    b = v.b
    with cgutils.for_range(b, b.sdiv(b.add(channels, I64(v.lanes - 1)), I64(v.lanes))) as loop:
        done = b.mul(loop.index, I64(v.lanes))
        left, shift = b.sub(channels, done), b.mul(done, I64(v.item))
        mask = v.below(left)
        with b.if_else(b.and_(inside, b.icmp_signed(">=", left, I64(v.lanes)))) as (whole, part):
            with whole:
                body(shift, None)
            with part:
                body(shift, mask)


class Steps:
    """Addresses at + n * distance for n < count, from few registers: the processor adds, and doubles, as it reads.

    Left alone, LLVM computes all addresses of a square before the loop over channels, and reads them from the stack.
    """

    def __init__(self, b: ir.IRBuilder, distance: ir.Value, count: int) -> None:
        self.b = b
        self.odd = {n: b.mul(distance, I64(n)) for n in range(1, count, 2)}

    def begin(self) -> None:
        """Start a step of the loop."""
        self.here = {n: opaque(self.b, distance) for n, distance in self.odd.items()}

    def at(self, start: ir.Value, n: int) -> ir.Value:
        if n == 0:
            return start
        twos = (n & -n).bit_length() - 1
        return self.b.add(start, self.b.shl(self.here[n >> twos], I64(twos)))


def opaque(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """Return x as a value that LLVM knows nothing about, so that it does not move what is computed from it.

    It passes through an empty line of assembly.
    """
    return b.asm(ir.FunctionType(I64, [I64]), "", "=r,0", [x], False)


class Planes:
    """The numbers of a square, n x n planes, one vector of channels at a time and column by column."""

    def __init__(self, v: Vectors, arg: dict[str, ir.Value], n: int, nontemporal: bool) -> None:
        self.v, self.b, self.arg, self.n = v, v.b, arg, n
        self.put = v.store_nontemporal if nontemporal else v.store
        self.steps = Steps(v.b, v.b.mul(arg["plane"], I64(n)), n)

    def begin(self, shift: ir.Value) -> None:
        """Take channels from `shift` bytes on."""
        self.steps.begin()
        self.next = self.b.add(self.arg["planes"], shift)

    def column(self, s: int) -> list[ir.Value]:
        """Return the addresses of column s; columns come in order."""
        start = self.next = opaque(self.b, self.b.add(self.next, self.arg["plane"]) if s else self.next)
        return [self.steps.at(start, r) for r in range(self.n)]

    def read(self, s: int) -> list[ir.Value]:
        return [self.v.load(at) for at in self.column(s)]

    def write(self, s: int, y: list[ir.Value]) -> None:
        for at, value in zip(self.column(s), y, strict=True):
            self.put(value, at)


class Pixels:
    """A square of pixels of an image, one vector of channels at a time and row by row."""

    def __init__(self, v: Vectors, arg: dict[str, ir.Value], size: int) -> None:
        self.v, self.b, self.arg, b = v, v.b, arg, v.b
        self.rows, self.columns = (
            [b.icmp_unsigned("<", b.add(arg[first], I64(n)), arg[length]) for n in range(size)]  # -1 is a large number
            for first, length in (("i", "h"), ("j", "w"))
        )
        self.inside = reduce(b.and_, (self.rows[0], self.rows[-1], self.columns[0], self.columns[-1]))
        self.row = b.mul(arg["w"], arg["pixel"])
        self.first = b.add(b.mul(arg["i"], self.row), b.mul(arg["j"], arg["pixel"]))
        self.steps = Steps(b, arg["pixel"], size)

    def begin(self, shift: ir.Value, mask: ir.Value | None) -> None:
        """Take channels from `shift` bytes on."""
        self.shift, self.border, self.next = shift, mask is not None, self.b.add(self.first, shift)
        self.masks = [mask and self.b.and_(mask, self.v.splat(valid)) for valid in self.columns]
        self.steps.begin()

    def start(self, r: int) -> ir.Value:
        """Return the offset of the first pixel of row r; rows come in order."""
        self.next = opaque(self.b, self.b.add(self.next, self.row) if r else self.next)
        return self.next

    def source(self, image: str, r: int, offset: ir.Value, shift: ir.Value) -> ir.Value:
        """Return the address of the first pixel of row r to read; `outside` where there is no such row."""
        b, at = self.b, self.b.add(self.arg[image], offset)
        return b.select(self.rows[r], at, b.add(self.arg["outside"], shift)) if self.border else at

    def read(self, r: int) -> list[ir.Value]:
        """Return row r of the square."""
        at = self.source("image", r, self.start(r), self.shift)
        return [self.v.load(self.steps.at(at, s), mask) for s, mask in enumerate(self.masks)]

    def write(self, r: int, y: list[ir.Value]) -> None:
        """Write row r of the square, if the image has it."""
        at = self.b.add(self.arg["image"], self.start(r))
        with self.b.if_then(self.rows[r]) if self.border else nullcontext():
            for s, (value, mask) in enumerate(zip(y, self.masks, strict=True)):
                self.v.store(value, self.steps.at(at, s), mask)


class Windows(Pixels):
    """The same square where the image holds, for each 2 x 2 window, a pooled value and its argmax (a byte).

    (i, j) is the first window and h x w the size in windows; the square begins at pixel `parity`, 0 or 1, of it, down
    and across.  Read, a pixel is the pooled value if it is the argmax and 0 else: the gradient before max-pooling.
    Written, the four pixels of a window, rounded to bfloat16 if it `rounds`, become the largest of their ReLU and its
    argmax.
    """

    def __init__(self, v: Vectors, arg: dict[str, ir.Value], size: int, parity: int, rounds: bool) -> None:
        self.size, self.parity, self.rounds = size, parity, rounds
        super().__init__(v, arg, (size + parity + 1) // 2)
        self.quarter = Steps(self.b, self.bytes(arg["pixel"]), len(self.columns))  # a byte for each float

    def bytes(self, of_numbers: ir.Value) -> ir.Value:
        """Return how many bytes an argmax has where numbers have so many."""
        return self.b.ashr(of_numbers, I64(self.v.item.bit_length() - 1))

    def begin(self, shift: ir.Value, mask: ir.Value | None) -> None:
        super().begin(shift, mask)
        self.quarter.begin()
        self.seen = -1
        self.above: list[ir.Value] = []

    def read(self, r: int) -> list[ir.Value]:
        down, below = divmod(r + self.parity, 2)
        if down != self.seen:
            self.seen, offset = down, self.start(down)
            value = self.source("image", down, offset, self.shift)
            argmax = self.source("index", down, self.bytes(offset), self.bytes(self.shift))
            self.pairs = [
                (
                    self.v.load(self.steps.at(value, s), mask),
                    self.v.load(self.quarter.at(argmax, s), mask, self.v.bytes),
                )
                for s, mask in enumerate(self.masks)
            ]
        pixels = []
        for s in range(self.size):
            across, right = divmod(s + self.parity, 2)
            value, argmax = self.pairs[across]
            chosen = self.b.icmp_signed("==", argmax, self.v.byte(2 * below + right))
            pixels.append(self.b.select(chosen, value, self.v.zero))
        return pixels

    def write(self, r: int, y: list[ir.Value]) -> None:
        if r % 2 == 0:
            self.above = y
            return
        offset = self.start(r // 2)
        value, argmax = (
            self.b.add(self.arg[name], at) for name, at in (("image", offset), ("index", self.bytes(offset)))
        )
        with self.b.if_then(self.rows[r // 2]) if self.border else nullcontext():
            for s, mask in enumerate(self.masks):
                four = [*self.above[2 * s : 2 * s + 2], *y[2 * s : 2 * s + 2]]
                best, first = largest(self.v, four, self.rounds)
                self.v.store(best, self.steps.at(value, s), mask)
                self.v.store(first, self.quarter.at(argmax, s), mask)


def transform(
    name: str,
    matrix: Matrix,
    gather: bool,
    parity: int | None = None,
    nontemporal: bool = False,
    rounds: bool = False,
) -> Any:
    """Declare the function name(image, h, w, pixel, outside, i, j, planes, plane, channels) for Numba code.

    With a parity it takes, last, the address of the argmax of `image`.
    """
    parameters = PARAMETERS if parity is None else [*PARAMETERS, "index"]
    return vector_function(name, parameters, emitter(matrix, gather, parity, nontemporal, rounds))
