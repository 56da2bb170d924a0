"""`tinymed train --task detection`, and what evaluate and predict do with such a run."""

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from ..data.boxes import BoxDataset, open_boxes
from ..data.loader import channel_statistics
from ..errors import UserError
from ..report.boxes import Boxes, BoxExample, save_boxes
from ..train.config import RunConfig, checked
from ..train.detect import Detections
from ..train.detection import DetectionRun, open_detection
from ..train.files import write_atomic
from ..train.heads import parse_weights
from ..train.run import METRICS, Run, new_folder, refuse_occupied
from .app import WRONG_INPUT, complain, say
from .tables import interval, number, table

DEFAULTS = {
    "model": "unet_bn",
    "size": 256,
    "head": "softmax",
    "batch": 4,
    "epochs": 40,
    "monitor": "val_ap",
    "keep": "best",
    "schedule": "cosine",
    "class_weights": "tempered",
}
SHOWN = 0.3  # the least score of a box that is shown, where validation has found no better one


def begun_detection(options: dict[str, Any]) -> tuple[Run, Any]:
    """A new run folder from the options, and its images with boxes."""
    from .training import draft

    if "data" not in options:
        raise UserError("--task detection needs --data: a folder with boxes.csv")
    found = open_boxes(options["data"], verify=False)
    first = next(iter(found.values()))
    grey = options["grey"] if "grey" in options else first.image(0).shape[2] == 1
    given: dict[str, Any] = DEFAULTS | options | {"channels": 1 if grey else 3}
    config = draft(given)
    folder = given.get("out") or new_folder(Path("runs"), config.model)
    refuse_occupied(folder)
    sets = open_detection(config)
    config = completed(config, sets, given)
    shown = ", ".join(f"{name} {len(part)}" for name, part in sets.items())
    counts = ", ".join(f"{name} {count}" for name, count in sets["train"].box_counts().items())
    say(f"{config.model}, {shown} images of {config.data.size} px with boxes from {sets['train'].source}")
    say(f"boxes to learn from: {counts}")
    run = Run.create(folder, config)
    if not isinstance(run, DetectionRun):
        raise TypeError("a detection run was expected")
    run = type(run)(folder, with_fingerprint(run, sets))
    run.update()
    return run, sets


def with_fingerprint(run: DetectionRun, sets: Any) -> RunConfig:
    """The configuration with what tells these images and boxes from others."""
    data = run.config.data.model_copy(update={"fingerprint": run.fingerprint(sets)})
    return run.config.model_copy(update={"data": data})


def completed(config: RunConfig, sets: dict[str, BoxDataset], given: dict[str, Any]) -> RunConfig:
    """The configuration with what depends on the data: classes, the box of reference, class weights, statistics."""
    train = sets["train"]
    counts = train.box_counts()
    absent = [name for name, count in counts.items() if not count]
    if absent:
        raise UserError(f"{config.data.path}: the training images have no box of class {', '.join(absent)}")
    shares = []
    for index, boxes in enumerate(train.boxes):
        height, width = train.image(index).shape[:2]
        shares.append((boxes[:, 2:] - boxes[:, :2]) / (width, height))
    sides, kinds = np.log(np.concatenate(shares)), np.concatenate(train.kinds)
    reference = [np.exp(sides[kinds == k].mean(axis=0)).tolist() for k in range(len(train.classes))]
    data = config.data.model_dump() | {"classes": train.classes}
    if given.get("normalise"):
        data["mean"], data["std"] = channel_statistics(train, config.data.size, config.data.channels)
    radius, side = config.boxes.radius, config.data.size
    areas = [math.pi * radius**2 * side**2 * np.exp(sides[kinds == k]).prod(axis=1).sum() for k in range(len(counts))]
    pixels = [max(len(train) * side**2 - sum(areas), 1.0), *areas]  # of the discs that are learnt, if none overlapped
    names = ["background", *train.classes]
    of_class = {name: max(round(n), 1) for name, n in zip(names, pixels, strict=True)}
    content = config.model_dump() | {
        "data": data,
        "boxes": config.boxes.model_dump() | {"reference": reference},
        "class_weights": parse_weights(given["class_weights"], names, of_class),
    }
    result: RunConfig = checked(lambda: RunConfig.model_validate(content))
    return result


# --------------------------------------------------------------------------------------------------- results


def box_text(result: dict[str, Any], title: str) -> str:
    """An evaluation as text: a row a class and their mean, then the sensitivity at several false positives an image."""
    lines = [f"{title}: n = {result['n']} images, {100 * result['level']:g} % intervals over images"]
    rows = [("class", "boxes", "AP, overlap 1/2", "", "AP, middles", "", "best F1", "at score")]
    for name in result["classes"]:
        row = result["per_class"][name]
        aps = (
            number(row["ap"]),
            interval(row["ap_interval"]),
            number(row["ap_centre"]),
            interval(row["ap_centre_interval"]),
        )
        rows.append((name, str(row["boxes"]), *aps, number(row["f1"]), number(row["threshold"], 2)))
    mean = (number(result["ap"]), interval(result["ap_interval"]), number(result["ap_centre"]))
    rows.append(("mean", "", *mean, interval(result["ap_centre_interval"]), "", ""))
    points = list(result["per_class"][result["classes"][0]]["froc"])
    sensitivity = [("sensitivity at false positives an image", *points)]
    for name in result["classes"]:
        sensitivity.append((name, *(number(result["per_class"][name]["froc"][point], 3) for point in points)))
    lines += [table(rows), "", table(sensitivity)]
    return "\n".join(lines + [f"note: {note}" for note in result["warnings"]])


def thresholds(run: Run) -> np.ndarray:
    """The least score of a box to show, for each class: that of the best F1 on the validation set."""
    names = run.config.data.classes
    file = run.folder / METRICS
    found = json.loads(file.read_text("utf-8")).get("val", {}).get("per_class", {}) if file.is_file() else {}
    values = [found.get(name, {}).get("threshold") for name in names]
    return np.array([SHOWN if value is None else value for value in values])


def above(found: Detections, least: np.ndarray) -> Detections:
    """The detections whose score is not below their class's threshold."""
    kept = found.scores >= least[found.kinds]
    return Detections(found.boxes[kept], found.scores[kept], found.kinds[kept])


def show_detection(run: Any, model: Any, result: dict[str, Any], found: Any, sets: Any) -> None:
    """Tables, pictures of five images, and the list of boxes of a finished run."""
    for name in found:
        print(box_text(result[name], f"{name}, {result['weights']} weights"), end="\n\n")
    part = "test" if "test" in found else "val"
    dataset, least = sets[part], thresholds(run)
    rows, examples = [], []
    chosen = set(np.rint(np.linspace(0, len(dataset) - 1, 5)).astype(int).tolist())
    for index, detections in enumerate(found[part]):
        rows += box_rows(dataset.name(index), detections, dataset.classes)
        if index in chosen:
            best = above(detections, least)
            truth = Boxes(dataset.boxes[index], dataset.kinds[index])
            drawn = Boxes(best.boxes, best.kinds, best.scores)
            examples.append(BoxExample(dataset.image(index), truth, drawn, Path(dataset.name(index)).stem))
    write_boxes(run.folder / "boxes.csv", rows)
    save_boxes(examples, dataset.classes, run.folder / "overlays.png", f"{run.config.model} on {part}")


def box_rows(name: str, found: Detections, classes: list[str]) -> list[dict[str, Any]]:
    """A row a box, as boxes.csv has them, with its score."""
    rows = []
    for box, score, kind in zip(found.boxes, found.scores, found.kinds, strict=True):
        corners = dict(zip(("xmin", "ymin", "xmax", "ymax"), (round(float(v), 1) for v in box), strict=True))
        rows.append({"path": name, "label": classes[kind], **corners, "score": round(float(score), 4)})
    return rows


def write_boxes(path: Path, rows: list[dict[str, Any]]) -> None:
    """boxes.csv: path, label, corners, score."""
    text = io.StringIO()
    writer = csv.DictWriter(text, ["path", "label", "xmin", "ymin", "xmax", "ymax", "score"])
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(path, [text.getvalue().encode()])


def find_boxes(run: Any, model: Any, images: list[Path], out: Path | None, overlays: bool, as_json: bool) -> int:
    """Print the boxes of each image, and write boxes.csv and pictures into `out`; returns the exit code."""
    if overlays and out is None:
        raise UserError("--overlays: say where the pictures go with --out DIR")
    least, code, rows = thresholds(run), 0, []
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    for path in images:
        try:
            ((image, found),) = run.predict(model, [path])
        except UserError as error:
            code = complain(str(error).partition("; ")[0], WRONG_INPUT)
            continue
        best = above(found, least)
        rows += box_rows(str(path), best, run.config.data.classes)
        counts = np.bincount(best.kinds, minlength=len(run.config.data.classes))
        if not as_json:
            named = zip(run.config.data.classes, counts, strict=True)
            print(f"{path}: {', '.join(f'{name} {count}' for name, count in named)}")
        if overlays and out is not None:
            example = BoxExample(image, None, Boxes(best.boxes, best.kinds, best.scores), path.name)
            save_boxes([example], run.config.data.classes, out / f"{path.stem}-overlay.png")
    if as_json:
        print(json.dumps(rows))
    if out is not None:
        write_boxes(out / "boxes.csv", rows)
    return code
