"""From a map of scores to boxes: peaks, and non-maximum suppression."""

import numpy as np

from ...metrics.boxes import Detections, overlaps


def suppress(boxes: np.ndarray, scores: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    """Return indices of the boxes that stay, best first: each drops those that overlap it by more than the threshold.

    Greedy non-maximum suppression; of equal scores the earlier box stays.
    """
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while order.size:
        best, order = int(order[0]), order[1:]
        kept.append(best)
        order = order[overlaps(boxes[best][None], boxes[order])[0] <= threshold]
    return np.array(kept, np.int64)


def smooth(scores: np.ndarray, radius: int) -> np.ndarray:
    """Return means over squares of side 2 radius + 1, twice, of maps [n, h, w]; fewer pixels count at the border."""
    if radius < 1:
        return scores
    for _ in range(2):
        for axis in (1, 2):
            length = scores.shape[axis]
            total = np.cumsum(np.insert(scores.astype(np.float64), 0, 0, axis=axis), axis=axis)
            high, low = (np.clip(np.arange(length) + d, 0, length) for d in (radius + 1, -radius))
            shape = [-1 if a == axis else 1 for a in range(3)]
            scores = (np.take(total, high, axis) - np.take(total, low, axis)) / (high - low).reshape(shape)
    return scores


def peaks(scores: np.ndarray, least: float) -> np.ndarray:
    """Return int64 [n, 2].

    rows and columns of a map [h, w] with no higher neighbour among 8 and a score not below least.

    Of a plateau the first pixel in reading order.
    """
    padded = np.pad(scores, 1, constant_values=-np.inf)
    height, width = scores.shape
    highest = scores >= least
    for row in range(3):
        for column in range(3):
            other = padded[row : row + height, column : column + width]
            highest &= (scores > other) if (row, column) < (1, 1) else (scores >= other)
    return np.argwhere(highest)


def detect(
    scores: np.ndarray, sizes: np.ndarray, radius: int = 2, least: float = 0.05, threshold: float = 0.5, most: int = 300
) -> Detections:
    """Return boxes of one image from maps of its objects.

    scores: [classes, h, w], 0...1.  sizes: [classes, 2, h, w]: width and height of a class's box whose middle lies at a
    pixel, in pixels of the map.  Scores are smoothed over `radius` pixels, each peak becomes a box, and of boxes of one
    class that overlap by more than `threshold` the best stays.
    """
    parts = []
    for kind, field in enumerate(smooth(scores, radius)):
        places = peaks(field, least)
        found = field[places[:, 0], places[:, 1]]
        half = sizes[kind][:, places[:, 0], places[:, 1]].T / 2
        middle = places[:, ::-1] + 0.5
        boxes = np.concatenate([middle - half, middle + half], axis=1)
        kept = suppress(boxes, found, threshold)
        parts.append((boxes[kept], found[kept], np.full(len(kept), kind, np.int64)))
    boxes, found, kinds = (np.concatenate(column) for column in zip(*parts, strict=True))
    best = np.argsort(-found, kind="stable")[:most]
    return Detections(boxes[best], found[best], kinds[best])
