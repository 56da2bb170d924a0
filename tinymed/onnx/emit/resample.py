"""Resizing, and sampling at the places of a grid."""

import numpy as np

from ...ops.grid_sample import MODES, NEAREST, PADDINGS, REFLECTION
from ..trace import Call
from ..writer import Writer, emits


@emits("UpsampleNearest")
def nearest(w: Writer, call: Call) -> None:
    """Resize: pixel i takes floor(i step), or with offset 1/2 the centre's, floor((i + 1/2) step)."""
    if call.offset not in (0.0, 0.5):
        raise w.refuse(f"offset {call.offset}")
    mode = "asymmetric" if call.offset == 0 else "half_pixel"
    # floor((i + 1/2) step) is the nearest centre, the right one of two equally near
    resize(
        w,
        call,
        mode="nearest",
        coordinate_transformation_mode=mode,
        nearest_mode="floor" if call.offset == 0 else "round_prefer_ceil",
    )


@emits("UpsampleLinear")
def linear(w: Writer, call: Call) -> None:
    """Resize: linear between the two pixels around i's place."""
    mode = "align_corners" if call.align_corners else "half_pixel"
    resize(w, call, mode="linear", coordinate_transformation_mode=mode)


def resize(w: Writer, call: Call, **attributes: str) -> None:
    """Resize by sizes of the axes of space (opset 18), or by scales where the step is not length / new length."""
    rank = len(call.size)
    space, lead = call.x.shape[-rank:], call.x.ndim - rank
    by_size = bool(getattr(call, "align_corners", False)) or all(
        s == n / m for s, n, m in zip(call.steps, space, call.size, strict=True)
    )
    if by_size and w.opset >= 18:
        axes = list(range(lead, call.x.ndim))
        w.result(call, "Resize", call.x, None, None, w.ints(call.size), axes=axes, **attributes)
        return
    scales = [m / n for n, m in zip(space, call.size, strict=True)] if by_size else [1 / s for s in call.steps]
    w.result(call, "Resize", call.x, None, np.asarray([1.0] * lead + scales, np.float32), **attributes)


@emits("GridSample")
def grid_sample(w: Writer, call: Call) -> None:
    """GridSample: images since opset 16, volumes since opset 20."""
    if w.opset < (20 if call.grid.ndim == 5 else 16):
        raise w.refuse(f"grid_sample of {call.grid.ndim - 2} axes of space")
    if call.mode == NEAREST and call.padding == REFLECTION:
        raise w.refuse("nearest sampling with reflection, which ONNX rounds before it reflects,")
    mode = list(MODES)[call.mode]
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode) if w.opset >= 20 else mode
    padding = list(PADDINGS)[call.padding]
    w.result(
        call, "GridSample", call.x, call.grid, mode=mode, padding_mode=padding, align_corners=int(call.align_corners)
    )
