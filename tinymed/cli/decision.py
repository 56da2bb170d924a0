"""What a run learns from its validation part after training, kept beside it: a temperature and a threshold.

decision.json: {"weights": SHA-256 of the checkpoint they belong to, "temperature": {...}, "threshold": {...}}
"""

import hashlib
import json
from typing import Any

import numpy as np

from ..errors import UserError
from ..files import write_json
from ..metrics.calibration import apply_temperature, describe_calibration, fit_temperature
from ..metrics.classification import normalise_rows
from ..metrics.decisions import at_threshold, choose_threshold, parse_rule
from ..tasks.base.task import Predictions
from ..tasks.results.rows import Cases
from ..train.run import Run

FILE = "decision.json"


def probabilities_of(run: Run, cases: Cases) -> tuple[np.ndarray, np.ndarray]:
    """Return (probabilities [n, classes], class numbers [n]) of a list of predictions.

    Raises UserError: the task has no one class an image, or its scores are no probabilities.
    """
    found = run.task.class_scores(run.config, cases)
    if found is None:
        raise UserError(
            "--calibrate, --calibrated, --threshold and --pictures are of one class an image; this run learnt "
            f"{run.task.name}"
        )
    scores, labels = found
    probabilities = normalise_rows(scores)
    if probabilities is None:
        raise UserError(f"{run.folder}: the scores of its head {run.config.head!r} are no probabilities")
    return probabilities, labels


def checkpoint_hash(run: Run, weights: str | None) -> str:
    """Return the SHA-256 of the checkpoint that is looked at."""
    return hashlib.sha256(run.checkpoint(weights).read_bytes()).hexdigest()


def stored(run: Run, weights: str | None, name: str) -> dict[str, Any]:
    """Return the temperature or threshold of a run.  Raises UserError: there is none, or of other weights."""
    way = "--calibrate" if name == "temperature" else "--threshold youden"
    path = run.folder / FILE
    try:
        content: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error})") from None
    if name not in content:
        raise UserError(f"{run.folder}: has no {name} yet; `tinymed evaluate {run.folder} {way}` finds one on val")
    if content.get("weights") != checkpoint_hash(run, weights):
        raise UserError(
            f"{path}: belongs to other weights than those used now; `tinymed evaluate {run.folder} {way}` finds it anew"
        )
    found: dict[str, Any] = content[name]
    return found


def store(run: Run, weights: str | None, name: str, value: dict[str, Any]) -> None:
    """Keep a temperature or threshold; what belongs to other weights is dropped."""
    path, key = run.folder / FILE, checkpoint_hash(run, weights)
    before = json.loads(path.read_text("utf-8")) if path.exists() else {}
    kept = before if before.get("weights") == key else {}
    write_json(path, kept | {"weights": key, name: value})


def calibrate(run: Run, weights: str | None, val: Cases) -> dict[str, Any]:
    """Fit a temperature to the validation part and keep it; returns what is kept."""
    probabilities, labels = probabilities_of(run, val)
    temperature = fit_temperature(probabilities, labels)
    positive = run.config.data.classes.index(run.config.positive)
    found: dict[str, Any] = {"temperature": temperature, "part": "val", "n": len(labels)}
    for name, p in (("before", probabilities), ("after", apply_temperature(probabilities, temperature))):
        found[f"ece_{name}"] = describe_calibration(labels == positive, p[:, positive])["ece"]
    store(run, weights, "temperature", found)
    return found


def decide(run: Run, weights: str | None, val: Cases, rule: str) -> dict[str, Any]:
    """Choose a threshold on the validation part by a rule and keep it; returns what is kept."""
    parse_rule(rule)
    probabilities, labels = probabilities_of(run, val)
    positive = run.config.data.classes.index(run.config.positive)
    threshold = choose_threshold(labels == positive, probabilities[:, positive], rule)
    rates = at_threshold(labels == positive, probabilities[:, positive], threshold, val.groups, warn=lambda _: None)
    found = {"rule": rule, "part": "val", "n": len(labels), "positive": run.config.positive, **rates}
    store(run, weights, "threshold", found)
    return found


def decided(run: Run, weights: str | None, found: Predictions, calibrated: bool, threshold: bool) -> Predictions:
    """Return predictions with the probabilities of the run's temperature, decided by its threshold, saying so.

    The threshold is of the probabilities as they were trained.  Raises UserError: none is kept, or the task has none.
    """
    if any("scores" not in row or "label" not in row for row in found.rows):
        raise UserError(f"--calibrated and --threshold are of one class an image; this run learnt {run.task.name}")
    kept = stored(run, weights, "temperature")["temperature"] if calibrated else None
    rule = stored(run, weights, "threshold") if threshold else None
    result = Predictions(errors=found.errors)
    for row in found.rows:
        scores = normalise_rows(np.array([list(row["scores"].values())]))
        if scores is None:
            raise UserError(f"{run.folder}: the scores of its head {run.config.head!r} are no probabilities")
        classes = list(row["scores"])
        shown = scores if kept is None else apply_temperature(scores, kept)
        label, told = row["label"], []
        if kept is not None:
            told.append(f"temperature {kept:.4g}")
        if rule is not None:
            label = by_threshold(scores[0], classes, rule["positive"], rule["threshold"])
            told.append(f"{rule['positive']} from {rule['threshold']:.4g} on, by {rule['rule']}")
        percentage = round(100 * float(shown[0, classes.index(label)]), 4)
        values = dict(zip(classes, shown[0].tolist(), strict=True))
        result.rows.append(row | {"label": label, "percentage": percentage, "scores": values, "decided_by": told})
        result.lines.append(f"{row['image']}: {label} {percentage:.2f} % ({'; '.join(told)})")
    return result


def by_threshold(scores: np.ndarray, classes: list[str], positive: str, threshold: float) -> str:
    """Return the positive class from its threshold on, else the likeliest of the others."""
    k = classes.index(positive)
    if scores[k] >= threshold:
        return positive
    return classes[max((i for i in range(len(classes)) if i != k), key=lambda i: float(scores[i]))]
