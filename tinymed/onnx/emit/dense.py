"""Matrix products."""

from ..trace import Call
from ..writer import Writer, emits


@emits("MatMul")
def matmul(w: Writer, call: Call) -> None:
    """MatMul."""
    w.result(call, "MatMul", call.a, call.b)


@emits("Linear")
def linear(w: Writer, call: Call) -> None:
    """Gemm of a matrix; of more axes a product with the transposed weight, and a sum."""
    if call.x.ndim == 2:
        w.result(call, "Gemm", call.x, call.weight, call.bias, transB=1)
        return
    weight = w.add("Transpose", call.weight, perm=[1, 0])
    if call.bias is None:
        w.result(call, "MatMul", call.x, weight)
    else:
        w.result(call, "Add", w.add("MatMul", call.x, weight), call.bias)
