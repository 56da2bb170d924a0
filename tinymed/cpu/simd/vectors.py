"""Writing vector instructions: the processor's vectors, loads and stores with masks, and addresses of arrays."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..compiler import elements, llvm_functions
from ..compiler.isa import features
from ..compiler.jit import serial

F32, F64, I32, I64 = ir.FloatType(), ir.DoubleType(), ir.IntType(32), llvm_functions.I64


@dataclass(frozen=True)
class Shape:
    """Size of the register tile: `rows` x (`vectors` of `lanes` floats), of float32 or `double`.

    fma: the processor fuses multiply and add.  channelwise: column n reads its own x, x[... + 4*n], instead of one for
    all columns: a matrix times a vector.  whole: there are as many columns as the tile has, and no masks.  nontemporal:
    y bypasses the caches; its rows lie on whole vectors.
    """

    rows: int
    vectors: int
    lanes: int
    fma: bool
    channelwise: bool = False
    whole: bool = False
    nontemporal: bool = False
    double: bool = False


def host_shape() -> Shape:
    """Return the tile that fills this processor's vector registers: accumulators, a row of w, one broadcast x.

    AVX-512 has 32 registers of 16 floats (16 + 2 + 1 used), AVX2 16 of 8 (12 + 2 + 1), SSE 16 of 4 and NEON 32 of 4.
    """
    has = features()
    if "avx512f" in has:
        return Shape(rows=8, vectors=2, lanes=16, fma=True)
    if {"avx2", "fma"} <= has:
        return Shape(rows=6, vectors=2, lanes=8, fma=True)
    return Shape(rows=4, vectors=2, lanes=4, fma="neon" in has or "fma" in has)


class Vectors:
    """Writes vector instructions into a function being compiled; addresses are integers."""

    def __init__(self, builder: ir.IRBuilder, shape: Shape) -> None:
        self.b, self.lanes, self.fma = builder, shape.lanes, shape.fma
        self.element, self.item = (F64, 8) if shape.double else (F32, 4)  # its type, and how many bytes it has
        self.vector, self.bytes = ir.VectorType(self.element, shape.lanes), ir.VectorType(ir.IntType(8), shape.lanes)
        self.zero = ir.Constant(self.vector, None)

    def call(self, name: str, result: ir.Type, *args: ir.Value) -> ir.Value:
        kind = ir.FunctionType(result, [a.type for a in args])
        return self.b.call(cgutils.get_or_insert_function(self.b.module, kind, name), args)

    def splat(self, value: ir.Value, lanes: int = 0) -> ir.Value:
        """Return a vector with `value` in every lane, as many as a register has or `lanes`: one instruction."""
        lanes = lanes or self.lanes
        undefined = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
        lane0 = self.b.insert_element(undefined, value, I32(0))
        return self.b.shuffle_vector(lane0, undefined, ir.Constant(ir.VectorType(I32, lanes), None))

    def byte(self, value: int) -> ir.Value:
        """Return a vector of bytes with `value` in every lane."""
        return ir.Constant(self.bytes, [value] * self.lanes)

    def below(self, count: ir.Value) -> ir.Value:
        """Return the mask of the first `count` lanes."""
        every = ir.Constant(ir.VectorType(I64, self.lanes), list(range(self.lanes)))
        return self.b.icmp_signed("<", every, self.splat(count))

    def load(self, address: ir.Value, mask: ir.Value | None = None, kind: ir.Type | None = None) -> ir.Value:
        """Return the vector at `address`, of floats or of `kind`; lanes outside a mask are 0 and not touched."""
        kind = kind or self.vector
        pointer = self.b.inttoptr(address, kind.as_pointer())
        if mask is None:
            value = self.b.load(pointer)
            value.align = self.size(kind)
            return value
        none = ir.Constant(kind, None)
        return self.call(f"llvm.masked.load.{self.suffix(kind)}.p0", kind, pointer, I32(self.size(kind)), mask, none)

    def store(self, value: ir.Value, address: ir.Value, mask: ir.Value | None = None) -> None:
        kind = value.type
        pointer = self.b.inttoptr(address, kind.as_pointer())
        if mask is None:
            self.b.store(value, pointer).align = self.size(kind)
        else:
            name = f"llvm.masked.store.{self.suffix(kind)}.p0"
            self.call(name, ir.VoidType(), value, pointer, I32(self.size(kind)), mask)

    def store_nontemporal(self, value: ir.Value, address: ir.Value) -> None:
        """Store a vector, bypassing the caches; the address is a multiple of its size."""
        instruction = self.b.store(value, self.b.inttoptr(address, value.type.as_pointer()))
        instruction.align = self.lanes * self.size(value.type)
        instruction.set_metadata("nontemporal", self.b.module.add_metadata([I32(1)]))

    def size(self, kind: ir.Type) -> int:
        """Return the bytes of an element."""
        return self.item if kind == self.vector else 1

    def suffix(self, kind: ir.Type) -> str:
        """Return how LLVM's intrinsics name a vector."""
        return f"v{self.lanes}{f'f{8 * self.item}' if kind == self.vector else 'i8'}"

    def multiply_add(self, x: ir.Value, y: ir.Value, z: ir.Value) -> ir.Value:
        if self.fma:
            return self.call(f"llvm.fma.{self.suffix(self.vector)}", self.vector, x, y, z)
        return self.b.fadd(self.b.fmul(x, y), z)  # llvm.fma would become a call into libm per lane


def over_channels(v: Vectors, channels: ir.Value, body: Callable[[ir.Value, ir.Value | None], None]) -> None:
    """Call body(bytes from the first channel, mask of the valid lanes or None) for each vector of channels."""
    b = v.b
    with cgutils.for_range(b, b.sdiv(b.add(channels, I64(v.lanes - 1)), I64(v.lanes))) as loop:
        done = b.mul(loop.index, I64(v.lanes))
        left, shift = b.sub(channels, done), b.mul(done, I64(v.item))
        mask = v.below(left)
        with b.if_else(b.icmp_signed(">=", left, I64(v.lanes))) as (whole, part):
            with whole:
                body(shift, None)
            with part:
                body(shift, mask)


SHAPE = host_shape()
TILE_ROWS, LANES, TILE_COLUMNS, BYTES = SHAPE.rows, SHAPE.lanes, SHAPE.vectors * SHAPE.lanes, 4
DOUBLE = replace(SHAPE, lanes=LANES // 2, double=True)  # the same registers hold half as many numbers of float64
elements.NAMES |= {"LANES": DOUBLE.lanes, "TILE_COLUMNS": TILE_COLUMNS // 2, "BYTES": 8}


def vector_function(
    name: str, parameters: Any, emit: Callable[[ir.IRBuilder, dict[str, ir.Value], Shape], None], **kind: Any
) -> Any:
    """Declare a function of vectors, of float32 and of float64: emit(builder, arguments, shape) writes either.

    kind: what its shape has that is not the processor's.
    """
    single, double = replace(SHAPE, **kind), replace(DOUBLE, **kind)
    return llvm_functions.function(
        name, parameters, lambda b, arg: emit(b, arg, single), lambda b, arg: emit(b, arg, double)
    )


def emit_address(_: Any, a: Any) -> Any:
    """Return the type of an array's address, and what writes it into a function."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ptrtoint(context.make_array(signature.args[0])(context, builder, args[0]).data, I64)

    return types.int64(a), emit


address: Any = intrinsic(emit_address)  # address(a): of an array's first element


@serial
def ceil_div(a: Any, b: Any) -> Any:
    """Return a / b rounded up."""
    return -(-a // b)
