"""Several runs of one recipe, side by side: one row per run, as JSON, CSV and Markdown."""

import csv
import io
from typing import Any

from ..files import read_json
from ..models import count_parameters, entry
from ..nn.init import no_weights
from ..train.run import METRICS as METRICS_FILE
from ..train.run import Run

METRICS = ("sensitivity", "specificity", "accuracy", "auc")
MORE = ("balanced_accuracy", "precision")  # in compare.json beside them


def comparison_row(run: Run, used: dict[str, Any], width_asked: bool = False) -> dict[str, Any]:
    """Return what is compared of a finished classification, on its test part if it has one, else on val.

    Of two classes, sensitivity, specificity and AUC speak of the positive one; of more they are macro averages: each
    class against the rest, classes alike.  Sensitivity's interval is then square-and-add, those of specificity and AUC
    are bootstrapped.  used: {"cpu_seconds", "peak_bytes"} of the process that trained it.
    width_asked: whether a multiplier was, which some networks lack.
    """
    c = run.config
    found = read_json(run.folder / METRICS_FILE)
    part = "test" if "test" in found else "val"
    with no_weights():
        parameters = count_parameters(run.task.make_model(c))
    row: dict[str, Any] = {"model": c.model, "options": c.model_options, "parameters": parameters}
    row |= figures(found[part])
    row |= {"training_seconds": found["training_seconds"], "epochs": found["epochs"], "steps": found["steps"]}
    row |= {"cpu_seconds": used.get("cpu_seconds"), "peak_bytes": used.get("peak_bytes")}
    row |= common_fields(c, part, found[part])
    row |= {"weights": found["weights"], "batch": c.batch}
    row |= {"optimizer": c.optimizer, "lr": c.lr, "schedule": c.schedule}
    whole = width_asked and "width" not in entry(c.model).options
    row["notes"] = ["has no width multiplier, so it is whole"] if whole else []
    return row


def figures(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return METRICS, MORE and their intervals of an evaluation: of several classes macro averages."""
    several = len(metrics["classes"]) > 2
    found: dict[str, Any] = {}
    for name in (*METRICS, *MORE):
        room = metrics["macro"] if several and "accuracy" not in name else metrics
        found[name], found[f"{name}_interval"] = room[name], room.get(f"{name}_interval")
    return found


def common_fields(config: Any, part: str, metrics: dict[str, Any]) -> dict[str, Any]:
    """Return what every row says of the images and how they are read."""
    average = "macro" if len(config.data.classes) > 2 else f"positive: {config.positive}"
    name = (config.data.path or "").rstrip("/").rpartition("/")[2]
    return {
        "data": name,
        "part": part,
        "n": metrics["n"],
        "average": average,
        "size": config.data.size,
        "seed": config.seed,
    }


def as_csv(rows: list[dict[str, Any]]) -> str:
    """Return one line per row; an interval becomes two columns, _low and _high."""
    text = io.StringIO()
    names = ["model", "parameters"]
    names += [f"{name}{end}" for name in METRICS for end in ("", "_low", "_high")]
    names += ["training_seconds", "cpu_seconds", "peak_bytes", "epochs", "steps", "n", "part"]
    writer = csv.DictWriter(text, names, extrasaction="ignore")
    writer.writeheader()
    for row in rows:
        ends = {
            f"{name}_{end}": (row[f"{name}_interval"] or (None, None))[i]
            for name in METRICS
            for i, end in enumerate(("low", "high"))
        }
        writer.writerow(row | ends)
    return text.getvalue()


def as_markdown(rows: list[dict[str, Any]], differences: list[dict[str, Any]]) -> str:
    """Return a table, below it how it was made, and how the rows differ from the first."""
    first = rows[0]
    what = "network" if all(r["steps"] for r in rows) else "method"
    lines = [
        f"| {what} | parameters | sensitivity | specificity | accuracy | AUC | training, s | peak memory, MiB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        cells = [r["model"], parameters_text(r), *(with_interval(r, name) for name in METRICS)]
        lines.append("| " + " | ".join([*cells, f"{r['training_seconds']:,.0f}", memory_text(r)]) + " |")
    average = first["average"]
    average = "macro averages over the classes, each against the rest" if average == "macro" else average
    trained = next((r for r in rows if r["steps"]), None)
    recipe = ""
    if trained:
        recipe = (
            f", {trained['steps']:,} steps of {trained['batch']}, {trained['optimizer']}, rate {trained['lr']:g}, "
            f"{trained['weights']} weights. Training: wall time of the steps. Memory: largest resident set of the "
            "process"
        )
    lines += [
        "",
        f"{first['data']}, {first['part']} part, n = {first['n']}; {average}; 95 % intervals over the images. "
        f"{first['size']} px, seed {first['seed']}{recipe}.",
    ]
    lines += [f"{r['model']}{'' if r['steps'] else ':'} {note}." for r in rows for note in r["notes"]]
    lines += ["", f"| less {first['model']}, paired over the images | accuracy | AUC |", "|---|---|---|"]
    lines += [f"| {d['model']} | {signed(d, 'accuracy')} | {signed(d, 'auc')} |" for d in differences]
    return "\n".join(lines) + "\n"


def parameters_text(row: dict[str, Any]) -> str:
    """Return the number of a network's parameters; a classical classifier has none to compare."""
    return "-" if row["parameters"] is None else f"{row['parameters']:,}"


def memory_text(row: dict[str, Any]) -> str:
    """Return the largest resident set of a row's process in MiB, where it had one of its own."""
    return "-" if not row["peak_bytes"] else f"{row['peak_bytes'] / 2**20:,.0f}"


def signed(difference: dict[str, Any], name: str) -> str:
    """Return a difference and its interval, with signs."""
    if difference[name] is None:
        return "-"
    ends = difference[f"{name}_interval"]
    return f"{difference[name]:+.3f}" + (f" ({ends[0]:+.3f} to {ends[1]:+.3f})" if ends else "")


def with_interval(row: dict[str, Any], name: str) -> str:
    """Return a figure and its interval."""
    if row[name] is None:
        return "-"
    ends = row[f"{name}_interval"]
    return f"{row[name]:.3f}" + (f" ({ends[0]:.3f} to {ends[1]:.3f})" if ends else "")
