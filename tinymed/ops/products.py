"""Products of matrices and vectors under their own names, and einsum: compositions of matmul, permute and sum."""

from collections.abc import Sequence
from typing import Any

from ..annotations import Operand, Tensor
from ..tape import Node
from .elementwise import add, mul
from .matmul import bmm, check_dtypes, matmul
from .reduce import sum
from .shape import expand, permute, reshape, unsqueeze
from .triangles import diagonal


def axes_of(name: str, *wanted: tuple[Any, int]) -> None:
    """Raise unless each tensor has its number of axes."""
    for tensor, count in wanted:
        if tensor.array.ndim != count:
            kind = {1: "a vector", 2: "a matrix", 3: "a batch of matrices"}[count]
            raise ValueError(f"{name}: needs {kind}, got shape {list(tensor.shape)}")


def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """Multiply two matrices.

    Args:
        input: (M, K).
        mat2: (K, N), of the input's dtype.

    Returns:
        (M, N).

    Raises:
        ValueError: The shapes do not fit.

    Example:
        >>> import tinymed
        >>> tinymed.mm(tinymed.ones(2, 3), tinymed.ones(3, 4)).shape
        (2, 4)
    """
    axes_of("mm", (input, 2), (mat2, 2))
    return matmul(input, mat2)


def mv(input: Tensor, vec: Tensor) -> Tensor:
    """Multiply a matrix by a vector.

    Args:
        input: (M, K).
        vec: (K,), of the input's dtype.

    Returns:
        (M,).

    Raises:
        ValueError: The shapes do not fit.

    Example:
        >>> import tinymed
        >>> tinymed.mv(tinymed.ones(2, 3), tinymed.ones(3)).tolist()
        [3.0, 3.0]
    """
    axes_of("mv", (input, 2), (vec, 1))
    return matmul(input, vec)


def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """Compute the sum of the products of two vectors' elements.

    Args:
        input, tensor: Vectors of one length and dtype.

    Returns:
        A tensor without axes.

    Raises:
        ValueError: The shapes do not fit.

    Example:
        >>> import tinymed
        >>> tinymed.dot(tinymed.tensor([1, 2]), tinymed.tensor([3, 4])).item()
        11
    """
    axes_of("dot", (input, 1), (tensor, 1))
    return matmul(input, tensor)


def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """Compute the products of each element of one vector with each of another.

    Args:
        input: (M,).
        vec2: (N,).

    Returns:
        (M, N).

    Raises:
        ValueError: They are not vectors.

    Example:
        >>> import tinymed
        >>> tinymed.outer(tinymed.tensor([1, 2]), tinymed.tensor([3, 4])).tolist()
        [[3, 4], [6, 8]]
    """
    axes_of("outer", (input, 1), (vec2, 1))
    return mul(unsqueeze(input, 1), unsqueeze(vec2, 0))


def inner(input: Tensor, other: Operand) -> Tensor:
    """Compute the sums of products over the last axes of two tensors.

    Args:
        input, other: Tensors whose last axes are of one length; one without axes multiplies.

    Returns:
        The other axes of input, then those of other.

    Raises:
        ValueError: The lengths differ.

    Example:
        >>> import tinymed
        >>> tinymed.inner(tinymed.ones(2, 3), tinymed.ones(4, 3)).shape
        (2, 4)
    """
    if not input.shape or not other.shape:
        return mul(input, other)
    return tensordot(input, other, ([-1], [-1]))


def scaled(tensor: Any, factor: float) -> Any:
    """Compute a tensor times a number."""
    return tensor if factor == 1 else mul(tensor, factor)


def plus(name: str, input: Any, product: Any, beta: float, alpha: float) -> Any:
    """Compute beta input + alpha product, of one dtype; an input of factor 0 does not count, whatever it holds."""
    check_dtypes(name, input, product)
    if beta == 0:
        return expand(scaled(product, alpha), product.shape)
    result = add(scaled(input, beta), scaled(product, alpha))
    if result.shape != product.shape:
        raise ValueError(f"{name}: input {list(input.shape)} does not broadcast to the product {list(product.shape)}")
    return result


def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """Compute beta input + alpha mat1 mat2.

    Args:
        input: Broadcasts to (M, N).
        mat1: (M, K).
        mat2: (K, N).
        beta, alpha: The factors.

    Returns:
        (M, N).

    Raises:
        ValueError: The shapes do not fit.

    Example:
        >>> import tinymed
        >>> tinymed.addmm(tinymed.ones(2), tinymed.ones(2, 3), tinymed.ones(3, 2)).tolist()
        [[4.0, 4.0], [4.0, 4.0]]
    """
    return plus("addmm", input, mm(mat1, mat2), beta, alpha)


def addmv(input: Tensor, mat: Any, vec: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """Compute beta input + alpha mat vec.

    Args:
        input: Broadcasts to (M,).
        mat: (M, K).
        vec: (K,).
        beta, alpha: The factors.

    Returns:
        (M,).

    Raises:
        ValueError: The shapes do not fit.

    Example:
        >>> import tinymed
        >>> tinymed.addmv(tinymed.ones(2), tinymed.ones(2, 3), tinymed.ones(3)).tolist()
        [4.0, 4.0]
    """
    return plus("addmv", input, mv(mat, vec), beta, alpha)


def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """Compute beta input + alpha times the sum over the batch of batch1 batch2.

    Args:
        input: Broadcasts to (M, N).
        batch1: (B, M, K).
        batch2: (B, K, N).
        beta, alpha: The factors.

    Returns:
        (M, N).

    Raises:
        ValueError: The shapes do not fit.

    Example:
        >>> import tinymed
        >>> tinymed.addbmm(tinymed.ones(2, 2), tinymed.ones(5, 2, 3), tinymed.ones(5, 3, 2))[0].tolist()
        [16.0, 16.0]
    """
    return plus("addbmm", input, sum(bmm(batch1, batch2), 0), beta, alpha)


def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """Compute beta input + alpha batch1 batch2, matrix by matrix.

    Args:
        input: Broadcasts to (B, M, N).
        batch1: (B, M, K).
        batch2: (B, K, N).
        beta, alpha: The factors.

    Returns:
        (B, M, N).

    Raises:
        ValueError: The shapes do not fit.

    Example:
        >>> import tinymed
        >>> tinymed.baddbmm(tinymed.ones(1), tinymed.ones(5, 2, 3), tinymed.ones(5, 3, 2)).shape
        (5, 2, 2)
    """
    return plus("baddbmm", input, bmm(batch1, batch2), beta, alpha)


def tensordot(a: Any, b: Any, dims: Any = 2) -> Tensor:
    """Compute sums of products over the last axes of one tensor and the first of another, or over given axes.

    Args:
        a, b: Tensors of one dtype.
        dims: How many axes, or a pair of lists of axes.

    Returns:
        The other axes of a, then those of b.

    Raises:
        ValueError: The lengths differ.

    Example:
        >>> import tinymed
        >>> tinymed.tensordot(tinymed.ones(2, 3, 4), tinymed.ones(3, 4, 5)).shape
        (2, 5)
    """
    from .axes import integer, is_integer, one_axis

    if is_integer(dims):
        n = integer("tensordot", "dims", dims)
        left, right = list(range(a.array.ndim - n, a.array.ndim)), list(range(n))
    else:
        left, right = ([one_axis("tensordot", d, t.array.ndim) for d in v] for t, v in zip((a, b), dims, strict=True))
    if len(left) != len(right) or any(
        1 not in (a.shape[i], b.shape[j]) and a.shape[i] != b.shape[j] for i, j in zip(left, right, strict=True)
    ):
        raise ValueError(
            f"tensordot: axes {left} of {list(a.shape)} and {right} of {list(b.shape)} have different lengths"
        )
    letters = [chr(ord("a") + i) for i in range(a.array.ndim + b.array.ndim)]
    first = letters[: a.array.ndim]
    second = letters[a.array.ndim :]
    for i, j in zip(left, right, strict=True):
        second[j] = first[i]
    rest = [c for c in first if c not in second] + [c for c in second if c not in first]
    return einsum(f"{''.join(first)},{''.join(second)}->{''.join(rest)}", a, b)


# -------------------------------------------------------------------------------------------------------- einsum


def einsum(equation: Any, *operands: Any) -> Tensor:
    """Compute sums of products by Einstein's notation: "bij,bjk->bik" multiplies batches of matrices.

    Each operand's axes are named by letters, "..." for any leading ones, which broadcast. A letter that the result
    (after "->") lacks is summed over; one that occurs twice in an operand takes its diagonal. Without "->" the result
    has the letters that occur once, in alphabetical order, after "...".

    Args:
        equation: "ij,jk->ik"; or the first operand, each followed by a list of numbers in place of letters.
        operands: The tensors, or one list of them.

    Returns:
        A tensor with the axes that the equation names.

    Raises:
        ValueError: The equation or the shapes do not fit.

    Example:
        >>> import tinymed
        >>> tinymed.einsum("ij,j->i", tinymed.ones(2, 3), tinymed.arange(3.0)).tolist()
        [3.0, 3.0]
    """
    if not isinstance(equation, str):
        equation, operands = lettered((equation, *operands))
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = tuple(operands[0])
    terms, result = parse(equation, operands)
    check_dtypes("einsum", *operands)
    parts = [taken_diagonals(x, term) for x, term in zip(operands, terms, strict=True)]
    while len(parts) > 1:  # from left to right, summing what no later operand and no result needs
        (a, left), (b, right) = parts[:2]
        later = {c for _, term in parts[2:] for c in term} | set(result)
        parts[:2] = [contracted(a, left, b, right, later)]
    x, term = parts[0]
    gone = [i for i, c in enumerate(term) if c not in result]
    x, term = (sum(x, gone), [c for c in term if c in result]) if gone else (x, term)
    if term == result and len(terms) > 1:  # a tensor of its own; of one operand it is a view
        return x
    return permute(x, [term.index(c) for c in result])


Term = list[Any]  # the names of an operand's axes: letters, and numbers for those that "..." stands for


def lettered(given: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """Return the other way to call it, (x, [0, 1], y, [1, 2], [0, 2]), as an equation and operands."""
    names = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

    def word(axes: Any) -> str:
        return "".join("..." if a is Ellipsis else names[a] for a in axes)

    operands, words = given[0 : len(given) - 1 : 2], [word(a) for a in given[1::2]]
    equation = ",".join(words)
    return (f"{equation}->{word(given[-1])}" if len(given) % 2 else equation), operands


def parse(equation: str, operands: Sequence[Any]) -> tuple[list[Term], Term]:
    """Return the names of the operands' axes and of the result's; ValueError says what does not fit."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    words = left.split(",")
    if len(words) != len(operands):
        raise ValueError(f"einsum: {equation!r} names {len(words)} operands, got {len(operands)}")
    for x in operands:
        if not isinstance(x, Node):
            raise TypeError(f"einsum: operands are tensors, got {type(x).__name__}")
    free = [x.array.ndim - len(w) + 3 for x, w in zip(operands, words, strict=True) if "..." in w]
    most = max(free, default=0)
    terms = [named(equation, w, x.array.ndim, most) for w, x in zip(words, operands, strict=True)]
    lengths: dict[Any, int] = {}
    for x, term in zip(operands, terms, strict=True):
        for n, c in zip(x.shape, term, strict=True):
            if lengths.setdefault(c, n) == 1:
                lengths[c] = n
            if n not in (1, lengths[c]):
                raise ValueError(f"einsum: {equation!r}: axis {c!r} has lengths {lengths[c]} and {n}")
    if arrow:
        result = named(equation, right, most + len(right.replace("...", "")) if "..." in right else len(right), most)
        unknown = [c for c in result if c not in lengths and not isinstance(c, int)]
        if unknown or len(set(result)) != len(result):
            raise ValueError(f"einsum: {equation!r}: the result names an axis twice, or one that no operand has")
        return terms, [c for c in result if c in lengths]
    letters = [c for term in terms for c in term if isinstance(c, str)]
    once = sorted({c for c in letters if letters.count(c) == 1})
    return terms, [*[i for i in range(most) if i in lengths], *once]


def named(equation: str, word: str, ndim: int, most: int) -> Term:
    """Return one operand's names: letters, and for "..." numbers counted so that the last ones line up."""
    before, dots, after = word.partition("...")
    if not all(c.isalpha() for c in before + after):
        raise ValueError(f"einsum: {equation!r}: axes are named by letters, and by one '...' an operand")
    free = ndim - len(before) - len(after)
    if free < 0 or (free and not dots):
        raise ValueError(f"einsum: {equation!r}: {word!r} does not name the {ndim} axes of its operand")
    return [*before, *range(most - free, most), *after]


def taken_diagonals(x: Any, term: Term) -> tuple[Any, Term]:
    """Return the operand with the diagonal of every axis named twice."""
    for c in dict.fromkeys(term):
        while term.count(c) > 1:
            i = term.index(c)
            j = term.index(c, i + 1)
            n = max(x.shape[i], x.shape[j])
            full = [n if a in (i, j) else -1 for a in range(len(term))]
            x = diagonal(expand(x, full), 0, i, j)
            term = [d for a, d in enumerate(term) if a not in (i, j)] + [c]
    return x, term


def contracted(a: Any, left: Term, b: Any, right: Term, later: set[Any]) -> tuple[Any, Term]:
    """Multiply two operands and sum over the axes that nothing later needs: one batched matrix product."""
    x, left = summed(a, left, {*later, *right})
    y, right = summed(b, right, {*later, *left})
    both = [c for c in left if c in right]
    batch, inner = [c for c in both if c in later], [c for c in both if c not in later]
    rows, columns = [c for c in left if c not in both], [c for c in right if c not in both]
    lengths = {c: max(x.shape[left.index(c)], y.shape[right.index(c)]) for c in both}
    lengths = {c: 0 if 0 in (x.shape[left.index(c)], y.shape[right.index(c)]) else n for c, n in lengths.items()}
    lengths |= {c: x.shape[left.index(c)] for c in rows} | {c: y.shape[right.index(c)] for c in columns}

    def arranged(t: Any, term: Term, *groups: Term) -> Any:
        order = [c for group in groups for c in group]
        t = t if order == term else permute(t, [term.index(c) for c in order])
        wanted = tuple(lengths[c] for c in order)
        return reshaped(t if tuple(t.shape) == wanted else expand(t, wanted), tuple(size(group) for group in groups))

    def reshaped(t: Any, shape: tuple[int, ...]) -> Any:
        return t if tuple(t.shape) == shape else reshape(t, shape)  # an op that does nothing costs 10 us

    def size(group: Term) -> int:
        n = 1
        for c in group:
            n *= lengths[c]
        return n

    product = matmul(arranged(x, left, batch, rows, inner), arranged(y, right, batch, inner, columns))
    names = batch + rows + columns
    return reshaped(product, tuple(lengths[c] for c in names)), names


def summed(x: Any, term: Term, needed: set[Any]) -> tuple[Any, Term]:
    """Sum an operand over the axes that nothing needs."""
    gone = [i for i, c in enumerate(term) if c not in needed]
    return (sum(x, gone), [c for c in term if c in needed]) if gone else (x, term)


ger = outer

__all__ = [
    "addbmm",
    "addmm",
    "addmv",
    "baddbmm",
    "dot",
    "einsum",
    "ger",
    "inner",
    "mm",
    "mv",
    "outer",
    "tensordot",
]
