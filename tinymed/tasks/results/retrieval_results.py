"""Results of a retrieval: a table, the nearest of every picture as a list, and neighbours drawn."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...data.image import prepare
from ...metrics.measures import Mean, Measure
from ...metrics.retrieval import KS, cosine, excluded_pairs, query_measures
from ...report.neighbours import Neighbour, save_neighbours
from ...report.tables import interval, number, table
from .rows import Cases, Row, write_rows

DRAWN, BESIDE, SIDE = 6, 6, 112  # queries that are drawn, neighbours beside each, pixels of a picture
NAMES = {"map": "mean average precision"} | {
    f"{kind}@{k}": f"{kind} at {k}" for kind in ("precision", "recall") for k in KS
}


def retrieval_text(result: dict[str, Any], title: str) -> str:
    """Return an evaluation as text: the measures with intervals, each class, and the floors."""
    shown = f"n = {result['n']}, {result['queries']} queries, {100 * result['level']:g} % intervals over queries"
    rows = [(text, number(result[key]), interval(result[f"{key}_interval"])) for key, text in NAMES.items()]
    rows += [
        (f"mAP of {name}", number(r["map"]), interval(r["map_interval"])) for name, r in result["per_class"].items()
    ]
    floors = [("floor", "mAP", "precision at 1", "gain in mAP", "")]
    for name, floor in result["floors"].items():
        cells = (number(floor["map"]), number(floor["precision@1"]), number(floor["map_gain"]))
        floors.append((name, *cells, interval(floor["map_gain_interval"])))
    notes = [f"note: {note}" for note in result["warnings"]]
    return "\n".join([f"{title}: {shown}", table(rows), "", table(floors), *notes])


def save_retrieval_results(
    folder: Path, names: Sequence[str], dataset: Any, rows: np.ndarray, channels: int, title: str
) -> None:
    """Write neighbours.csv (of each picture its nearest, and its average precision) and neighbours.png.

    Args:
        folder: Of the run.
        names: Of the pictures, for the list.
        dataset: The pictures, which are each other's gallery.
        rows: Their embeddings [n, d].
        channels: With which they are drawn.
        title: Above the picture.
    """
    similarity, excluded = cosine(rows), excluded_pairs(len(dataset), dataset.groups)
    alike = (dataset.labels[:, None] == dataset.labels[None, :]) & ~excluded
    precision = query_measures(similarity, alike, excluded)["ap"]
    order = np.argsort(np.where(excluded, np.inf, -similarity), axis=1, kind="stable")
    lines = []
    for i, name in enumerate(names):
        j = int(order[i, 0])
        found = not excluded[i, j]  # all others may be of the same patient
        ap = float(precision[i]) if np.isfinite(precision[i]) else None
        row = {"path": name, "label": dataset.label_text(i), "average_precision": ap}
        row |= {"nearest": names[j] if found else None, "nearest_label": dataset.label_text(j) if found else None}
        lines.append(row | {"cosine": float(similarity[i, j]) if found else None})
    write_rows(folder / "neighbours.csv", lines)

    def drawn(i: int, text: str, right: bool | None) -> Neighbour:
        return Neighbour(prepare_shown(dataset, i, channels), (Path(names[i]).name, text), right)

    drawn_rows = []
    for i in np.unique(np.rint(np.linspace(0, len(names) - 1, DRAWN)).astype(int)).tolist():
        near = [j for j in order[i, :BESIDE].tolist() if not excluded[i, j]]
        pictures = [drawn(i, f"query: {dataset.label_text(i)}", None)]
        pictures += [drawn(j, f"{dataset.label_text(j)} {similarity[i, j]:.3f}", bool(alike[i, j])) for j in near]
        drawn_rows.append(pictures)
    save_neighbours(drawn_rows, folder / "neighbours.png", title)


def prepare_shown(dataset: Any, index: int, channels: int) -> np.ndarray:
    """Return a picture as it is drawn, small, uint8."""
    pixels = prepare(dataset.image(index), SIDE, channels)
    shown: np.ndarray = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return shown


def query_rows(names: Sequence[str], classes: Sequence[str], measures: Mapping[str, np.ndarray]) -> list[Row]:
    """Return what predictions.csv says of each picture: its class, and how well the others were ranked."""
    found = {name: [None if np.isnan(v) else float(v) for v in values] for name, values in measures.items()}
    return [
        {"path": path, "class": label} | {name: values[i] for name, values in found.items()}
        for i, (path, label) in enumerate(zip(names, classes, strict=True))
    ]


def query_figures(cases: Cases) -> dict[str, Measure]:
    """Return the measures of a list of questions."""
    names = [name for name in cases if name not in ("path", "class", "group", "fold")]
    return {"map" if name == "ap" else name: Mean(cases.numbers(name), (0, 1)) for name in names}


def query_tables(cases: Cases, classes: Sequence[str]) -> dict[str, dict[str, dict[str, Measure]]]:
    """Return the measures of the questions of each class."""
    precision, label = cases.numbers("ap"), cases["class"]
    return {"per_class": {name: {"map": Mean(np.where(label == name, precision, np.nan), (0, 1))} for name in classes}}
