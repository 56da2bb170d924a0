"""One query of axial attention for a vector of lines, a line in each lane: no sum goes across a vector.

Tiles lie as [feature][position][lane]; of x the features are `half` queries, `half` keys and 2 `half` values; the
table has a row for each feature and a number for each distance i - j, from -(side - 1) on.  factors: what the three
terms of a score are multiplied by, then the gates of values and of their positions.

Written as LLVM IR: sums over keys and features stay in registers, where LLVM would unroll short loops over lanes into
single numbers.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils

from ..compiler import llvm_functions
from .exponentials import exp_below_zero
from .reductions import larger
from .vectors import I64, SHAPE, Vectors

A, B, C, OF_VALUES, OF_POSITIONS = range(5)  # of the factors


class Query(Vectors):
    """Writes what is done for query i of a tile; `arg` holds the LLVM values of the parameters by name."""

    def __init__(self, builder: ir.IRBuilder, arg: dict[str, ir.Value]) -> None:
        super().__init__(builder, SHAPE)
        self.arg, self.side, self.i = arg, arg["side"], arg["i"]
        last = builder.sub(self.side, I64(1))
        self.ends = builder.add(self.i, last), builder.sub(last, self.i)  # distances i - 0 and 0 - i in the table
        self.distances = builder.add(self.side, last)

    def place(self, name: str, row: ir.Value) -> ir.Value:
        """Return the address of a vector of a tile, counted in vectors."""
        return self.b.add(self.arg[name], self.b.mul(row, I64(self.item * self.lanes)))

    def at(self, name: str, f: ir.Value, j: ir.Value) -> ir.Value:
        """Return the address of feature f at position j of a tile."""
        return self.place(name, self.b.add(self.b.mul(f, self.side), j))

    def there(self, name: str, f: ir.Value, j: ir.Value) -> ir.Value:
        """Return the address of feature f at distance i - j of the table's sums."""
        return self.place(name, self.b.add(self.b.mul(f, self.distances), self.b.sub(self.ends[0], j)))

    def back(self, name: str, f: ir.Value, j: ir.Value) -> ir.Value:
        """Return the address of feature f at distance j - i of the table's sums."""
        return self.place(name, self.b.add(self.b.mul(f, self.distances), self.b.add(self.ends[1], j)))

    def of_table(self, f: ir.Value, distance: ir.Value) -> ir.Value:
        """Return a number of the table in all lanes."""
        b = self.b
        where = b.add(b.mul(f, self.distances), distance)
        address = b.add(self.arg["table"], b.mul(where, I64(self.item)))
        return self.splat(b.load(b.inttoptr(address, self.element.as_pointer())))

    def query_distance(self, f: ir.Value, j: ir.Value) -> ir.Value:
        """Return the table's feature f at distance i - j."""
        return self.of_table(f, self.b.sub(self.ends[0], j))

    def key_distance(self, f: ir.Value, j: ir.Value) -> ir.Value:
        """Return the table's feature f at distance j - i."""
        return self.of_table(f, self.b.add(self.ends[1], j))

    def factor(self, which: int) -> ir.Value:
        """Return a factor in all lanes."""
        address = self.b.add(self.arg["factors"], I64(self.item * which))
        return self.splat(self.b.load(self.b.inttoptr(address, self.element.as_pointer())))

    def add_to(self, address: ir.Value, x: ir.Value, y: ir.Value) -> None:
        """Add x y to the vector at an address."""
        self.store(self.multiply_add(x, y, self.load(address)), address)

    def sum(self, value: ir.Value | None = None) -> ir.Value:
        """Return a place for a sum, which begins with 0."""
        return cgutils.alloca_once_value(self.b, self.zero if value is None else value)

    def grow(self, slot: ir.Value, x: ir.Value, y: ir.Value) -> None:
        """Add x y to a sum."""
        self.b.store(self.multiply_add(x, y, self.b.load(slot)), slot)

    @contextmanager
    def each(self, count: ir.Value) -> Iterator[ir.Value]:
        """Repeat a block for 0, 1, ..., count - 1."""
        with cgutils.for_range(self.b, count) as loop:
            yield loop.index


def query(name: str, parameters: str, write: Callable[[Query, bool], None], positions: bool) -> Any:
    """Declare a function of what is done for a query, with the table of positions or without."""
    names = [*parameters.split(), "side", "half", "i"]
    return llvm_functions.function(
        f"axial_{name}{'' if positions else '_plain'}", names, lambda b, arg: write(Query(b, arg), positions)
    )


def write_weights(v: Query, positions: bool) -> None:
    """s[j] = e^(score - the largest), share = 1 / sum_j s[j]."""
    b, half = v.b, v.arg["half"]
    a, of_query, of_key = (v.factor(n) for n in (A, B, C))
    top, total = v.sum(ir.Constant(v.vector, [float(-np.inf)] * v.lanes)), v.sum()
    with v.each(v.side) as j:
        score = v.sum()
        with v.each(half) as f:
            g = b.add(half, f)
            q, k = v.load(v.at("x", f, v.i)), v.load(v.at("x", g, j))
            if positions:
                v.grow(score, q, v.multiply_add(a, k, b.fmul(of_query, v.query_distance(f, j))))
                v.grow(score, k, b.fmul(of_key, v.key_distance(g, j)))
            else:
                v.grow(score, q, b.fmul(a, k))
        found = b.load(score)
        v.store(found, v.place("s", j))
        b.store(larger(b, b.load(top), found), top)
    with v.each(v.side) as j:
        found = exp_below_zero(v, b.fsub(v.load(v.place("s", j)), b.load(top)))
        v.store(found, v.place("s", j))
        b.store(b.fadd(b.load(total), found), total)
    one = ir.Constant(v.vector, [1.0] * v.lanes)
    v.store(b.fdiv(one, b.load(total)), v.place("share", I64(0)))


def write_output(v: Query, positions: bool) -> None:
    """Set y at position i: gate share sum_j s[j] v_j of each feature, beside the same of its positions."""
    b, size = v.b, v.b.mul(I64(2), v.arg["half"])
    share = v.load(v.place("share", I64(0)))
    of_values, of_positions = b.fmul(share, v.factor(OF_VALUES)), b.fmul(share, v.factor(OF_POSITIONS))
    with v.each(size) as c:
        value, placed, g = v.sum(), v.sum(), b.add(size, c)
        with v.each(v.side) as j:
            w = v.load(v.place("s", j))
            v.grow(value, w, v.load(v.at("x", g, j)))
            if positions:
                v.grow(placed, w, v.query_distance(g, j))
        first = b.mul(I64(2), c) if positions else c
        v.store(b.fmul(of_values, b.load(value)), v.at("y", first, v.i))
        if positions:
            v.store(b.fmul(of_positions, b.load(placed)), v.at("y", b.add(first, I64(1)), v.i))


def write_score_gradients(v: Query, positions: bool) -> None:
    """Turn s into weights w = share s, and set ds = w (dw - sum_j w dw), dw their gradient; sums[2] += ds."""
    b, size = v.b, v.b.mul(I64(2), v.arg["half"])
    share, middle, rest = v.load(v.place("share", I64(0))), v.sum(), v.sum()
    of_values, of_positions = v.factor(OF_VALUES), v.factor(OF_POSITIONS)
    with v.each(v.side) as j:
        w, total = b.fmul(share, v.load(v.place("s", j))), v.sum()
        with v.each(size) as c:
            g, first = b.add(size, c), b.mul(I64(2), c) if positions else c
            v.grow(total, v.load(v.at("dy", first, v.i)), b.fmul(of_values, v.load(v.at("x", g, j))))
            if positions:
                second = v.load(v.at("dy", b.add(first, I64(1)), v.i))
                v.grow(total, second, b.fmul(of_positions, v.query_distance(g, j)))
        v.store(w, v.place("s", j))
        v.store(b.load(total), v.place("ds", j))
        v.grow(middle, w, b.load(total))
    with v.each(v.side) as j:
        row = v.place("ds", j)
        found = b.fmul(v.load(v.place("s", j)), b.fsub(v.load(row), b.load(middle)))
        v.store(found, row)
        b.store(b.fadd(b.load(rest), found), rest)
    left = v.place("sums", I64(2))
    v.store(b.fadd(v.load(left), b.load(rest)), left)


def write_term_gradients(v: Query, positions: bool) -> None:
    """Set dq at position i, add to dk and the table's sums; sums[0, 1] += ds u of the first two terms."""
    b, half = v.b, v.arg["half"]
    a, of_query, of_key = (v.factor(n) for n in (A, B, C))
    with v.each(half) as f:
        g, one, two = b.add(half, f), v.sum(), v.sum()
        q = v.load(v.at("x", f, v.i))
        scaled = b.fmul(a, q)
        with v.each(v.side) as j:
            ds, k = v.load(v.place("ds", j)), v.load(v.at("x", g, j))
            v.grow(one, ds, k)
            if positions:
                v.grow(two, ds, v.query_distance(f, j))
                v.add_to(v.at("dx", g, j), ds, v.multiply_add(of_key, v.key_distance(g, j), scaled))
                v.add_to(v.there("lanes", f, j), ds, q)
                v.add_to(v.back("lanes", g, j), ds, k)
            else:
                v.add_to(v.at("dx", g, j), ds, scaled)
        first, second = b.load(one), b.load(two)
        v.store(v.multiply_add(a, first, b.fmul(of_query, second)), v.at("dx", f, v.i))
        v.add_to(v.place("sums", I64(0)), q, first)
        v.add_to(v.place("sums", I64(1)), q, second)


def write_value_gradients(v: Query, positions: bool) -> None:
    """Add w dy to the values' gradients and to the table's sums, both before their gates."""
    b, size = v.b, v.b.mul(I64(2), v.arg["half"])
    with v.each(size) as c:
        g, first = b.add(size, c), b.mul(I64(2), c) if positions else c
        value = v.load(v.at("dy", first, v.i))
        placed = v.load(v.at("dy", b.add(first, I64(1)), v.i)) if positions else None
        with v.each(v.side) as j:
            w = v.load(v.place("s", j))
            v.add_to(v.at("dx", g, j), w, value)
            if positions:
                v.add_to(v.there("lanes", g, j), w, placed)


def both(name: str, parameters: str, write: Callable[[Query, bool], None]) -> tuple[Any, Any]:
    """Declare the function with positions and the one without."""
    return query(name, parameters, write, True), query(name, parameters, write, False)


weights, weights_plain = both("weights", "s share x table factors", write_weights)
output, output_plain = both("output", "y s share x table factors", write_output)
score_gradients, score_gradients_plain = both(
    "score_gradients", "s ds share sums x dy table factors", write_score_gradients
)
term_gradients, term_gradients_plain = both("term_gradients", "dx lanes sums x ds table factors", write_term_gradients)
value_gradients, value_gradients_plain = both("value_gradients", "dx lanes dy s", write_value_gradients)
