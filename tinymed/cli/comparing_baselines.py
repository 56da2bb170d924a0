"""The rows of `tinymed compare` that are no networks: classical classifiers on pixels, descriptors or layers of runs.

    svm                          on what --features names (pixels)
    svm_linear@hog+lbp           on features of its own, see tinymed/features/sources.py
    knn@runs/dcnn-001:classifier.0

Each leaves a folder with baseline.json (what decided it, what it chose and how it did) and scores.npz.
"""

import io
import json
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import baselines
from ..errors import UserError
from ..features.sources import Sources
from ..files import json_value, refuse_occupied, write_atomic, write_json
from ..metrics.classification import evaluate_scores
from ..metrics.measures import intervals_by_groups
from ..tasks.results.class_results import class_figures, class_rows
from ..tasks.results.rows import as_cases
from .app import say
from .comparison_rows import common_fields, figures
from .options import Given

AT = "@"
RESULT, SCORES = "baseline.json", "scores.npz"
OWN = ("features", "l2", "spatial", "inner_folds")  # options that only these rows use


class Baseline(NamedTuple):
    """A classifier that is compared.

    Attributes:
        label: What it was asked for as.
        name: Of the classifier.
        sources: What its rows of numbers are.
    """

    label: str
    name: str
    sources: Sources


class Sets(NamedTuple):
    """The images of a comparison and how they are read.

    Attributes:
        parts: {"train": ..., "val": ..., perhaps "test": ...}.
        config: Of a classification on them.
        folds: Inner folds of train in which options are chosen; 0 where val chooses.
    """

    parts: dict[str, Any]
    config: Any
    folds: int

    @property
    def measured(self) -> str:
        """Return the part that figures are reported of."""
        return "test" if "test" in self.parts else "val"


def is_baseline(text: str) -> bool:
    """Return whether a name of --models is that of a classical classifier."""
    return text.partition(AT)[0] in baselines.available()


def read_baselines(texts: Sequence[str], given: Given) -> list[Baseline]:
    """Return the classifiers that are asked for, with what they see.  Raises UserError."""
    opened: dict[str, Sources] = {}
    found = []
    for text in texts:
        name, at, own = text.partition(AT)
        wanted = own if at else given.get("features", "pixels")
        if wanted not in opened:
            opened[wanted] = Sources([wanted], given.get("spatial", "mean"), given.get("l2", False))
        found.append(Baseline(text, name, opened[wanted]))
    return found


def choose_folds(parts: dict[str, Any], given: Given) -> int:
    """Return the number of inner folds: 0 where val chooses, since another part is reported of."""
    asked: int = given.get("inner_folds", 0 if "test" in parts else 5)
    if asked == 0 and "test" not in parts:
        raise UserError(
            "--inner-folds 0: there is no test part, so val is reported of and may not choose; give 2 or more"
        )
    if asked < 0 or asked == 1:
        raise UserError(f"--inner-folds: 2 or more, or 0 to choose on val; got {asked}")
    return asked


def refuse_seen(asked: Sequence[Baseline], sets: Sets) -> None:
    """Raise UserError if a run whose layers are features learned from images that figures are reported of.

    That is so where it was trained on the same images, divided in another way.
    """
    reported = sets.parts[sets.measured]
    names = {reported.name(i) for i in range(len(reported))}
    runs = {folder: run for baseline in asked for folder, run in baseline.sources.runs.items()}
    for folder, run in runs.items():
        if not overlap(run.config.data.path, sets.config.data.path):
            continue
        train = run.splits()["train"]
        seen = sum(train.name(i) in names for i in range(len(train)))
        if seen:
            raise UserError(
                f"{folder}: learned from {seen} of the {len(names)} images of the {sets.measured} part, so its layers "
                "know them; divide the images as it did (--seed, --split, --val-fraction, --test-fraction), or choose "
                "another run"
            )


def overlap(one: str | None, other: str | None) -> bool:
    """Return whether two paths of data may hold the same images: one folder is the other, or lies in it."""
    folders = [Path(p) if Path(p).is_dir() else Path(p).parent for p in (one, other) if p]
    if len(folders) < 2:
        return False
    first, second = (folder.resolve() for folder in folders)
    return first.is_relative_to(second) or second.is_relative_to(first)


def folder_of(out: Path, baseline: Baseline) -> Path:
    """Return where a classifier's results lie; slashes and colons of a run become underscores."""
    return out / re.sub(r"[^\w.+@-]+", "_", baseline.label)


def settings_of(baseline: Baseline, sets: Sets) -> dict[str, Any]:
    """Return what decides a classifier's result, as JSON holds it."""
    config = sets.config
    content = {
        "name": baseline.name,
        "features": baseline.sources.identity(),
        "data": {key: value for key, value in config.data.model_dump().items() if key not in ("mean", "std")},
        "positive": config.positive,
        "seed": config.seed,
        "inner_folds": sets.folds,
    }
    settings: dict[str, Any] = json.loads(json.dumps(json_value(content)))
    return settings


def check_folder(folder: Path, settings: dict[str, Any]) -> bool:
    """Return whether a folder holds this result already.  Raises UserError where it holds anything else."""
    if not (folder / RESULT).exists() or not (folder / SCORES).exists():
        if not (folder / RESULT).exists():
            refuse_occupied(folder)
        return False
    before = json.loads((folder / RESULT).read_text("utf-8"))["settings"]
    if differ := sorted(key for key in settings.keys() | before.keys() if settings.get(key) != before.get(key)):
        raise UserError(
            f"{folder}: holds a result with another {', '.join(differ)}; choose another --out, or the same settings"
        )
    return True


def baseline_results(asked: Sequence[Baseline], sets: Sets, out: Path) -> dict[str, tuple[dict[str, Any], np.ndarray]]:
    """Return {label: (row of the comparison, scores)}, fitted where they are not there yet; rows are read once."""
    known = {baseline.label: settings_of(baseline, sets) for baseline in asked}
    there = {b.label: check_folder(folder_of(out, b), known[b.label]) for b in asked}
    seen: dict[str, dict[str, np.ndarray]] = {}
    found = {}
    for place, baseline in enumerate(asked, 1):
        folder = folder_of(out, baseline)
        if there[baseline.label]:
            say(f"{baseline.label}: fitted already, in {folder}")
            found[baseline.label] = read_result(folder)
            continue
        say(f"{baseline.label}, {place} of {len(asked)} without a network")
        key = str(baseline.sources)
        if key not in seen:
            seen[key] = part_rows(baseline.sources, sets)
        row, scores = fit(baseline, seen[key], sets)
        folder.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        np.savez_compressed(content, allow_pickle=False, scores=scores)
        write_atomic(folder / SCORES, [content.getbuffer()])
        write_json(folder / RESULT, {"settings": known[baseline.label], "row": row})
        found[baseline.label] = read_result(folder)
    return found


def read_result(folder: Path) -> tuple[dict[str, Any], np.ndarray]:
    """Return (row, scores) that a folder holds."""
    row = json.loads((folder / RESULT).read_text("utf-8"))["row"]
    with np.load(folder / SCORES, allow_pickle=False) as file:
        return row, file["scores"]


def part_rows(sources: Sources, sets: Sets) -> dict[str, np.ndarray]:
    """Return the rows of each part of the images that is needed."""
    data, workers = sets.config.data, sets.config.workers
    wanted = {"train", sets.measured} | ({"val"} if sets.folds == 0 else set())
    parts = {name: part for name, part in sets.parts.items() if name in wanted}
    sources.learn(parts["train"], data.size, data.channels, sets.config.seed, workers)
    return {name: sources.rows(part, data.size, data.channels, workers) for name, part in parts.items()}


def fit(baseline: Baseline, rows: dict[str, np.ndarray], sets: Sets) -> tuple[dict[str, Any], np.ndarray]:
    """Return (row of the comparison, scores of the part that is reported of) of a classifier."""
    config, parts = sets.config, sets.parts
    classes, train = len(config.data.classes), parts["train"]
    started, used = time.perf_counter(), time.process_time()
    fitted = baselines.fit_best(
        baseline.name,
        rows["train"],
        train.labels,
        classes,
        val=None if sets.folds else (rows["val"], parts["val"].labels),
        groups=train.groups,
        folds=sets.folds or 5,
        seed=config.seed,
        scale="overall" if baseline.sources.unit_length else "columns",
    )
    seconds, cpu = time.perf_counter() - started, time.process_time() - used
    part = parts[sets.measured]
    scores = fitted.scores(rows[sets.measured])
    metrics = evaluated(scores, part, config)
    row = {"model": baseline.label, "options": fitted.options, "parameters": None, **figures(metrics)}
    row |= {"training_seconds": round(seconds, 3), "epochs": None, "steps": None}
    row |= {"cpu_seconds": round(cpu, 3), "peak_bytes": None}
    row |= common_fields(config, sets.measured, metrics)
    row |= {"features": str(baseline.sources), "columns": rows["train"].shape[1]}
    row |= {"tried": [t._asdict() for t in fitted.tried]}
    row["notes"] = [note for note in (fitted.text(),) if note]
    return row, scores


def evaluated(scores: np.ndarray, part: Any, config: Any) -> dict[str, Any]:
    """Return what an evaluation of these scores is: its measures, with the intervals that a run's have."""
    chosen = config.data.classes, config.positive, config.seed
    metrics = evaluate_scores(scores, part.labels, *chosen)
    cases = as_cases(class_rows([str(i) for i in range(len(part))], part.labels, scores, config.data.classes))
    groups = part.groups if part.groups is not None and 1 < len(set(part.groups.tolist())) < len(part) else None
    return metrics | intervals_by_groups(metrics, class_figures(cases, *chosen), groups)
