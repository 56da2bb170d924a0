"""The steady recipe of masks, `tinymed train --task segmentation --data DIR` with no network named, on four sets.

    python benchmarks/steady_masks.py DATA RUNS           trains what RUNS does not hold yet; val alone is measured
    python benchmarks/steady_masks.py DATA RUNS --look    then looks at each test part, once, and notes that it has

DATA holds one folder a data set, each with its splits.csv.  A run is trained on a list without the test part, so that
nothing of it is seen before the look; it stands in RUNS under the name of its set.  Beside the Dice of each test part
stand the floor of a trivial method, from the data's README, and the best network of benchmarks/segmentation.py.
"""

import argparse
import csv
import datetime
import json
from pathlib import Path
from typing import Any

from peers import machine, save
from segmentation import BUSI, EM, HIPPO, ISIC, figure
from steady import RESULTS, note, read, tinymed

RESULT = RESULTS / "steady_masks.json"
# name: (what values of the masks are called, the floor of each class that is shown)
SETS: dict[str, tuple[str, dict[str, float]]] = {
    "busi_ultrasound": ("0=tissue,255=tumour", BUSI),
    "skin_lesion_isic": ("0=skin,255=lesion", ISIC),
    "em_membranes_isbi2012": ("0=membrane,255=cell", EM),
    "hippocampus_3d": ("0=background,1=anterior,2=posterior", HIPPO),
}
UNNAMED = {"foreground": "tumour"}  # of a run that was given no --labels
KEPT = ("dice", "dice_interval", "dice_median", "dice_n", "hd95", "hd95_interval")


def without_test(folder: Path, runs: Path) -> Path:
    """Write the list of a set without its test part."""
    runs.mkdir(parents=True, exist_ok=True)
    path = runs / f"{folder.name}.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "mask", "split"])
        rows = [row for row in read(folder) if row["split"] != "test"]
        writer.writerows([[folder / row["path"], folder / row["mask"], row["split"]] for row in rows])
    return path


def train(data: Path, runs: Path) -> None:
    """Train what is not there yet."""
    for name, (labels, _) in SETS.items():
        if not (runs / name / "metrics.json").exists():
            given = ["--task", "segmentation", "--data", without_test(data / name, runs), "--labels", labels]
            tinymed("train", *given, "--workers", 1, "--out", runs / name)


def classes_of(measured: dict[str, Any], floors: dict[str, float]) -> dict[str, Any]:
    """Return the measures of the classes that have a floor, by the names of the floors."""
    named = {UNNAMED.get(name, name): each for name, each in measured["per_class"].items()}
    return {name: {key: named[name][key] for key in KEPT if key in named[name]} for name in floors}


def recipe_text(run: Path) -> str:
    """Return which steady recipe a run was trained by."""
    config = json.loads((run / "config.json").read_text())
    day = datetime.date.fromtimestamp((run / "metrics.json").stat().st_mtime).isoformat()
    patch = config["mask"]["patch"]
    shown = f"patches of {'x'.join(map(str, patch))}" if patch else f"{config['data']['size']} pixels"
    return f"the steady recipe of {day}: {config['model']}, {shown}, {config['epochs']} epochs of {config['batch']}"


def look(data: Path, runs: Path, name: str) -> dict[str, Any]:
    """Measure a run on the test part of its set and note the look; a look that was taken is not taken again."""
    path = runs / f"{name}-test.json"
    if not path.exists():
        path.write_text(tinymed("evaluate", runs / name, "--data", data / name, "--split", "test", "--json"))
        note(name, recipe_text(runs / name))
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def former(name: str) -> dict[str, Any]:
    """Return the published row of benchmarks/segmentation.py with the best mean Dice on val."""
    rows = json.loads((RESULTS / "segmentation.json").read_text())["rows"]
    best: dict[str, Any] = max((row for row in rows if row["data"] == name), key=lambda row: row["val"]["dice"])
    return best


def as_markdown(rows: dict[str, dict[str, Any]]) -> str:
    """Return the table of the page: a row for each class."""
    lines = [
        "| set, class | floor | val | test | lower end above the floor | former, its network | test images |",
        "|---|---|---|---|---|---|---|",
    ]

    def span(each: dict[str, Any]) -> str:
        return f"{figure(each['dice'])} ({figure(each['dice_interval'][0])} to {figure(each['dice_interval'][1])})"

    for name, row in rows.items():
        for each, floor in SETS[name][1].items():
            test, before = row["test"][each], row["former"]
            above = "yes" if test["dice_interval"][0] > floor else "**no**"
            cells = [f"{name}, {each}", figure(floor), span(row["val"][each]), span(test), above]
            cells += [f"{span(before['test'][each])}, {before['network']}", str(row["n"])]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--look", action="store_true")
    o = parser.parse_args()
    train(o.data, o.runs)
    result: dict[str, Any] = {}
    for name, (_, floors) in SETS.items():
        metrics = json.loads((o.runs / name / "metrics.json").read_text())
        result[name] = {"recipe": recipe_text(o.runs / name), "seconds": round(metrics["training_seconds"])}
        result[name] |= {"val": classes_of(metrics["val"], floors), "val n": metrics["val"]["n"]}
        if o.look:
            test, before = look(o.data, o.runs, name), former(name)
            result[name] |= {"n": test["n"], "test": classes_of(test, floors), "accuracy": test["accuracy"]}
            result[name]["former"] = {"row": before["row"], "network": before["network"]}
            result[name]["former"]["test"] = classes_of(before["test"], floors)
        print(name, json.dumps(result[name]))
    if o.look:
        save(RESULT, {"machine": machine(), "rows": result})
        print(as_markdown(result))


if __name__ == "__main__":
    main()
