"""The box about a structure from three sequences of slices (after de Vos et al. 2016), on hippocampus_3d.

    python benchmarks/slice_boxes.py FOLDER [--epochs 6] [--out results/slice_boxes.json]

FOLDER holds splits.csv (path, mask, split) and the volumes it names.  Along each axis of a volume a `cnn_bigru` of its
own tells which slices hold the structure, as in slice_sequences.py; the longest run of such slices, found or true, is
the box's side.  The floor looks at no pixel: the slices at whose relative position more than half of the training
volumes hold the structure.  Measured are the overlap with the true box (the volume of both over that of either) and the
distance of the six faces; intervals, and those of the differences, resample volumes.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import peers
from slice_sequences import interval, load, positions, train

import tinymed
from tinymed.models import CNNBiGRU

AXES = 3


def longest_run(present: np.ndarray) -> tuple[int, int]:
    """Return (first, one after the last) of the longest run of slices, the first of several; (0, 0) without any."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], present.astype(int), [0]])))
    runs = [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
    return max(runs, key=lambda run: run[1] - run[0], default=(0, 0))


def boxes(answers: list[list[np.ndarray]]) -> np.ndarray:
    """Return boxes (volumes, axes, 2) of the answers of each axis, each a probability a slice a volume."""
    sides = [[longest_run(p >= 0.5) for p in axis] for axis in answers]
    return np.array(sides).transpose(1, 0, 2)


def overlap(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return of each pair of boxes (n, axes, 2) the volume of both over that of either."""
    low, high = np.maximum(found[..., 0], true[..., 0]), np.minimum(found[..., 1], true[..., 1])
    both = np.maximum(high - low, 0).prod(axis=1)
    sizes = [(box[..., 1] - box[..., 0]).prod(axis=1) for box in (found, true)]
    shares: np.ndarray = both / (sizes[0] + sizes[1] - both)
    return shares


def faces(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return of each pair of boxes the mean distance of their six faces, in voxels."""
    distances: np.ndarray = np.abs(found - true).mean(axis=(1, 2))
    return distances


def compare(found: np.ndarray, floor: np.ndarray, true: np.ndarray) -> dict[str, Any]:
    """Return both measures of the network and of the floor, and the differences, with intervals over volumes."""
    ones = np.ones(len(true))
    rows: dict[str, Any] = {}
    for name, measure in (("overlap", overlap), ("face_distance", faces)):
        values = {"cnn_bigru": measure(found, true), "position": measure(floor, true)}
        values["difference"] = values["cnn_bigru"] - values["position"]
        rows[name] = {
            key: {"mean": round(float(each.mean()), 4), "interval": interval(each, ones)}
            for key, each in values.items()
        }
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found, floor, true, trained = [], [], [], []
    for axis in range(AXES):
        sets = load(options.folder, axis)
        tinymed.manual_seed(options.seed)
        answer, how = train(CNNBiGRU(per_slice=True), sets, options.epochs, options.seed)
        found.append(answer)
        floor.append(positions(sets))
        true.append([labels for _, labels in sets["test"]])
        trained.append({"axis": axis} | how)
    report = {
        "machine": peers.machine(),
        "data": "hippocampus_3d",
        "test_volumes": len(true[0]),
        "epochs": options.epochs,
        "seed": options.seed,
        "threads": os.environ.get("NUMBA_NUM_THREADS", "all"),
        "trained": trained,
        "results": compare(boxes(found), boxes(floor), boxes(true)),
    }
    print(json.dumps(report, indent=1))
    if options.out:
        peers.save(options.out, report)


if __name__ == "__main__":
    main()
