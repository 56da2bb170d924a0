"""Gradients that are returned, and not added to any .grad."""

from collections.abc import Sequence
from typing import Any

from . import tape
from .tensor import Tensor, cotangent


def grad(
    outputs: Tensor, inputs: Sequence[Tensor], grad_outputs: Tensor | None = None, retain_graph: bool = False
) -> tuple[Tensor | None, ...]:
    """Compute d(outputs)/d(each input) without touching any .grad.

    Args:
        outputs: One tensor.
        inputs: The tensors to differentiate by.
        grad_outputs: The weights of outputs' elements, in its shape; 1 for a scalar if None.
        retain_graph: Keep what the tape saved, for a second walk.

    Returns:
        A tuple of tensors, None for an input that outputs do not depend on.

    Raises:
        RuntimeError: grad_outputs is missing for a tensor of more than one element.

    Example:
        >>> import tinymed
        >>> x = tinymed.tensor([2.0, 3.0], requires_grad=True)
        >>> tinymed.grad((x * x).sum(), [x])[0].tolist()
        [4.0, 6.0]
    """
    wanted: dict[tuple[int, int], Any] = {(id(i.op or i), i.index): None for i in inputs}
    tape.walk([outputs], [cotangent(outputs, grad_outputs)], retain_graph, wanted)
    found = (wanted[id(i.op or i), i.index] for i in inputs)
    return tuple(None if g is None else Tensor(g) for g in found)
