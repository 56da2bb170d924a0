"""Bytes looked up in a table of 256 bytes that lies in four registers, 64 at a time where the processor can.

Written as LLVM IR: LLVM does not make AVX-512's permutation of bytes out of a loop that looks up.  Other processors
look up one byte after the other.
"""

from llvmlite import ir

from ..compiler import llvm_functions
from ..compiler.isa import features
from .pixel_rows import BYTES, load, over_numbers, store
from .vectors import I64

REGISTER = ir.VectorType(ir.IntType(8), 64)
PERMUTES = BYTES == 64 and "avx512vbmi" in features()
PERMUTE = "llvm.x86.avx512.vpermi2var.qi.512"


def emit_look_up(b: ir.IRBuilder, arg: dict[str, ir.Value]) -> None:
    """y = values[x]: the low seven bits choose within two registers, the highest bit which two."""
    quarters = [load(b, b.add(arg["values"], I64(64 * n)), REGISTER) for n in range(4)]

    def permuted(index: ir.Value, low: ir.Value, high: ir.Value) -> ir.Value:
        kind = ir.FunctionType(REGISTER, [REGISTER] * 3)
        permute = b.module.globals.get(PERMUTE) or ir.Function(b.module, kind, PERMUTE)
        return b.call(permute, [low, index, high])

    def body(at: ir.Value, kind: ir.Type) -> None:
        index = load(b, b.add(arg["x"], at), kind)
        if kind == REGISTER and PERMUTES:
            upper = b.icmp_signed("<", index, ir.Constant(kind, None))
            found = b.select(upper, permuted(index, *quarters[2:]), permuted(index, *quarters[:2]))
        else:
            found = ir.Constant(kind, ir.Undefined)
            for lane in range(kind.count):
                number = b.zext(b.extract_element(index, ir.IntType(32)(lane)), I64)
                value = b.load(b.inttoptr(b.add(arg["values"], number), ir.IntType(8).as_pointer()))
                found = b.insert_element(found, value, ir.IntType(32)(lane))
        store(b, found, b.add(arg["y"], at))

    over_numbers(b, arg["size"], "u8", body)


look_up_bytes = llvm_functions.function("look_up_bytes", ["y", "x", "values", "size"], emit_look_up)
