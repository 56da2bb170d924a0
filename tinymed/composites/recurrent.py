"""A recurrent layer from parts: one product with its input for all steps, then the walk over its sums."""

from typing import Any

import numpy as np

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
def lstm_layer_answer(
    k: Any, x: Any, weight: Any, bias: Any, recurrent: Any, h0: Any, c0: Any, lengths: Any, reverse: bool
) -> Any:
    """Call lstm_forward with the sums of all steps; keep the outputs and the last state and cell."""
    h0, c0 = (k.full((x.shape[1], recurrent.shape[1]), x.dtype, 0) if s is None else s for s in (h0, c0))
    lengths = k.full((x.shape[1],), np.dtype(np.int64), x.shape[0]) if lengths is None else lengths
    y, states, cells, _ = k.lstm_forward(sums_of(k, x, weight, bias), recurrent, h0, c0, lengths, reverse)
    last = 0 if reverse else len(x)
    return y, k.copy(states[last]), k.copy(cells[last])
