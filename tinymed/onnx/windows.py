"""What convolution and pooling share: how a window slides, from a node's attributes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..ops.space import Pairs, Sizes, extent
from .table import Node, sized, unsupported


class Window(NamedTuple):
    """A window's lengths, its steps, the border before and after each axis of space, and the places it takes."""

    kernel: Sizes
    stride: Sizes
    dilation: Sizes
    padding: Pairs
    size: Sizes


def window(node: Node, space: Sequence[int], kernel: Sequence[int], ahead: Sequence[int] = ()) -> Window:
    """Return the window of a Conv or pooling node over these axes of space; ahead: the lengths of the axes before them.

    auto_pad: VALID is no border; SAME_UPPER and SAME_LOWER give ceil(length / stride) places, an odd total of border
    pixels with the extra one after or before.  ceil_mode: windows that stick out at the end count, unless they start
    in the border.  Raises ValueError for attributes that do not fit together or leave no place.
    """
    rank, sizes = len(space), tuple(int(k) for k in kernel)
    if min(sizes, default=1) < 1:
        raise ValueError(f"{node}: the window is {list(sizes)}; it takes lengths >= 1")
    if rank not in (1, 2, 3) or len(sizes) != rank:
        raise unsupported(node, f"a window of {len(sizes)} axes over {rank} axes of space", "1 to 3 axes of space")
    stride, dilation = per_axis(node, "strides", rank), per_axis(node, "dilations", rank)
    reach = extent(sizes, dilation)
    padding, same = borders(node, space, reach, stride)
    size = []
    for n, e, s, (before, after) in zip(space, reach, stride, padding, strict=True):
        spare = n + before + after - e
        places = -(-spare // s) + 1 if node.get("ceil_mode", 0) else spare // s + 1
        if node.get("ceil_mode", 0) and (places - 1) * s >= n + before:
            places -= 1
        size.append(-(-n // s) if same else places)
    if min(size) < 1:
        raise ValueError(
            f"{node}: the window covers {list(reach)} pixels, the input {list(space)} with pads "
            f"{list(padding)}; it takes windows no larger than the padded input"
        )
    sized(node, (*ahead, *(n + a + b for n, (a, b) in zip(space, padding, strict=True))))
    sized(node, (*ahead, *size))
    return Window(sizes, stride, dilation, padding, tuple(size))


def per_axis(node: Node, attribute: str, rank: int, default: int = 1) -> Sizes:
    """Return an attribute with one number an axis of space."""
    values = tuple(node.get(attribute) or (default,) * rank)
    if len(values) != rank or min(values) < default:
        raise ValueError(f"{node}: {attribute} is {list(values)}; it takes {rank} numbers >= {default}")
    return values


def borders(node: Node, space: Sequence[int], reach: Sizes, stride: Sizes) -> tuple[Pairs, bool]:
    """(border before and after each axis, whether auto_pad asks for the SAME size)."""
    rank, auto = len(space), node.get("auto_pad", "NOTSET")
    if auto == "VALID":
        return ((0, 0),) * rank, False
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        totals = [max(0, (-(-n // s) - 1) * s + e - n) for n, s, e in zip(space, stride, reach, strict=True)]
        return tuple(halves(t, auto == "SAME_UPPER") for t in totals), True
    pads = node.get("pads") or [0] * 2 * rank
    if auto != "NOTSET" or len(pads) != 2 * rank or min(pads) < 0:
        raise ValueError(
            f"{node}: auto_pad is {auto!r}, pads {list(pads)}; it takes NOTSET, VALID, SAME_UPPER or "
            f"SAME_LOWER, and {2 * rank} pads >= 0"
        )
    return tuple(zip(pads[:rank], pads[rank:], strict=True)), False


def halves(total: int, upper: bool) -> tuple[int, int]:
    """Return a border split in two; an odd pixel goes after (upper) or before."""
    return (total // 2, total - total // 2) if upper else (total - total // 2, total // 2)


def by_rank(functions: Sequence[Any], rank: int) -> Any:
    """Return the function of this number of axes of space."""
    return functions[rank - 1]
