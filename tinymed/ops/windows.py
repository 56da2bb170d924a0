"""Windows that slide over an input: how many fit, checks of their arguments, and samples for tests."""

from typing import Any

from .space import Form, Pairs, Sizes, check_images, extent, pairs, per_axis, remembered


def places(
    op: str, space: Sizes, kernel: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, ceil_mode: bool
) -> Sizes:
    """Count the windows along each axis; with ceil_mode also one that sticks out, if it starts before the padding."""
    size = []
    for n, e, s, (before, after) in zip(space, extent(kernel, dilation), stride, padding, strict=True):
        m = (n + before + after - e + (s - 1 if ceil_mode else 0)) // s + 1
        size.append(m - 1 if ceil_mode and (m - 1) * s >= n + before else m)
    if min(size) < 1:
        raise ValueError(
            f"{op}: the window covers {list(extent(kernel, dilation))} pixels, the input {list(space)} "
            f"with padding {list(padding)}; it takes windows no larger than the padded input"
        )
    return tuple(size)


@remembered
def windows(
    op: str, rank: int, input: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> tuple[Sizes, Sizes, Pairs, Sizes, Sizes, Sizes]:
    """Return (kernel, stride, padding, before, dilation, places), one entry per axis, for an input's (shape, dtype).

    before: the padding before each axis.
    """
    space, dilations = check_images(op, Form(*input), rank), per_axis(op, "dilation", dilation, rank)
    kernel = per_axis(op, "kernel_size", kernel_size, rank)
    strides = (
        kernel
        if stride is None or (isinstance(stride, tuple | list) and not stride)
        else per_axis(op, "stride", stride, rank)
    )
    edges, reach = pairs(op, padding, rank), extent(kernel, dilations)
    if any(max(p) > e // 2 for p, e in zip(edges, reach, strict=True)):
        raise ValueError(
            f"{op}: padding is {padding!r}; it takes at most half of the window, which covers {list(reach)} pixels"
        )
    size = places(op, space, kernel, strides, edges, dilations, bool(ceil_mode))
    return kernel, strides, edges, tuple(a for a, _ in edges), dilations, size


def draw_window(draw: Any, dilated: bool) -> tuple[Any, ...]:
    """Draw (x, kernel, stride, padding, dilation, ceil_mode); half have 2 x 2 windows at stride 2, the fast path."""
    rank = draw.choice((2, 3, 2, 1, 2))
    channels = (1, 2, 3, 16, 17, 33) if rank < 3 else (1, 2)
    batch = draw.choice(((1,), (2,), (3,), (), (0,)) if rank < 3 else ((1,), (2,), ()))
    if draw.boolean():
        kernel, stride, padding, dilation = (2,) * rank, (2,) * rank, ((0, 0),) * rank, (1,) * rank
    else:
        kernel = tuple(draw.integer(1, 4) for _ in range(rank))
        stride = tuple(draw.integer(1, 3) for _ in range(rank))
        padding = tuple((p, p) for p in (draw.integer(0, k // 2) for k in kernel))
        dilation = tuple(draw.choice((1, 2)) if dilated else 1 for _ in range(rank))
    low = [
        max(d, e - 2 * a * (rank < 3)) for d, e, (a, _) in zip(dilation, extent(kernel, dilation), padding, strict=True)
    ]
    x = draw.array(
        (*batch, draw.choice(channels), *(n + draw.integer(0, 5 if rank < 3 else 2) for n in low)), distinct=True
    )
    return x, kernel, stride, padding, dilation, draw.boolean()
