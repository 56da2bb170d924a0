"""Einsum: products of tensors whose axes have names, summed over the names that the result leaves out."""

from typing import Any

import numpy as np

from ..nn import functional as F
from ..tensor import Tensor
from .table import Node, floating, operator, plain, sized

Named = tuple[Any, list[str]]  # a tensor and the names of its axes


@operator("Einsum")
def einsum(node: Node, *xs: Any) -> Any:
    """Return the sum that an equation such as "bij,bjk->bik" names."""
    equation = node.get("equation", "").replace(" ", "")
    terms, result = parsed(node, equation, xs)
    if not floating(*xs):
        return plain(lambda *a: np.einsum(equation, *a).astype(a[0].dtype), *xs)
    operands = [without_repeats(x, names) for x, names in zip(xs, terms, strict=True)]
    total = operands[0]
    for i, other in enumerate(operands[1:], 1):
        later = {n for _, names in operands[i + 1 :] for n in names}
        total = contracted(node, total, other, later | set(result))
    y, names = summed(total, set(result))
    return F.permute(y, tuple(names.index(n) for n in result)) if result else F.reshape(y, ())


def parsed(node: Node, equation: str, xs: Any) -> tuple[list[list[str]], list[str]]:
    """Return the names of each operand's axes and of the result's.

    An ellipsis becomes numbered names, the last one 0.
    """
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if len(terms) != len(xs):
        raise ValueError(f"{node}: equation {equation!r} for {len(xs)} inputs; it takes one term for each")
    named = []
    for term, x in zip(terms, xs, strict=True):
        letters = term.replace("...", "")
        spare = x.ndim - len(letters)
        dots = [str(i) for i in reversed(range(spare))] if "..." in term else []
        if (
            (not letters.isalpha() * bool(letters) and letters)
            or spare < 0
            or (spare and not dots and "..." not in term)
        ):
            raise ValueError(f"{node}: term {term!r} of {equation!r} does not fit the shape {list(x.shape)}")
        head, _, tail = term.partition("...")
        named.append([*head, *dots, *tail])
    lengths: dict[str, int] = {}
    for names, x in zip(named, xs, strict=True):
        for name, n in zip(names, x.shape, strict=True):
            if 1 not in (n, known := lengths.get(name, n)) and known != n:
                raise ValueError(f"{node}: axis {name!r} of {equation!r} has lengths {known} and {n}")
            lengths[name] = max(n, lengths.get(name, 0))
    every = [n for names in named for n in names]
    dots = sorted({n for n in every if n.isdigit()}, key=int, reverse=True)
    if not arrow:
        return named, [*dots, *sorted(n for n in set(every) if every.count(n) == 1 and not n.isdigit())]
    head, dotted, tail = right.partition("...")
    result = [*head, *(dots if dotted else []), *tail]
    if len(set(result)) != len(result) or not set(result) <= set(every):
        raise ValueError(f"{node}: the result of {equation!r} must name axes of the inputs, each once")
    return named, result


def without_repeats(x: Any, names: list[str]) -> Named:
    """Return the diagonal over axes of one name."""
    for name in dict.fromkeys(names):
        while names.count(name) > 1:
            a = names.index(name)
            b = names.index(name, a + 1)
            x = F.movedim(x, (a, b), (0, 1))
            steps = Tensor(np.arange(x.shape[0]))
            x = F.getitem(x, (steps, steps))
            names = [name, *(n for i, n in enumerate(names) if i not in (a, b))]
    return x, names


def summed(operand: Named, keep: set[str]) -> Named:
    """Return it summed over the names that nothing needs any more."""
    x, names = operand
    axes = tuple(i for i, n in enumerate(names) if n not in keep)
    return (F.sum(x, axes), [n for n in names if n in keep]) if axes else operand


def contracted(node: Node, a: Named, b: Named, keep: set[str]) -> Named:
    """Return the product of two, summed over the shared names that are not kept: a matrix product."""
    (x, left), (y, right) = summed(a, keep | set(b[1])), summed(b, keep | set(a[1]))
    both = [n for n in left if n in right]
    batch, inner = [n for n in both if n in keep], [n for n in both if n not in keep]
    rows, columns = [n for n in left if n not in right], [n for n in right if n not in left]
    size = dict(zip(right, y.shape, strict=True))
    for n, length in zip(left, x.shape, strict=True):
        size[n] = max(length, size.get(n, 1))
    x, y = ordered(x, left, batch + rows + inner, size), ordered(y, right, batch + inner + columns, size)
    shapes = [tuple(size[n] for n in names) for names in (batch, rows, inner, columns)]
    sized(node, shapes[0] + shapes[1] + shapes[3])
    counts = [int(np.prod(s)) for s in shapes]
    x, y = F.reshape(x, (counts[0], counts[1], counts[2])), F.reshape(y, (counts[0], counts[2], counts[3]))
    return F.reshape(F.matmul(x, y), shapes[0] + shapes[1] + shapes[3]), batch + rows + columns


def ordered(x: Any, names: list[str], wanted: list[str], size: dict[str, int]) -> Any:
    """x with its axes in another order, those of length 1 stretched."""
    x = F.permute(x, tuple(names.index(n) for n in wanted)) if wanted else x
    return F.expand(x, tuple(size[n] for n in wanted)) if wanted else x
