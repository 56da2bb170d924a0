"""What detectors use: NonMaxSuppression and RoiAlign."""

from math import ceil
from typing import Any

import numpy as np

from ..nn import functional as F
from ..tensor import Tensor
from .table import Node, number, operator, seen, sized, unsupported


@operator("NonMaxSuppression", fixed=(2, 3, 4))
def non_max_suppression(
    node: Node, boxes: Any, scores: Any, most: Any = None, overlap: Any = None, least: Any = None
) -> Any:
    """Rows (image, class, box) of the boxes kept: by falling score, none that overlaps a kept one of its class more.

    boxes (N, boxes, 4): two corners (y, x), or with center_point_box the middle and the size (x, y); scores
    (N, classes, boxes).
    """
    fits = boxes.ndim == scores.ndim == 3 and boxes.shape[2] == 4
    if not fits or (boxes.shape[0], boxes.shape[1]) != (scores.shape[0], scores.shape[2]):
        raise ValueError(
            f"{node}: boxes {list(boxes.shape)}, scores {list(scores.shape)}; it takes (N, B, 4) and (N, C, B)"
        )
    count = 0 if most is None else int(number(node, most, "max_output_boxes_per_class"))
    limit = 0.0 if overlap is None else number(node, overlap, "iou_threshold")
    floor = -np.inf if least is None else number(node, least, "score_threshold")
    kept = []
    for image, corners in enumerate(corners_of(np.asarray(seen(boxes)), node.get("center_point_box", 0))):
        for kind, values in enumerate(np.asarray(seen(scores))[image]):
            kept += [(image, kind, box) for box in suppressed(corners, values, count, limit, floor)]
    return Tensor(np.asarray(kept, np.int64).reshape(-1, 3))


def corners_of(boxes: Any, centred: int) -> Any:
    """Boxes as (y1, x1, y2, x2), smaller corner first."""
    if centred:
        x, y, w, h = np.moveaxis(boxes, -1, 0)
        return np.stack([y - h / 2, x - w / 2, y + h / 2, x + w / 2], -1)
    first, second = boxes[..., :2], boxes[..., 2:]
    return np.concatenate([np.minimum(first, second), np.maximum(first, second)], -1)


def suppressed(boxes: Any, scores: Any, count: int, limit: float, floor: float) -> list[int]:
    """Return the boxes of one class to keep."""
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] > floor]
    area = np.prod(boxes[:, 2:] - boxes[:, :2], -1)
    kept: list[int] = []
    while order.size and len(kept) < count:
        best, order = order[0], order[1:]
        kept.append(int(best))
        low = np.maximum(boxes[best, :2], boxes[order, :2])
        high = np.minimum(boxes[best, 2:], boxes[order, 2:])
        shared = np.prod(np.clip(high - low, 0, None), -1)
        union = area[best] + area[order] - shared
        order = order[~((shared > 0) & (shared > limit * union))]
    return kept


@operator("RoiAlign", fixed=(1, 2))
def roi_align(node: Node, x: Any, rois: Any, images: Any) -> Any:
    """Each region (x1, y1, x2, y2) of an image as a small picture: the mean, or largest, of places within each cell.

    A cell has sampling_ratio places along an axis (0: one a pixel), each between four pixels.  mode max takes the
    largest of the weighted pixels, as the standard has it.
    """
    mode = node.get("mode", "avg")
    size = node.get("output_height", 1), node.get("output_width", 1)
    named = node.get("coordinate_transformation_mode", "half_pixel" if node.opset >= 16 else "output_half_pixel")
    if mode not in ("avg", "max") or named not in ("half_pixel", "output_half_pixel"):
        raise unsupported(node, f"mode {mode!r}, {named!r}", "avg or max; half_pixel or output_half_pixel")
    regions, batch = np.asarray(seen(rois)), np.asarray(seen(images)).reshape(-1)
    if x.ndim != 4 or regions.shape != (batch.size, 4) or not ((batch >= 0) & (batch < x.shape[0])).all():
        raise ValueError(f"{node}: X {list(x.shape)}, rois {list(rois.shape)}, batch_indices {batch.tolist()[:9]}")
    sized(node, (batch.size, x.shape[1], *size))
    pictures = []
    for region, image in zip(regions * regions.dtype.type(node.get("spatial_scale", 1.0)), batch, strict=True):
        corner, extent = region[1::-1], region[:1:-1] - region[1::-1]
        if named == "half_pixel":
            corner = corner - 0.5
        else:
            extent = np.maximum(extent, 1.0)
        ratio = node.get("sampling_ratio", 0)
        lines = [places(node, *one, ratio) for one in zip(corner, extent, size, x.shape[2:], strict=True)]
        pictures.append(mean_of(x[int(image)], lines) if mode == "avg" else largest_of(x[int(image)], lines))
    return F.stack(pictures, 0) if pictures else Tensor(np.zeros((0, x.shape[1], *size), x.dtype))


def places(node: Node, corner: float, extent: float, cells: int, n: int, ratio: int) -> Any:
    """Along one axis, (cells, places a cell, 2) pixels and weights; a place off the image weighs nothing."""
    each = ratio if ratio > 0 else max(ceil(extent / cells) if np.isfinite(extent) else 0, 0)
    sized(node, (cells, each, n))
    step, kind = extent / cells, np.asarray(extent).dtype.type  # in the regions' precision: an edge is in or out
    within = (np.arange(each) + 0.5).astype(kind) * step / kind(max(each, 1))
    at = corner + np.arange(cells)[:, None].astype(kind) * step + within
    inside = (at >= -1) & (at <= n)
    at = np.clip(np.where(inside, at, 0), 0, n - 1)
    low = np.floor(at).astype(np.int64)
    high = np.minimum(low + 1, n - 1)
    share = at - low
    return np.stack([low, high], -1), np.stack([(1 - share) * inside, share * inside], -1)


def mean_of(x: Any, lines: Any) -> Any:
    """Return the mean of each cell of one image: a product with a matrix along each axis."""
    matrices = []
    for (index, weight), n in zip(lines, x.shape[1:], strict=True):
        matrix = np.zeros((index.shape[0], n))
        np.add.at(matrix, (np.arange(index.shape[0])[:, None, None], index), weight / max(index.shape[1], 1))
        matrices.append(Tensor(matrix.astype(x.dtype)))
    return F.matmul(F.matmul(matrices[0], x), F.t(matrices[1]))


def largest_of(x: Any, lines: Any) -> Any:
    """Return the largest weighted pixel of each cell of one image."""
    (rows, row_weights), (columns, column_weights) = lines
    if not rows.size or not columns.size:
        return Tensor(np.zeros((x.shape[0], rows.shape[0], columns.shape[0]), x.dtype))
    r, c = np.broadcast_arrays(rows[:, None, :, None, :, None], columns[None, :, None, :, None, :])
    weight = row_weights[:, None, :, None, :, None] * column_weights[None, :, None, :, None, :]
    pixels = F.getitem(x, (slice(None), Tensor(r.copy()), Tensor(c.copy())))
    return F.amax(pixels * Tensor(weight.astype(x.dtype)), (3, 4, 5, 6))
