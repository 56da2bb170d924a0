"""PyTorch's `inplace=True`: a function writes its result into its input.

A later reader of the input sees the result, and so do its views.  An op that saved the input for backward raises there.
Most inputs were made by the op before and nobody else shows their memory: those tensors take the result's memory as
their own, so that nothing is computed twice, nothing is copied, and a captured program is as long as without `inplace`.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from ..tape import Node, thread
from .shape import clone
from .writing import refuse_leaf, store


def overwritable(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a function of one tensor the last argument `inplace`."""
    signature = inspect.signature(function)
    last = len(signature.parameters)
    flag = inspect.Parameter("inplace", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=False, annotation=bool)

    @functools.wraps(function)
    def with_inplace(*args: Any, **kwargs: Any) -> Any:
        if not kwargs and len(args) <= last:
            return function(*args)  # nearly always
        return sorted_out(*args, **kwargs)

    def sorted_out(input: Any, *args: Any, inplace: bool = False, **kwargs: Any) -> Any:
        if len(args) == last:
            *args, inplace = args  # type: ignore[assignment]
        if inplace:
            return overwrite(function.__name__, input, lambda x: function(x, *args, **kwargs))
        return function(input, *args, **kwargs)

    with_inplace.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*signature.parameters.values(), flag]
    )
    return with_inplace


def always(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function of a name that ends in _: with inplace=True."""

    def over_input(input: Any, *args: Any, **kwargs: Any) -> Any:
        return function(input, *args, **kwargs, inplace=True)

    over_input.__name__ = over_input.__qualname__ = f"{function.__name__}_"
    over_input.__doc__ = f"""Apply {function.__name__} with inplace=True: write the result over the input.

    Args:
        input: The tensor, which is overwritten.
        args, kwargs: As for {function.__name__}.

    Returns:
        The input.
    """
    return over_input


def overwrite(name: str, input: Any, compute: Callable[[Any], Any]) -> Any:
    """Write compute(input) into input and return it, with PyTorch's rules for leaves, views and saved tensors.

    Where compute returns what it was given, as dropout does in evaluation, nothing is written.
    """
    if not input.made or input.version.viewed or input.version.links:
        copied = clone(input)
        result = compute(copied)
        if result is not copied:
            check_write(name, input, result)
            store(name, input, result)
        return input
    version = input.version
    before = version.value
    version.value = before + 1  # what saved the input before now raises in backward
    result = input
    try:
        result = compute(input)
        check_write(name, input, result)
    finally:
        if result is input:
            version.value = before
    if result is not input:
        adopt(input, result)
    return input


def check_write(name: str, input: Any, result: Any) -> None:
    """Raise where a result must not or cannot lie in the input's memory."""
    if result is input:
        return
    if thread.grad_enabled:
        refuse_leaf(input, input.lineage()[0])
    if result.array.dtype != input.array.dtype:
        raise RuntimeError(
            f"{name}: inplace=True writes {result.array.dtype} into a tensor of {input.array.dtype}; "
            "use inplace=False, or cast the input first"
        )


def adopt(input: Node, result: Node) -> None:
    """Let a tensor be what was computed from it: its memory, its versions, and the op that made it."""
    input.array, input.version, input.seen = result.array, result.version, result.seen
    input.stored = result.stored
    if result.op is not None:
        input.op, input.index, input.requires_grad = result.op, result.index, True
