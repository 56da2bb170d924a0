"""Shapes: reshaping, joining, cutting, padding, picking, and constants."""

from math import prod
from typing import Any

import numpy as np

from ..nn import functional as F
from ..ops.indexing import getitem
from ..tensor import Tensor
from .table import HALVES, Node, axis_of, fitted, held, number, numbers, operator, plain, rounded, sized, unsupported


@operator("Identity")
def identity(node: Node, x: Any = None) -> Any:
    """x, which may be an optional value that holds nothing."""
    return x


@operator("Flatten")
def flatten(node: Node, x: Any) -> Any:
    """Return a matrix: the axes before `axis` as rows, the others as columns."""
    axis = node.get("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    if not 0 <= axis <= x.ndim:
        raise ValueError(f"{node}: axis {axis} of a tensor with {x.ndim} axes")
    return F.reshape(x, (prod(x.shape[:axis]), prod(x.shape[axis:])))


@operator("Reshape")
def reshape(node: Node, x: Any, shape: Any) -> Any:
    """Another shape: 0 keeps a length (unless allowzero), one -1 is what is left."""
    wanted = numbers(shape)
    if not node.get("allowzero", 0):
        if any(n == 0 and i >= x.ndim for i, n in enumerate(wanted)):
            raise ValueError(f"{node}: the shape {wanted} keeps an axis that {list(x.shape)} does not have")
        wanted = [x.shape[i] if n == 0 else n for i, n in enumerate(wanted)]
    if -1 in wanted and 0 in wanted:  # nothing can be divided among nothing
        return F.reshape(x, tuple(0 if n == -1 else n for n in wanted))
    return F.reshape(x, tuple(wanted))


@operator("Transpose")
def transpose(node: Node, x: Any) -> Any:
    """Return the axes in another order, by default reversed."""
    return F.permute(x, tuple(node.get("perm") or reversed(range(x.ndim))))


def axes_input(node: Node, axes: Any) -> list[int]:
    """Axes: an attribute up to opset 12, an input since then."""
    return list(node.get("axes") or []) if node.opset < 13 else numbers(axes)


@operator("Squeeze")
def squeeze(node: Node, x: Any, axes: Any = None) -> Any:
    """Without these axes of length 1, by default without all of them."""
    given = {axis_of(node, a, x.ndim) for a in axes_input(node, axes)}
    drop = given or {i for i, n in enumerate(x.shape) if n == 1}
    if any(x.shape[a] != 1 for a in drop):
        raise ValueError(f"{node}: axes {sorted(drop)} of shape {list(x.shape)}; it takes axes of length 1")
    return F.reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in drop))


@operator("Unsqueeze")
def unsqueeze(node: Node, x: Any, axes: Any = None) -> Any:
    """With axes of length 1 at these places of the result."""
    given = axes_input(node, axes)
    ndim = x.ndim + len(given)
    new = {axis_of(node, a, ndim) for a in given}
    if len(new) != len(given):
        raise ValueError(f"{node}: axes {given} name one of {ndim} axes twice")
    old = iter(x.shape)
    return F.reshape(x, tuple(1 if i in new else next(old) for i in range(ndim)))


@operator("Concat")
def concat(node: Node, *xs: Any) -> Any:
    """Tensors one after another along an axis."""
    axis = axis_of(node, node.get("axis", 0), xs[0].ndim)
    if all(x.ndim == xs[0].ndim for x in xs):
        sized(node, [sum(x.shape[a] for x in xs) if a == axis else n for a, n in enumerate(xs[0].shape)])
    return F.cat(xs, axis)


@operator("Split")
def split(node: Node, x: Any, lengths: Any = None) -> Any:
    """Consecutive parts along an axis: of given lengths, or equal, the last one shorter if need be."""
    axis, parts = axis_of(node, node.get("axis", 0), x.ndim), len(node.outputs)
    given = node.get("split") if node.opset < 13 else numbers(lengths)
    if not given:
        size = -(-x.shape[axis] // parts)
        given = [max(0, min(size, x.shape[axis] - i * size)) for i in range(parts)]
    if len(given) != parts or sum(given) != x.shape[axis]:
        raise ValueError(f"{node}: {parts} parts of lengths {list(given)} of an axis of length {x.shape[axis]}")
    return F.split(x, list(given), axis)


@operator("Slice")
def slice_(node: Node, x: Any, starts: Any = None, ends: Any = None, axes: Any = None, steps: Any = None) -> Any:
    """Return every step-th element from start up to end along axes; attributes up to opset 9, inputs since then."""
    if node.opset < 10:
        first, last, which, step = node.get("starts"), node.get("ends"), node.get("axes"), None
    else:
        first, last, which, step = numbers(starts), numbers(ends), numbers(axes), numbers(steps)
    which, step = which or range(len(first)), step or [1] * len(first)
    if 0 in step or not len(first) == len(last) == len(which) == len(step):
        raise ValueError(
            f"{node}: starts {first}, ends {last}, axes {list(which)}, steps {step}; it takes as many of "
            "each, and steps other than 0"
        )
    index: list[Any] = [slice(None)] * x.ndim
    for a, b, axis, s in zip(first, last, which, step, strict=True):
        axis = axis_of(node, axis, x.ndim)
        places = range(*slice(a, b if s > 0 or b >= -x.shape[axis] else None, s).indices(x.shape[axis]))
        if s > 0:
            index[axis] = slice(places.start, max(places.start, places.stop), s)
        else:
            x = F.index_select(x, axis, Tensor(np.asarray(places, np.int64)))
    return getitem(x, tuple(index)) if index else x


PAD_MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


@operator("Pad", fixed=(1, 2, 3))
def pad(node: Node, x: Any, pads: Any = None, value: Any = None, axes: Any = None) -> Any:
    """Return a border of a constant or of the tensor's own elements (reflect, edge, wrap); negative widths cut off."""
    mode = node.get("mode", "constant")
    if mode not in PAD_MODES:
        raise unsupported(node, f"mode {mode!r}", ", ".join(PAD_MODES))
    given = list(node.get("pads")) if node.opset < 11 else numbers(pads)
    constant = node.get("value", 0.0) if node.opset < 11 else numbers(value)[0] if value is not None else 0
    which = [axis_of(node, a, x.ndim) for a in numbers(axes)] if axes is not None else list(range(x.ndim))
    if len(given) != 2 * len(which):
        raise ValueError(f"{node}: pads {given} for {len(which)} axes; it takes two numbers an axis")
    widths = [(0, 0)] * x.ndim
    for i, axis in enumerate(which):
        widths[axis] = given[i], given[i + len(which)]
    sized(node, [n + a + b for n, (a, b) in zip(x.shape, widths, strict=True)])
    if mode == "constant":
        return F.pad(x, flat(widths), value=constant)
    if min(flat(widths), default=0) < 0:
        x = F.pad(x, [min(w, 0) for w in flat(widths)])
    return F.pad(x, [max(w, 0) for w in flat(widths)], PAD_MODES[mode])


def flat(widths: list[tuple[int, int]]) -> list[int]:
    """(before, after) of each axis as F.pad takes them: the last axis first."""
    return [w for pair in reversed(widths) for w in pair]


@operator("CenterCropPad")
def center_crop_pad(node: Node, x: Any, shape: Any) -> Any:
    """Return the middle of x in another shape: cut off where it is longer, with zeros around where it is shorter."""
    which = [axis_of(node, a, x.ndim) for a in node.get("axes") or range(x.ndim)]
    widths = [(0, 0)] * x.ndim
    for axis, wanted in zip(which, numbers(shape), strict=True):
        missing = wanted - x.shape[axis]
        before = missing // 2 if missing > 0 else -(-missing // 2)
        widths[axis] = before, missing - before
    sized(node, [n + a + b for n, (a, b) in zip(x.shape, widths, strict=True)])
    return F.pad(x, flat(widths))


@operator("Expand")
def expand(node: Node, x: Any, shape: Any) -> Any:
    """Broadcast against a shape."""
    return F.broadcast_to(x, sized(node, np.broadcast_shapes(x.shape, tuple(numbers(shape)))))


@operator("Tile")
def tile(node: Node, x: Any, repeats: Any) -> Any:
    """Return copies side by side along each axis."""
    times = numbers(repeats)
    sized(node, [n * r for n, r in zip(x.shape, times, strict=True)])
    return F.tile(x, tuple(times))


@operator("Gather")
def gather(node: Node, x: Any, indices: Any) -> Any:
    """Return the slices along an axis that integers name; negative ones count from the end."""
    axis = axis_of(node, node.get("axis", 0), x.ndim)
    sized(node, (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))
    index = int(number(node, indices, "indices")) if indices.ndim == 0 else indices.to(np.int64)
    return getitem(x, (*[slice(None)] * axis, index))


@operator("GatherElements")
def gather_elements(node: Node, x: Any, indices: Any) -> Any:
    """x[indices[i, j], j] for axis 0, likewise for others."""
    axis = axis_of(node, node.get("axis", 0), x.ndim)
    positive = plain(lambda i: np.where(i < 0, i + x.shape[axis], i), indices)
    return F.gather(x, axis, positive)


@operator("Shape")
def shape_of(node: Node, x: Any) -> Any:
    """Return the lengths of the axes from `start` up to `end`, in int64."""
    return Tensor(np.asarray(x.shape[node.get("start", 0) : node.get("end")], np.int64))


@operator("Size")
def size(node: Node, x: Any) -> Any:
    """Return the number of elements, in int64."""
    return Tensor(np.asarray(x.array.size, np.int64))


@operator("Constant")
def constant(node: Node) -> Any:
    """Return a tensor written in the node."""
    for key, dtype in (
        ("value", None),
        ("value_float", np.float32),
        ("value_floats", np.float32),
        ("value_int", np.int64),
        ("value_ints", np.int64),
    ):
        if node.get(key) is not None:
            return Tensor(np.asarray(node.get(key), dtype))
    raise unsupported(node, f"a constant given as {', '.join(node.attributes)}", "dense tensors of numbers")


@operator("ConstantOfShape")
def constant_of_shape(node: Node, shape: Any) -> Any:
    """Return one value everywhere, by default a float32 0."""
    value = node.get("value")
    value = np.zeros(1, np.float32) if value is None else value
    return Tensor(np.full(sized(node, numbers(shape)), value.reshape(-1)[0], value.dtype))


@operator("Range")
def range_(node: Node, start: Any, limit: Any, delta: Any) -> Any:
    """start, start + delta, ... before limit."""
    first, last, step = (number(node, t, what) for t, what in ((start, "start"), (limit, "limit"), (delta, "delta")))
    if step == 0 or not np.isfinite([first, last, step]).all():
        raise ValueError(f"{node}: from {first} to {last} by {step}; it takes finite numbers, and a step other than 0")
    sized(node, [max(0, int(np.ceil((last - first) / step)))])
    return Tensor(np.arange(first, last, step).astype(start.dtype))


@operator("Cast")
def cast(node: Node, x: Any) -> Any:
    """Another dtype; bool is whether an element is not 0.  float16 and bfloat16 are rounded to, and held in float32."""
    to = node.get("to")
    dtype = held(node, to)
    if x.dtype == dtype and to not in HALVES:
        return x
    with np.errstate(all="ignore"):
        return rounded(x.to(dtype), to) if to in HALVES else x.to(dtype)


@operator("CastLike")
def cast_like(node: Node, x: Any, other: Any) -> Any:
    """Return the dtype of another tensor."""
    with np.errstate(all="ignore"):
        return x if x.dtype == other.dtype else x.to(other.dtype)


@operator("Where")
def where(node: Node, condition: Any, x: Any, y: Any) -> Any:
    """x where the condition holds, else y; all broadcast."""
    fitted(node, condition, x, y)
    return F.where(condition, x, y)


@operator("DepthToSpace")
def depth_to_space(node: Node, x: Any) -> Any:
    """Blocks of channels become blocks of pixels; mode DCR: the block's position varies slowest over the channels."""
    b, (n, c, h, w) = node.get("blocksize"), x.shape
    if node.get("mode", "DCR") == "CRD":
        return F.pixel_shuffle(x, b)
    blocks = F.reshape(x, (n, b, b, c // (b * b), h, w))
    return F.reshape(F.permute(blocks, (0, 3, 4, 1, 5, 2)), (n, c // (b * b), h * b, w * b))


@operator("SpaceToDepth")
def space_to_depth(node: Node, x: Any) -> Any:
    """Blocks of pixels become channels; mode DCR (the only one before opset 28) puts the block's position first."""
    b, (n, c, h, w) = node.get("blocksize"), x.shape
    if node.get("mode", "DCR") == "CRD":
        return F.pixel_unshuffle(x, b)
    blocks = F.reshape(x, (n, c, h // b, b, w // b, b))
    return F.reshape(F.permute(blocks, (0, 3, 5, 1, 2, 4)), (n, c * b * b, h // b, w // b))
