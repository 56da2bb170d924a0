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
    metrics = found[part]
    several = len(c.data.classes) > 2
    with no_weights():
        parameters = count_parameters(run.task.make_model(c))
    row: dict[str, Any] = {"model": c.model, "options": c.model_options, "parameters": parameters}
    for name in METRICS:
        room = metrics["macro"] if several and name != "accuracy" else metrics
        row[name], row[f"{name}_interval"] = room[name], room.get(f"{name}_interval")
    row |= {"training_seconds": found["training_seconds"], "epochs": found["epochs"], "steps": found["steps"]}
    row |= {"cpu_seconds": used.get("cpu_seconds"), "peak_bytes": used.get("peak_bytes")}
    row |= {"data": (c.data.path or "").rstrip("/").rpartition("/")[2], "part": part, "n": metrics["n"]}
    row["average"] = "macro" if several else f"positive: {c.positive}"
    row |= {"weights": found["weights"], "size": c.data.size, "batch": c.batch, "seed": c.seed}
    row |= {"optimizer": c.optimizer, "lr": c.lr, "schedule": c.schedule}
    whole = width_asked and "width" not in entry(c.model).options
    row["notes"] = ["has no width multiplier, so it is whole"] if whole else []
    return row


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


def as_markdown(rows: list[dict[str, Any]]) -> str:
    """Return a table, and below it how it was made."""
    first = rows[0]
    lines = [
        "| network | parameters | sensitivity | specificity | accuracy | AUC | training, s | peak memory, MiB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        memory = "-" if not r["peak_bytes"] else f"{r['peak_bytes'] / 2**20:,.0f}"
        cells = [r["model"], f"{r['parameters']:,}", *(with_interval(r, name) for name in METRICS)]
        lines.append("| " + " | ".join([*cells, f"{r['training_seconds']:,.0f}", memory]) + " |")
    average = first["average"]
    average = "macro averages over the classes, each against the rest" if average == "macro" else average
    lines += [
        "",
        f"{first['data']}, {first['part']} part, n = {first['n']}; {average}; 95 % intervals over the images. "
        f"{first['size']} px, {first['steps']:,} steps of {first['batch']}, {first['optimizer']}, "
        f"rate {first['lr']:g}, seed {first['seed']}, {first['weights']} weights. Training: wall time of the steps. "
        "Memory: largest resident set of the process.",
    ]
    lines += [f"{r['model']} {note}." for r in rows for note in r["notes"]]
    return "\n".join(lines) + "\n"


def with_interval(row: dict[str, Any], name: str) -> str:
    """Return a figure and its interval."""
    if row[name] is None:
        return "-"
    ends = row[f"{name}_interval"]
    return f"{row[name]:.3f}" + (f" ({ends[0]:.3f} to {ends[1]:.3f})" if ends else "")
