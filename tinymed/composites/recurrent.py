"""A recurrent layer from parts: one product with its input for all steps, then the walk over its sums."""

from typing import Any

from ..dispatch import kernel
from ..ops.matmul import rows
from .arguments import all_float32


def sums_of(k: Any, x: Any, weight: Any, bias: Any) -> Any:
    """Return W x_t + b of every step."""
    return k.linear_forward(rows(k, x), weight, bias).reshape(*x.shape[:2], -1)


@kernel(backend="csrc", composite=True, when=all_float32)
def lstm_layer_forward(k: Any, x: Any, weight: Any, bias: Any, *rest: Any) -> Any:
    """Call lstm_forward with the sums of all steps."""
    return k.lstm_forward(sums_of(k, x, weight, bias), *rest)


@kernel(backend="csrc", composite=True, when=all_float32)
def lstm_layer_answer(k: Any, x: Any, weight: Any, bias: Any, *rest: Any) -> Any:
    """Call lstm_forward with the sums of all steps; keep the outputs and the last state and cell."""
    y, states, cells, _ = k.lstm_forward(sums_of(k, x, weight, bias), *rest)
    last = 0 if rest[-1] else len(x)
    return y, k.copy(states[last]), k.copy(cells[last])
