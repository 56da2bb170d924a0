"""Passes over memory with a formula per number: what normalisation and activations are made of.

    output[i, j] = f(input[i, j], ..., map[j], ...);   sum[j] = g(sum[j], input[i, j], ..., map[j], ...)

Numbers are taken in the order in which they lie, because strides keep the memory waiting; a strip of maps and sums, as
wide as one or several rows, stays in the L1 cache.  An output that no cache would hold until it is read again is
written by non-temporal stores: a line that is written whole need not be read first, a quarter to a third of the
traffic.

Written as LLVM IR, because LLVM does not choose a non-temporal store by itself and does not keep a strip's maps beside
several rows: batch norm's passes take 70 % of the time of Numba's loops over slices.
"""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from ..compiler.jit import serial
from .bf16_pack import I16, masked
from .bf16_pack import load as load_bits
from .partition import STRIP, piece
from .vectors import I32, I64, Shape, Vectors, address, over_channels, vector_function

Values = tuple[ir.Value, ...]
Formula = Callable[..., tuple[Values, Values]]  # (vectors, inputs, maps, sums) -> (outputs, sums)


class Pass(Vectors):
    """Writes one pass; `arg` holds the LLVM values of the parameters by name."""

    def __init__(
        self,
        builder: ir.IRBuilder,
        arg: dict[str, ir.Value],
        shape: Shape,
        names: Sequence[Sequence[str]],
        formula: Formula,
        packed: Sequence[str] = (),
    ) -> None:
        super().__init__(builder, shape)
        self.arg, self.formula, self.packed = arg, formula, packed
        self.inputs, self.outputs, self.maps, self.sums = names

    def emit(self) -> None:
        """Write the loop over strips; of the first and of the last there may be a part only."""
        b, size, phase, wide = self.b, *(self.arg[name] for name in ("size", "phase", "wide"))
        strips = b.sdiv(b.add(b.add(size, phase), b.sub(wide, I64(1))), wide)
        with cgutils.for_range(b, strips) as strip:
            origin = b.sub(b.mul(strip.index, wide), phase)
            begin = b.select(b.icmp_signed("<", origin, I64(0)), I64(0), origin)
            end = b.add(origin, wide)
            end = b.select(b.icmp_signed("<", end, size), end, size)
            column = b.mul(b.sub(begin, origin), I64(self.item))
            self.strip(b.mul(begin, I64(self.item)), column, b.sub(end, begin))
        with b.if_then(b.icmp_signed("!=", self.arg["nontemporal"], I64(0))):
            b.fence("seq_cst")  # without one another thread may read what was there before

    def strip(self, at: ir.Value, column: ir.Value, width: ir.Value) -> None:
        """Write the pass over `width` numbers from byte `at` on, which lie at byte `column` of the maps and sums."""
        b = self.b
        places = {name: b.add(self.arg[name], self.distance(name, at)) for name in (*self.inputs, *self.outputs)}
        for table, names in (("maps", self.maps), ("sums", self.sums)):
            first = b.add(self.arg[table], column)
            for n, name in enumerate(names):
                places[name] = b.add(first, b.mul(self.arg["wide"], I64(self.item * n)))
        nontemporal = b.icmp_signed("!=", self.arg["nontemporal"], I64(0))
        for name in self.outputs:
            last = I64((2 if name in self.packed else self.item) * self.lanes - 1)
            whole = b.icmp_signed("==", b.and_(places[name], last), I64(0))
            nontemporal = b.and_(nontemporal, whole)
        over_channels(self, width, lambda shift, mask: self.vector_at(places, shift, mask, nontemporal))

    def distance(self, name: str, at: ir.Value) -> ir.Value:
        """Return how many bytes an array has where numbers have `at`."""
        return self.b.ashr(at, I64(1)) if name in self.packed else at

    def vector_at(
        self, places: dict[str, ir.Value], shift: ir.Value, mask: ir.Value | None, nontemporal: ir.Value
    ) -> None:
        """Write the formula for one vector, `shift` bytes from every place."""
        b = self.b
        place = {name: b.add(first, self.distance(name, shift)) for name, first in places.items()}
        outputs, sums = self.formula(
            self,
            *(
                unpacked(self, place[name], mask) if name in self.packed else self.load(place[name], mask)
                for name in (*self.inputs, *self.maps, *self.sums)
            ),
        )
        for name, value in zip(self.outputs, outputs, strict=True):
            if name in self.packed:
                store_packed(self, value, place[name], mask, nontemporal)
                continue
            if mask is not None:
                self.store(value, place[name], mask)
                continue
            with b.if_else(nontemporal) as (bypassing, cached):
                with bypassing:
                    self.store_nontemporal(value, place[name])
                with cached:
                    self.store(value, place[name])
        for name, value in zip(self.sums, sums, strict=True):
            self.store(value, place[name], mask)


def unpacked(v: Vectors, at: ir.Value, mask: ir.Value | None) -> ir.Value:
    """Return the vector of float32 whose upper halves lie at an address, in two bytes each."""
    b, wide = v.b, ir.VectorType(I32, v.lanes)
    if mask is None:
        bits = b.load(b.inttoptr(at, ir.VectorType(I16, v.lanes).as_pointer()))
        bits.align = 2
    else:
        bits = load_bits(b, at, mask, v.lanes)
    return b.bitcast(b.shl(b.zext(bits, wide), ir.Constant(wide, [16] * v.lanes)), v.vector)


def store_packed(v: Vectors, value: ir.Value, at: ir.Value, mask: ir.Value | None, nontemporal: ir.Value) -> None:
    """Store the upper halves of a vector of float32, two bytes each."""
    b, wide, kind = v.b, ir.VectorType(I32, v.lanes), ir.VectorType(I16, v.lanes)
    bits = b.trunc(b.lshr(b.bitcast(value, wide), ir.Constant(wide, [16] * v.lanes)), kind)
    place = b.inttoptr(at, kind.as_pointer())
    if mask is not None:
        masked(b, f"llvm.masked.store.v{v.lanes}i16.p0", ir.VoidType(), bits, place, I32(2), mask)
        return
    with b.if_else(nontemporal) as (bypassing, cached):
        with bypassing:
            stored = b.store(bits, place)
            stored.align = 2 * v.lanes
            stored.set_metadata("nontemporal", b.module.add_metadata([I32(1)]))
        with cached:
            b.store(bits, place).align = 2


def row_pass(name: str, inputs: str, outputs: str, maps: str, sums: str, formula: Formula, packed: str = "") -> Any:
    """Declare a pass; Numba code calls it with (size, phase, wide, inputs, outputs, maps, sums, nontemporal).

    size numbers, the first of them in column `phase` of a strip of `wide`; then the addresses of the inputs and
    outputs, of the maps and of the sums, each a row of `wide`; nontemporal: outputs bypass the caches.  packed: which
    inputs and outputs hold numbers of bfloat16 in two bytes each; those that are written are rounded already.
    """
    names = [inputs.split(), outputs.split(), maps.split(), sums.split()]
    parameters = ["size", "phase", "wide", *names[0], *names[1], "maps", "sums", "nontemporal"]

    def emit(b: ir.IRBuilder, arg: dict[str, ir.Value], shape: Shape) -> None:
        Pass(b, arg, shape, names, formula, packed.split()).emit()

    return vector_function(f"pass_{name}", parameters, emit)


def elementwise(name: str, inputs: str, formula: Callable[..., ir.Value], constants: str = "") -> Any:
    """Declare the pass y = formula(inputs, constants) over arrays of one shape, for the body of a kernel's loop.

        for t in prange(pieces(y)):
            relu(t, y, x)

    It takes the number of a piece, the output, one or two inputs, and an array with a strip for each constant, if any.
    """
    run = row_pass(name, inputs, "output", constants, "", lambda v, *args: ((formula(v, *args),), ()))

    @serial
    def of_one(t: Any, y: Any, x: Any) -> None:
        at, size, nontemporal = piece(t, y)
        run(size, 0, STRIP, address(x) + at, address(y) + at, 0, 0, nontemporal)

    @serial
    def of_two(t: Any, y: Any, a: Any, b: Any) -> None:
        at, size, nontemporal = piece(t, y)
        run(size, 0, STRIP, address(a) + at, address(b) + at, address(y) + at, 0, 0, nontemporal)

    @serial
    def of_one_and_constants(t: Any, y: Any, x: Any, strips: Any) -> None:
        at, size, nontemporal = piece(t, y)
        run(size, 0, STRIP, address(x) + at, address(y) + at, address(strips), 0, nontemporal)

    @serial
    def of_two_and_constants(t: Any, y: Any, a: Any, b: Any, strips: Any) -> None:
        at, size, nontemporal = piece(t, y)
        run(size, 0, STRIP, address(a) + at, address(b) + at, address(y) + at, address(strips), 0, nontemporal)

    if constants:
        return of_one_and_constants if len(inputs.split()) == 1 else of_two_and_constants
    return of_one if len(inputs.split()) == 1 else of_two


# ------------------------------------------------------------------------------------------------- formulas


def above_zero(v: Vectors, value: ir.Value) -> ir.Value:
    """max(value, 0), NaN staying NaN."""
    return v.b.select(v.b.fcmp_ordered("<=", value, v.zero), v.zero, value)


def where_above(v: Vectors, value: ir.Value, y: ir.Value) -> ir.Value:
    """value where y > 0 or NaN, else 0."""
    return v.b.select(v.b.fcmp_unordered(">", y, v.zero), value, v.zero)


def affine(v: Vectors, x: ir.Value, mean: ir.Value, scale: ir.Value, shift: ir.Value) -> ir.Value:
    """(x - mean) scale + shift"""
    return v.multiply_add(v.b.fsub(x, mean), scale, shift)


def gradient(v: Vectors, dy: ir.Value, x: ir.Value, a: ir.Value, b: ir.Value, d: ir.Value, mean: ir.Value) -> ir.Value:
    """Return a dy + b (x - mean) + d."""
    return v.multiply_add(a, dy, affine(v, x, mean, b, d))


def products(v: Vectors, g: ir.Value, x: ir.Value, mean: ir.Value, s: ir.Value, q: ir.Value) -> Values:
    """s + g, q + g (x - mean)"""
    return v.b.fadd(s, g), v.multiply_add(g, v.b.fsub(x, mean), q)


AFFINE, GRADIENT = "mean scale shift", "a b d mean"

pass_deviations = row_pass(
    "deviations", "x", "", "mean", "s q", lambda v, x, mean, s, q: ((), products(v, v.b.fsub(x, mean), x, mean, s, q))
)
pass_products = row_pass(
    "products", "dy x", "", "mean", "s q", lambda v, dy, x, mean, s, q: ((), products(v, dy, x, mean, s, q))
)
pass_affine = row_pass("affine", "x", "y", AFFINE, "", lambda v, *args: ((affine(v, *args),), ()))
pass_affine_relu = row_pass(
    "affine_relu", "x", "y", AFFINE, "", lambda v, *args: ((above_zero(v, affine(v, *args)),), ())
)
pass_affine_add_relu = row_pass(
    "affine_add_relu",
    "x z",
    "y",
    AFFINE,
    "",
    lambda v, x, z, *map: ((above_zero(v, v.b.fadd(affine(v, x, *map), z)),), ()),
)
pass_gradient = row_pass("gradient", "dy x", "dx", GRADIENT, "", lambda v, *args: ((gradient(v, *args),), ()))
pass_scale = row_pass("scale", "dy", "dx", "a", "", lambda v, dy, a: ((v.b.fmul(dy, a),), ()))


def relu_products(v: Vectors, dy: ir.Value, y: ir.Value, x: ir.Value, *rest: ir.Value) -> tuple[Values, Values]:
    """g = dy where y > 0, else 0; the sums of g and g (x - mean)."""
    g = where_above(v, dy, y)
    return (g,), products(v, g, x, *rest)


pass_relu_products = row_pass("relu_products", "dy y x", "g", "mean", "s q", relu_products)
pass_add_relu_products = row_pass(
    "add_relu_products",
    "da db y x",
    "g",
    "mean",
    "s q",
    lambda v, da, db, *rest: relu_products(v, v.b.fadd(da, db), *rest),
)


def masked_products(
    v: Vectors, dy: ir.Value, x: ir.Value, center: ir.Value, scale: ir.Value, shift: ir.Value, *rest: ir.Value
) -> tuple[Values, Values]:
    """Return the sums of g and g (x - mean), g = dy where (x - center) scale + shift > 0, else 0."""
    return (), products(v, where_above(v, dy, affine(v, x, center, scale, shift)), x, *rest)


def masked_gradient(
    v: Vectors, dy: ir.Value, x: ir.Value, center: ir.Value, scale: ir.Value, shift: ir.Value, *map: ir.Value
) -> tuple[Values, Values]:
    """Return the gradient from dy where (x - center) scale + shift > 0, else from 0."""
    return (gradient(v, where_above(v, dy, affine(v, x, center, scale, shift)), x, *map),), ()


def masked_scale(
    v: Vectors, dy: ir.Value, x: ir.Value, center: ir.Value, scale: ir.Value, shift: ir.Value, a: ir.Value
) -> tuple[Values, Values]:
    """Return a dy where (x - center) scale + shift > 0, else 0."""
    return (v.b.fmul(where_above(v, dy, affine(v, x, center, scale, shift)), a),), ()


MASK = "center scale shift"
pass_masked_products = row_pass("masked_products", "dy x", "", f"{MASK} mean", "s q", masked_products)
pass_masked_gradient = row_pass("masked_gradient", "dy x", "dx", f"{MASK} {GRADIENT}", "", masked_gradient)
pass_masked_scale = row_pass("masked_scale", "dy x", "dx", f"{MASK} a", "", masked_scale)


def gradient_relu(v: Vectors, dy: ir.Value, x: ir.Value, *rest: ir.Value) -> tuple[Values, Values]:
    """Return the gradient where x > 0, else 0, and its sum."""
    *map, s = rest
    g = where_above(v, gradient(v, dy, x, *map), x)
    return (g,), (v.b.fadd(s, g),)


def scale_relu(v: Vectors, dy: ir.Value, x: ir.Value, a: ir.Value, s: ir.Value) -> tuple[Values, Values]:
    """Return a dy where x > 0, else 0, and its sum."""
    g = where_above(v, v.b.fmul(dy, a), x)
    return (g,), (v.b.fadd(s, g),)


pass_scale_relu = row_pass("scale_relu", "dy x", "dx", "a", "s", scale_relu)
pass_gradient_relu = row_pass("gradient_relu", "dy x", "dx", GRADIENT, "s", gradient_relu)
