"""What a method without a network finds on bccd_detection: Otsu's threshold, connected components, the nearest class.

    python benchmarks/box_floor.py DATA/bccd_detection

Cells are darker in green than the plasma.  Of the training boxes the logarithms of both sides and the mean of each
colour are kept, by class their mean, over all their deviation; a component's box has the class that is nearest by them,
and is the better the nearer it is.  Written to benchmarks/results/box_floor.json.
"""

import argparse
from pathlib import Path

import numpy as np
from peers import machine, save

from tinymed.data.boxes import open_boxes
from tinymed.data.components import components
from tinymed.imaging import otsu_threshold
from tinymed.metrics.boxes import Detections
from tinymed.metrics.detection import evaluate_detections

RESULT = Path(__file__).resolve().parent / "results" / "box_floor.json"
LEAST = 10  # pixels a side, below which a component is no cell


def described(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return float64 [n, 5] of boxes [n, 4]: the logarithms of width and height, and the mean of each colour."""
    rows = []
    for left, top, right, bottom in boxes.astype(int):
        inside = image[top:bottom, left:right].reshape(-1, 3)
        rows.append([np.log(right - left), np.log(bottom - top), *inside.mean(axis=0)])
    return np.array(rows, float).reshape(-1, 5)


def component_boxes(image: np.ndarray) -> np.ndarray:
    """Return float64 [n, 4]: the boxes of what is darker in green than Otsu's threshold."""
    green = image[:, :, 1:2]
    numbers = components(green[:, :, 0] < otsu_threshold(green))
    found = []
    for number in range(1, int(numbers.max()) + 1):
        rows, columns = np.nonzero(numbers == number)
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        if min(box[2] - box[0], box[3] - box[1]) >= LEAST:
            found.append(box)
    return np.array(found, float).reshape(-1, 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    sets = open_boxes(str(parser.parse_args().data))
    train, test = sets["train"], sets["test"]
    known = np.concatenate([described(train.image(i), train.boxes[i]) for i in range(len(train))])
    kinds, spread = np.concatenate(train.kinds), known.std(axis=0)
    middles = np.stack([known[kinds == kind].mean(axis=0) for kind in range(len(train.classes))]) / spread
    found = []
    for index in range(len(test)):
        image = test.image(index)
        boxes = component_boxes(image)
        apart = np.linalg.norm((described(image, boxes) / spread)[:, None] - middles, axis=2)
        order = np.argsort(apart.min(axis=1, initial=np.inf), kind="stable")
        found.append(Detections(boxes[order], -apart.min(axis=1, initial=np.inf)[order], apart.argmin(axis=1)[order]))
    result = evaluate_detections(found, test.boxes, test.kinds, test.classes)
    kept = {name: {k: row[k] for k in ("ap", "ap_interval", "boxes")} for name, row in result["per_class"].items()}
    save(RESULT, {"machine": machine(), "ap": result["ap"], "ap_interval": result["ap_interval"], "per_class": kept})
    print(kept)


if __name__ == "__main__":
    main()
