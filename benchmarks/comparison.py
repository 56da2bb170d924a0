"""Five networks of the papers on real images, by `tinymed compare`: what Senthil Kumar et al. 2022 tabulate, honestly.

    python benchmarks/comparison.py DATA RUNS               trains what RUNS does not hold yet, then collects
    python benchmarks/comparison.py DATA RUNS --only malaria

DATA holds one folder a data set.  Every network trains on the same images in the same order with one recipe, on one
thread; widths and sizes are those of one core and minutes.  The recipe was chosen on the validation parts: with Adam a
rate that VGG survives without batch norm leaves ResNet-50 behind, of images that are not normalised VGG learns nothing,
and after 24 epochs of the brain images it is right on .87 of them, after 48 on .89.  Writes
benchmarks/results/compare-NAME.json, .md and .png.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from peers import machine, save

RESULTS = Path(__file__).resolve().parent / "results"
RECIPE = [
    *("--models", "dcnn", "resnet50", "xception", "densenet121", "dcnn_vgg16"),
    *("--width", "0.25", "--head", "softmax", "--option", "bn_momentum=0.1", "--normalise"),
    *("--batch", "32", "--optimizer", "momentum", "--lr", "0.02", "--schedule", "cosine"),
]
# name: (options, test accuracy of a random forest of 200 trees on 32 pixels)
SETS: dict[str, tuple[list[str], float]] = {
    "malaria": (["--positive", "parasitized", "--size", "50", "--epochs", "24", "--flip"], 0.685),
    "brain_tumor_mri": (
        ["--positive", "glioma", "--size", "64", "--grey", "--epochs", "48", "--horizontal-flip"],
        0.802,
    ),
}


def command(name: str, data: Path, runs: Path) -> list[str]:
    """Return the arguments of `tinymed` that make a comparison."""
    folders = ["--data", str(data / name), "--workers", "0", "--out", str(runs / f"compare-{name}")]
    return ["compare", *RECIPE, *SETS[name][0], *folders]


def compare(name: str, data: Path, runs: Path) -> None:
    """Train on one thread what is not there yet."""
    environment = os.environ | dict.fromkeys(("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    subprocess.run([sys.executable, "-m", "tinymed", *command(name, data, runs)], env=environment, check=True)


def collect(name: str, runs: Path) -> None:
    """Return the table, with command, date and floor, and the picture, among the results."""
    source = runs / f"compare-{name}"
    rows = json.loads((source / "compare.json").read_text("utf-8"))["rows"]
    floor = SETS[name][1]
    for row in rows:
        low = row["accuracy_interval"][0]
        print(f"{name} {row['model']}: lower bound {low:.3f}, {'above' if low > floor else 'NOT above'} {floor}")
    shown = shlex.join(["tinymed", *command(name, Path("DATA"), Path("RUNS"))])
    date = datetime.fromtimestamp((source / "compare.json").stat().st_mtime, UTC).date().isoformat()
    save(
        RESULTS / f"compare-{name}.json",
        {"machine": machine(), "date": date, "command": shown, "floor": floor, "rows": rows},
    )
    text = (source / "compare.md").read_text("utf-8")
    text += (
        f"\nA random forest on 32 pixels: accuracy {floor:.3f}. {date}, one thread, beside other work: times are "
        f"upper bounds. Repeat with `{shown}`.\n"
    )
    (RESULTS / f"compare-{name}.md").write_text(text, "utf-8")
    (RESULTS / f"compare-{name}.png").write_bytes((source / "compare.png").read_bytes())


def main() -> None:
    """Train, collect, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--only", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--collect", action="store_true")
    options = parser.parse_args()
    for name in options.only:
        if not options.collect:
            compare(name, options.data, options.runs)
        collect(name, options.runs)


if __name__ == "__main__":
    main()
