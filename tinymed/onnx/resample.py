"""Resize and Upsample: along each axis, output pixel i lies at a place of the input and weighs the pixels around it."""

from collections.abc import Callable, Sequence
from math import floor
from typing import Any, NamedTuple

import numpy as np

from ..nn import functional as F
from ..tensor import Tensor
from .table import Node, axis_of, floating, like, numbers, operator, sized, unsupported

LINEAR = {3: "linear", 4: "bilinear", 5: "trilinear"}


class Axis(NamedTuple):
    """One axis to resize: its number, old and new length, new / old as the node has it, and the part to crop."""

    axis: int
    n: int
    m: int
    scale: float
    roi: tuple[float, float]


@operator("Resize", fixed=(1, 2, 3))
def resize(node: Node, x: Any, roi: Any = None, scales: Any = None, sizes: Any = None) -> Any:
    """Other lengths of some axes, by `scales` or `sizes`, with every mode of opset 19."""
    if node.opset < 11:  # (x, scales), places i / scale
        node = adapted(node, coordinate_transformation_mode="asymmetric", nearest_mode="simple")
        scales, roi = roi, None
    which = [axis_of(node, a, x.ndim) for a in node.get("axes") or range(x.ndim)]
    axes = lengths(node, x.shape, which, numbers(roi), numbers(scales), numbers(sizes))
    return resized(node, x, [a for a in axes if a.m != a.n or a.scale != 1 or a.roi != (0.0, 1.0)])


@operator("Upsample", fixed=(1,))
def upsample(node: Node, x: Any, scales: Any = None) -> Any:
    """Resize at places i / scale; up to opset 8 the scales are an attribute."""
    factors = node.get("scales") if scales is None else numbers(scales)
    node = adapted(node, coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    axes = lengths(node, x.shape, list(range(x.ndim)), [], list(factors), [])
    return resized(node, x, [a for a in axes if a.scale != 1])


def adapted(node: Node, **attributes: Any) -> Node:
    """Return the node with other attributes; an old Upsample also says bilinear for linear."""
    mode = {"bilinear": "linear"}.get(node.get("mode", "nearest"), node.get("mode", "nearest"))
    return Node(
        node.operator, node.name, node.inputs, node.outputs, node.attributes | attributes | {"mode": mode}, node.opset
    )


def lengths(
    node: Node, shape: Sequence[int], which: list[int], roi: list[float], scales: list[float], sizes: list[int]
) -> list[Axis]:
    """Return what becomes of each axis.  Raises ValueError unless exactly one of scales and sizes fits the axes."""
    given, old = scales or sizes, [shape[a] for a in which]
    if bool(scales) == bool(sizes) or len(given) != len(which) or (roi and len(roi) != 2 * len(which)):
        raise ValueError(
            f"{node}: scales {scales}, sizes {sizes}, roi {roi} for {len(which)} axes; it takes either "
            "scales or sizes, one an axis, and two numbers an axis in roi"
        )
    if min(given) <= 0:
        raise ValueError(f"{node}: scales or sizes are {given}; they must be above 0")
    policy = node.get("keep_aspect_ratio_policy", "stretch")
    if sizes and policy != "stretch":
        scale = (min if policy == "not_larger" else max)(m / n for m, n in zip(sizes, old, strict=True))
        scales, sizes = [scale] * len(which), [floor(scale * n + 0.5) for n in old]
    crops = [(roi[i], roi[i + len(which)]) if roi else (0.0, 1.0) for i in range(len(which))]
    cropping = node.get("coordinate_transformation_mode") == "tf_crop_and_resize"
    if not sizes:
        parts = [n * (b - a) if cropping else n for n, (a, b) in zip(old, crops, strict=True)]
        sizes = [floor(np.float32(n) * np.float32(s)) for n, s in zip(parts, scales, strict=True)]
    scales = scales or [m / n for m, n in zip(sizes, old, strict=True)]
    new = dict(zip(which, sizes, strict=True))
    sized(node, [new.get(a, n) for a, n in enumerate(shape)])
    return [
        Axis(*one)
        for one in zip(which, old, sizes, scales, crops if cropping else [(0.0, 1.0)] * len(which), strict=True)
    ]


def resized(node: Node, x: Any, axes: list[Axis]) -> Any:
    """x with these axes resized, one after another; through the engine's own kernels where they say the same."""
    mode, dtype = node.get("mode", "nearest"), x.dtype
    if mode not in ("nearest", "linear", "cubic"):
        raise unsupported(node, f"mode {mode!r}", "nearest, linear, cubic")
    if any(a.m == 0 for a in axes):
        new = {a.axis: a.m for a in axes}
        return Tensor(np.zeros([new.get(a, n) for a, n in enumerate(x.shape)], dtype))
    places = [place(node, a) for a in axes]
    picks = [picked(node, a, p) for a, p in zip(axes, places, strict=True)] if mode == "nearest" else []
    at_once = in_one_kernel(node, x, axes, picks)
    if at_once is not None:
        return at_once
    for axis, index in zip(axes, picks, strict=False):
        x = F.index_select(x, axis.axis, Tensor(index))
    if mode != "nearest":
        x = x if floating(x) else x.to(np.float32)
        for axis, at in zip(axes, places, strict=True):
            matrix = Tensor(weights(node, axis, at).T.astype(x.dtype))
            x = F.movedim(F.matmul(F.movedim(x, axis.axis, -1), matrix), -1, axis.axis)
    if node.get("coordinate_transformation_mode") == "tf_crop_and_resize":
        x = extrapolated(node, x, axes, places)
    return like(x, x if floating(x) else Tensor(np.zeros((), dtype)))


def in_one_kernel(node: Node, x: Any, axes: list[Axis], picks: list[Any]) -> Any:
    """Return the result of F.interpolate, or None where it would differ."""
    space = [next((a for a in axes if a.axis == i), None) for i in range(2, x.ndim)]
    mode = node.get("coordinate_transformation_mode", "half_pixel")
    if x.ndim not in LINEAR or not floating(x) or len([a for a in space if a]) != len(axes) or not axes:
        return None
    size = [a.m if a else n for a, n in zip(space, x.shape[2:], strict=True)]
    if picks:
        simple = all(
            a.m % a.n == 0 and np.array_equal(p, np.arange(a.m) // (a.m // a.n))
            for a, p in zip(axes, picks, strict=True)
        )
        return F.interpolate(x, size) if simple else None
    exact = all(a.scale == a.m / a.n and (a.m > 1 or a.n == 1) for a in axes)
    if node.get("mode") != "linear" or not exact or node.get("antialias", 0) or node.get("exclude_outside", 0):
        return None
    if mode not in ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric", "align_corners"):
        return None
    return F.interpolate(x, size, mode=LINEAR[x.ndim], align_corners=mode == "align_corners")


# ------------------------------------------------------------------------------------------- one axis


def place(node: Node, a: Axis) -> Any:
    """Return where each output pixel of an axis lies in the input, in pixels."""
    # A place on the border of two pixels must fall as it does elsewhere, and a scale of the file has 32 bits.
    kind: Any = np.float32 if node.get("mode", "nearest") == "nearest" else np.float64
    i: Any = np.arange(a.m, dtype=kind)
    scale = kind(a.scale)
    wide = scale * a.n  # the new length before it was rounded
    half = (i + 0.5) / scale - 0.5
    mode = node.get("coordinate_transformation_mode", "half_pixel")
    rules: dict[str, Callable[[], Any]] = {
        "half_pixel": lambda: half,
        "pytorch_half_pixel": lambda: half if wide != 1 else np.full(a.m, -0.5),
        "half_pixel_symmetric": lambda: a.n / 2 * (1 - a.m / wide) + (i + 0.5) / scale - 0.5,
        "asymmetric": lambda: i / scale,
        "align_corners": lambda: i * (a.n - 1) / (wide - 1) if wide != 1 else np.zeros(a.m),
        "tf_crop_and_resize": lambda: cropped(a, i, wide),
        "tf_half_pixel_for_nn": lambda: (i + 0.5) / scale,
    }
    if mode not in rules:
        raise unsupported(node, f"coordinate_transformation_mode {mode!r}", ", ".join(rules))
    return rules[mode]()


def cropped(a: Axis, i: Any, wide: float) -> Any:
    """Places between the ends of the region of interest, which is given as shares of the axis."""
    first, last = a.roi
    if a.m == 1:
        return np.full(1, 0.5 * (first + last) * (a.n - 1))
    return first * (a.n - 1) + i * (last - first) * (a.n - 1) / (a.m - 1)


def picked(node: Node, a: Axis, at: Any) -> Any:
    """Return the nearest input pixel of each place."""
    rules = {
        "round_prefer_floor": lambda: np.ceil(at - 0.5),
        "round_prefer_ceil": lambda: np.floor(at + 0.5),
        "floor": lambda: np.floor(at),
        "ceil": lambda: np.ceil(at),
        "simple": lambda: np.ceil(at) if a.scale < 1 else np.floor(at),  # of opset 10, as ONNX Runtime reads it
    }
    mode = node.get("nearest_mode", "round_prefer_floor")
    if mode not in rules:
        raise unsupported(node, f"nearest_mode {mode!r}", ", ".join(rules))
    return np.clip(rules[mode](), 0, a.n - 1).astype(np.int64)


def weights(node: Node, a: Axis, at: Any) -> Any:
    """Return the matrix (m, n) of what each output pixel takes of each input pixel.

    A pixel at distance d weighs the filter at d, or with antialias at d scale when shrinking (then all are divided by
    their sum).  Pixels beyond the ends count as the last ones, or with exclude_outside not at all.
    """
    cubic, smooth = node.get("mode") == "cubic", bool(node.get("antialias", 0))
    shrink = min(a.scale, 1.0) if smooth else 1.0
    reach = int(np.ceil((2 if cubic else 1) / shrink)) + 1
    taps = np.floor(at).astype(np.int64)[:, None] + np.arange(-reach, reach + 1)
    distance = np.abs(taps - at[:, None]) * shrink
    share = keys(distance, node.get("cubic_coeff_a", -0.75)) if cubic else np.clip(1 - distance, 0, None)
    outside = (taps < 0) | (taps >= a.n)
    if node.get("exclude_outside", 0):
        share = np.where(outside, 0.0, share)
    if smooth or node.get("exclude_outside", 0):
        share = share / share.sum(1, keepdims=True)
    matrix = np.zeros((a.m, a.n))
    np.add.at(matrix, (np.arange(a.m)[:, None], np.clip(taps, 0, a.n - 1)), share)
    return matrix


def keys(d: Any, a: float) -> Any:
    """Return the cubic filter at distances d >= 0.  Keys 1981, equation 15 with the free parameter a."""
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def extrapolated(node: Node, x: Any, axes: list[Axis], places: list[Any]) -> Any:
    """Return a constant where a place lies outside the input."""
    outside = np.zeros((1,) * x.ndim, bool)
    for a, at in zip(axes, places, strict=True):
        outside = outside | ((at < 0) | (at > a.n - 1)).reshape(-1, *[1] * (x.ndim - 1 - a.axis))
    value = Tensor(np.asarray(node.get("extrapolation_value", 0.0), x.dtype))
    return F.where(Tensor(outside), value, x) if outside.any() else x
