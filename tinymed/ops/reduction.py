"""The reduction of a loss, and PyTorch's older arguments for it."""

import functools
import inspect
import itertools
import warnings
from collections.abc import Callable
from typing import Any

LEGACY = ("size_average", "reduce")


def legacy_reduction(size_average: Any, reduce: Any, reduction: str = "mean") -> str:
    """Return the reduction that the older arguments mean; without them the one given."""
    if size_average is None and reduce is None:
        return reduction
    for name, value in zip(LEGACY, (size_average, reduce), strict=True):
        if value not in (None, True, False):
            raise TypeError(
                f"{name} is True, False or None, got {value!r}; give the reduction by name: reduction='sum'"
            )
    meant = "none" if reduce is False else "sum" if size_average is False else "mean"
    warnings.warn(f"size_average and reduce are deprecated: write reduction={meant!r}", UserWarning, stacklevel=4)
    return meant


def torch_arguments(order: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a loss be called with PyTorch's arguments in PyTorch's order, size_average and reduce among them."""
    names = order.split()

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        own = inspect.signature(function).parameters
        alike = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(names, own, strict=False)))

        to_sort = {*LEGACY, *names[:alike]}

        @functools.wraps(function)
        def loss(*args: Any, **kwargs: Any) -> Any:
            if len(args) <= alike and to_sort.isdisjoint(kwargs):
                return function(*args, **kwargs)  # nearly always: nothing to sort, and nothing of the older arguments
            given = dict(zip(names, args, strict=False))
            twice = [n for n in kwargs if n in given]
            if len(args) > len(names) or twice:
                what = f"{', '.join(twice)} given twice" if twice else f"{len(args)} arguments given by position"
                raise TypeError(f"{function.__name__}: {what}; it takes ({', '.join(names)})")
            given.update(kwargs)
            if "size_average" in given or "reduce" in given:
                averaged, reduce = (given.pop(n, None) for n in LEGACY)
                given["reduction"] = legacy_reduction(averaged, reduce, given.get("reduction", "mean"))
            return function(**given)

        both = inspect.Parameter.POSITIONAL_OR_KEYWORD
        listed = [own.get(n, inspect.Parameter(n, both, default=None)).replace(kind=both) for n in names]
        rest = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for n, p in own.items() if n not in names]
        loss.__signature__ = inspect.Signature([*listed, *rest])  # type: ignore[attr-defined]
        return loss

    return decorate
