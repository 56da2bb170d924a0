"""Shapes: reshaping, joining, cutting, padding and picking."""

from typing import Any

import numpy as np

from ...ops.indexing import Span
from ..trace import BatchNumber, Call
from ..writer import Writer, emits

FIRST, LAST = (int(v) for v in (np.iinfo(np.int64).min, np.iinfo(np.int64).max))  # as ends of Slice: open


@emits("Reshape")
def reshape(w: Writer, call: Call) -> None:
    """Reshape; a length that follows the batch size is what is left."""
    w.result(call, "Reshape", call.x, w.shape(call.shape))


@emits("Permute")
def permute(w: Writer, call: Call) -> None:
    """Transpose."""
    w.result(call, "Transpose", call.x, perm=list(call.dims))


@emits("Expand")
def expand(w: Writer, call: Call) -> None:
    """Expand; a length that stays is 1, which keeps whatever is there."""
    extra = len(call.shape) - call.x.ndim
    old = (None,) * extra + call.x.shape
    w.result(call, "Expand", call.x, w.ints([1 if n == m else n for n, m in zip(call.shape, old, strict=True)]))


@emits("Cat")
def cat(w: Writer, call: Call) -> None:
    """Concat."""
    w.result(call, "Concat", *call.xs, axis=call.axis)


@emits("Split")
def split(w: Writer, call: Call) -> None:
    """Split into parts of given lengths."""
    w.result(call, "Split", call.x, w.ints(call.lengths), axis=call.axis)


@emits("Flip")
def flip(w: Writer, call: Call) -> None:
    """Slice with the step -1."""
    n = len(call.axes)
    first, last = w.ints([-1] * n), w.ints([FIRST] * n)
    w.result(call, "Slice", call.x, first, last, w.ints(call.axes), w.ints([-1] * n))


@emits("Roll")
def roll(w: Writer, call: Call) -> None:
    """Emit what falls off at the end, before the rest, one axis after another."""
    x: Any = call.x
    for shift, axis in zip(call.shifts, call.axes, strict=True):
        at = w.ints([-(shift % call.x.shape[axis])] if shift % max(1, call.x.shape[axis]) else [LAST])
        parts = [
            w.add("Slice", x, at, w.ints([LAST]), w.ints([axis])),
            w.add("Slice", x, w.ints([0]), at, w.ints([axis])),
        ]
        x = w.add("Concat", *parts, axis=axis)
    w.result(call, "Identity", x)


@emits("Repeat")
def repeat(w: Writer, call: Call) -> None:
    """Tile, after new axes in front."""
    extra = len(call.times) - call.x.ndim
    x = w.add("Unsqueeze", call.x, w.ints(range(extra))) if extra else call.x
    w.result(call, "Tile", x, w.ints(call.times))


@emits("PadConstant")
def pad_constant(w: Writer, call: Call) -> None:
    """Pad with a constant; negative widths cut off, as in ONNX."""
    widths = [a for a, _ in call.widths] + [b for _, b in call.widths]
    w.result(call, "Pad", call.x, w.ints(widths), w.number(call.value, call.x))


@emits("PadBorder")
def pad_border(w: Writer, call: Call) -> None:
    """Pad with the tensor's own elements."""
    mode = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}[call.mode]
    if mode == "wrap" and w.opset < 19:
        raise w.refuse("circular padding (opset 19 has it)")
    w.result(call, "Pad", call.x, w.ints([a for a, _ in call.widths] + [b for _, b in call.widths]), mode=mode)


@emits("GetItem")
def getitem(w: Writer, call: Call) -> None:
    """Slice, then Squeeze of the axes that a number picked, then Unsqueeze of the new ones."""
    axis = 0
    cuts: list[tuple[int, int, int, int]] = []  # start, end, axis, step
    gone: list[int] = []
    new: list[int] = []
    for entry in call.basic:
        if entry is None:
            new.append(axis - len(gone) + len(new))
            continue
        if isinstance(entry, int):
            w.refuse_batch(entry)
            gone.append(axis)
            cuts.append((entry, entry + 1 or LAST, axis, 1))
        elif bounds(entry, call.x.shape[axis]) != (0, LAST, 1):
            start, end, step = bounds(entry, call.x.shape[axis])
            cuts.append((start, end, axis, step))
        axis += 1
    nodes: list[tuple[Any, ...]] = [("Slice", *map(w.ints, zip(*cuts, strict=True)))] if cuts else []
    nodes += [(operator, w.ints(which)) for operator, which in (("Squeeze", gone), ("Unsqueeze", new)) if which]
    x: Any = call.x
    for operator, *inputs in nodes[:-1]:
        x = w.add(operator, x, *inputs)
    operator, *inputs = nodes[-1] if nodes else ("Identity",)
    w.result(call, operator, x, *inputs)


def bounds(span: Span, n: int) -> tuple[int, int, int]:
    """(start, end, step) of a slice; an end that is the axis's is open, for an axis that follows the batch size."""
    step = 1 if span.step is None else span.step
    if step < 0:
        return -1 if span.start is None else span.start, FIRST if span.stop is None else span.stop, step
    open_end = span.stop is None or (isinstance(span.stop, BatchNumber) and span.stop == n)
    return span.start or 0, LAST if span.stop is None or open_end else span.stop, step


@emits("Take")
def take(w: Writer, call: Call) -> None:
    """Gather along one axis."""
    if sum(call.where) != 1:
        raise w.refuse(f"an index of {sum(call.where)} arrays")
    w.result(call, "Gather", call.x, call.arrays[0], axis=call.where.index(True))


@emits("Gather")
def gather(w: Writer, call: Call) -> None:
    """GatherElements."""
    w.result(call, "GatherElements", call.x, call.index, axis=call.axis)


@emits("Unfold")
def unfold(w: Writer, call: Call) -> None:
    """Conv with filters of a single 1, one for each pixel of a block."""
    (kh, kw), dilation, (ph, pw), stride = call.window
    channels, taps = call.x.shape[1], kh * kw
    pick = np.tile(np.eye(taps, dtype=call.x.dtype).reshape(taps, 1, kh, kw), (channels, 1, 1, 1))
    blocks = w.add(
        "Conv",
        call.x,
        pick,
        group=channels,
        kernel_shape=[kh, kw],
        dilations=list(dilation),
        pads=[ph, pw, ph, pw],
        strides=list(stride),
    )
    w.result(call, "Reshape", blocks, w.ints([0, channels * taps, -1]))
