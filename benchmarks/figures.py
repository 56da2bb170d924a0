"""What the small studies share: a mean with its interval, MNIST's digits, and a file of results of several studies."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import peers

RESULTS = peers.HERE / "results"


def mean_figure(values: np.ndarray, seed: int = 0, digits: int = 4) -> dict[str, Any]:
    """Return {"mean", "interval"}: of values, one a case, with the 95 % interval of the bootstrap over cases."""
    values = np.asarray(values, np.float64)
    drawn = np.random.default_rng(seed).integers(0, len(values), (2000, len(values)))
    low, high = np.percentile(values[drawn].mean(1), [2.5, 97.5])
    return {"mean": round(float(values.mean()), digits), "interval": [round(float(v), digits) for v in (low, high)]}


def figures(values: dict[str, np.ndarray], first: str) -> dict[str, Any]:
    """Return `mean_figure` of each of several ways, and of the first less each other, case by case."""
    found = {name: mean_figure(each) for name, each in values.items()}
    less = {f"{first} less {name}": mean_figure(values[first] - each) for name, each in values.items() if name != first}
    return found | less


def keep(path: Path, study: str, content: Any) -> None:
    """Write a study into a file of results, where the others stay as they were; and print it."""
    before = json.loads(path.read_text("utf-8")) if path.exists() else {}
    now = peers.machine()
    row = {"measured": {key: now[key] for key in ("processor", "date", "commit")}, **content}
    print(json.dumps({study: row}, indent=1))
    peers.save(path, dict(sorted((before | {study: row}).items())))
