"""Segmentation and detection of real images, by the command line: one recipe a row of the table of docs/results.md.

    python benchmarks/segmentation.py DATA RUNS                  trains what RUNS does not hold yet (an hour), collects
    python benchmarks/segmentation.py DATA RUNS --only busi-unet trains one row
    python benchmarks/segmentation.py DATA RUNS --list           prints the command of every row, and trains nothing
    python benchmarks/segmentation.py DATA RUNS --collect        only collects

DATA holds one folder a data set, each with its splits.csv.  Writes benchmarks/results/segmentation.json and .md, the
table between the page's markers <!-- segmentation -->, and each row's overlays beside the JSON.  Widths and sizes are
those of one CPU core and minutes; every run uses one thread.
"""

import argparse
import io
import json
import os
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from peers import PAGE, into_results, machine, save
from PIL import Image

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
MASKS = ["--task", "segmentation", "--size", "96", "--batch", "16"]
LESION = [*MASKS, "--labels", "0=skin,255=lesion", "--augment"]
TUMOUR = [
    *MASKS,
    "--labels",
    "0=tissue,255=tumour",
    "--horizontal-flip",
    "--rotate",
    "10",
    "--scale",
    "0.9,1.1",
    "--contrast",
    "0.2",
]
UNET = ["--model", "unet_bn", "--option", "base=8"]
DCUNET = ["--model", "dcunet", "--option", "filters=8", "--head", "sigmoid", "--loss", "focal_tversky"]
FCRN = ["--model", "fcrn50", "--option", "width=0.25", "--lr", "0.002"]
MEMBRANE = [
    "--task",
    "segmentation",
    "--labels",
    "255=cell,0=membrane",
    "--border-class",
    "cell",
    "--flip",
    "--rotate",
    "180",
    "--elastic",
    "10",
    "--contrast",
    "0.2",
    "--normalise",
]
HIPPOCAMPUS = [
    "--task",
    "segmentation",
    "--labels",
    "0=background,1=anterior,2=posterior",
    "--patch",
    "32,48,32",
    "--rotate",
    "10",
    "--elastic",
    "1.5",
    "--contrast",
    "0.1",
]


class Recipe(NamedTuple):
    """A row: the data set, its name in the table, the options of `tinymed train`, and what must be beaten."""

    data: str
    network: str
    options: list[str]
    floor: dict[str, float]  # class (or "ap") -> Dice of a trivial method, from the data's README


BUSI, ISIC, EM = {"tumour": 0.33}, {"lesion": 0.54}, {"membrane": 0.62}
HIPPO = {"anterior": 0.67, "posterior": 0.52}
RECIPES = {
    "busi-unet": Recipe("busi_ultrasound", "U-Net, batch norm, base 8", [*TUMOUR, *UNET, "--epochs", "20"], BUSI),
    "busi-dcunet": Recipe("busi_ultrasound", "DC-UNet, 8 filters", [*TUMOUR, *DCUNET, "--epochs", "12"], BUSI),
    "busi-fcrn": Recipe("busi_ultrasound", "FCRN-50, quarter width", [*TUMOUR, *FCRN, "--epochs", "20"], BUSI),
    "isic-unet": Recipe(
        "skin_lesion_isic", "U-Net, batch norm, base 8", [*LESION, *UNET, "--epochs", "20", "--lr", "0.002"], ISIC
    ),
    "isic-dcunet": Recipe("skin_lesion_isic", "DC-UNet, 8 filters", [*LESION, *DCUNET, "--epochs", "12"], ISIC),
    "isic-fcrn": Recipe("skin_lesion_isic", "FCRN-50, quarter width", [*LESION, *FCRN, "--epochs", "20"], ISIC),
    "em-unet": Recipe(
        "em_membranes_isbi2012",
        "U-Net without padding, base 8, weight map, overlap-tile",
        [
            *MEMBRANE,
            "--model",
            "unet",
            "--option",
            "base=8",
            "--option",
            "dropout=0.2",
            "--patch",
            "284",
            "--per-image",
            "4",
            "--batch",
            "2",
            "--epochs",
            "12",
            "--border-weight",
            "10",
            "--foreground",
            "0",
            "--overlap",
            "0",
            "--blend",
            "uniform",
            "--lr",
            "0.002",
        ],
        EM,
    ),
    "hippocampus-unet3d": Recipe(
        "hippocampus_3d",
        "3D U-Net, base 4",
        [
            *HIPPOCAMPUS,
            "--model",
            "unet3d",
            "--option",
            "padding=same",
            "--option",
            "base=4",
            "--epochs",
            "6",
            "--lr",
            "0.003",
        ],
        HIPPO,
    ),
    "hippocampus-voxresnet": Recipe(
        "hippocampus_3d",
        "VoxResNet, base 4, deep supervision",
        [*HIPPOCAMPUS, "--model", "voxresnet", "--option", "base=4", "--epochs", "5", "--lr", "0.003"],
        HIPPO,
    ),
    "bccd-unet": Recipe(
        "bccd_detection",
        "U-Net, batch norm, base 8: map of scores, peaks, non-maximum suppression",
        [
            "--task",
            "detection",
            "--model",
            "unet_bn",
            "--option",
            "base=8",
            "--size",
            "256",
            "--epochs",
            "18",
            "--flip",
            "--scale",
            "0.9,1.1",
            "--brightness",
            "0.05",
            "--contrast",
            "0.1",
            "--lr",
            "0.003",
        ],
        {},
    ),
}
TWINS = ("busi-unet", "isic-unet", "em-unet", "hippocampus-unet3d")  # repeated in PyTorch


def command(name: str, data: Path, runs: Path) -> list[str]:
    """Return the arguments of `tinymed` that train a row."""
    recipe = RECIPES[name]
    return ["train", *recipe.options, "--data", str(data / recipe.data), "--workers", "0", "--out", str(runs / name)]


def train(name: str, data: Path, runs: Path) -> None:
    """Train a row unless it is finished; an interrupted one goes on."""
    environment = os.environ | dict.fromkeys(("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    tinymed = [sys.executable, "-m", "tinymed"]
    out = runs / name
    if not (out / "metrics.json").exists():
        begun = (out / "config.json").exists()
        arguments = ["train", "--resume", str(out)] if begun else command(name, data, runs)
        subprocess.run([*tinymed, *arguments], env=environment, check=True)
    if name in TWINS and not (out / "torch.json").exists():
        subprocess.run([sys.executable, str(HERE / "torch_segmentation.py"), str(out)], env=environment, check=True)


def read(path: Path) -> dict[str, Any]:
    """Return a JSON file, or nothing."""
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def row(name: str, runs: Path) -> dict[str, Any] | None:
    """Return what a finished run says of a row."""
    recipe, metrics = RECIPES[name], read(runs / name / "metrics.json")
    if not metrics:
        return None
    theirs = read(runs / name / "torch.json")
    keys = ("n", "per_class", "dice", "dice_interval", "accuracy", "ap", "ap_interval", "ap_centre")
    parts = {part: {k: metrics[part][k] for k in keys if k in metrics[part]} for part in ("val", "test")}
    twin = {
        key: theirs[part]["dice"]
        for key, part in (("torch", "test"), ("last", "tinymed test, last epoch"))
        if part in theirs
    }
    shown = shlex.join(["tinymed", *command(name, Path("DATA"), Path("RUNS"))])
    date = datetime.fromtimestamp((runs / name / "metrics.json").stat().st_mtime, UTC).date().isoformat()
    return {
        "row": name,
        "date": date,
        "data": recipe.data,
        "network": recipe.network,
        "command": shown,
        "floor": recipe.floor,
        "minutes": round(metrics["training_seconds"] / 60, 1),
        "epochs": metrics["epochs"],
        "last epoch": twin,
        **parts,
    }


def figure(value: float | None) -> str:
    """Three decimals without the leading zero."""
    return "-" if value is None else f"{value:.3f}".removeprefix("0")


def span(measures: dict[str, Any], key: str) -> str:
    """Return a figure with its interval."""
    interval = measures.get(f"{key}_interval")
    return figure(measures[key]) + (f" ({figure(interval[0])} to {figure(interval[1])})" if interval else "")


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as Markdown, one line a class; detection by average precision."""
    lines = [
        "| data set | network | class | floor | test Dice or AP | above | HD95 | minutes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        for name, measures in r["test"]["per_class"].items():
            key = "ap" if "ap" in measures else "dice"
            if key == "dice" and name not in r["floor"]:
                continue
            floor, distance = r["floor"].get(name), measures.get("hd95")
            above = "-" if floor is None else "yes" if measures[f"{key}_interval"][0] > floor else "no"
            cells = [r["data"], r["network"], name, figure(floor), span(measures, key), above]
            cells += ["-" if distance is None else f"{distance:.1f}", f"{r['minutes']:.0f}"]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


NOTE = """Dice of each test image, averaged, with 95 % intervals over the images; for boxes the average precision at an
overlap of one half. HD95 in pixels, or millimetres for volumes. "Above": whether the interval's lower end is above the
floor, a trivial method's score. Minutes are wall time of the training steps, one thread of a machine with other work.
"""


def every_other_row(picture: np.ndarray) -> np.ndarray:
    """Return a picture of overlays, white between its rows, with the first, third, ... of them.

    Worst, middle and best.
    """
    empty = (picture == 255).all(axis=(1, 2))
    edges = np.flatnonzero(np.diff(empty.astype(np.int8), prepend=1, append=1)).reshape(-1, 2)
    parted = np.flatnonzero(edges[1:, 0] - edges[:-1, 1] > 2) + 1  # less is inside a letter
    bands = [slice(int(part[0, 0]), int(part[-1, 1])) for part in np.split(edges, parted)]
    images = [i for i, band in enumerate(bands) if band.stop - band.start > 0.1 * picture.shape[1]]
    dropped = {j for i in images[1::2] for j in (i - 1, i)}  # with their captions
    gap = np.full((8, *picture.shape[1:]), 255, np.uint8)
    kept = [part for i, band in enumerate(bands) if i not in dropped for part in (picture[band], gap)]
    return np.concatenate([gap, *kept])


def small_picture(source: Path, path: Path, most: int = 200_000) -> None:
    """Return a PNG below `most` bytes: every other row, in fewer pixels and colours."""
    whole = Image.fromarray(every_other_row(np.asarray(Image.open(source).convert("RGB"))))
    for width in (960, 800, 700, 600, 500, 400):
        small = whole.resize((width, round(whole.height * width / whole.width)), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        small.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
        if buffer.tell() < most:
            path.write_bytes(buffer.getvalue())
            return
    raise ValueError(f"{source}: no smaller than {most} bytes")


def collect(runs: Path) -> list[dict[str, Any]]:
    """Results as JSON, the table, and the overlays of every finished row; others stay as they were published."""
    before, here = read(RESULTS / "segmentation.json"), machine()
    known = {r["row"]: {"machine": before["machine"]} | r for r in before.get("rows", [])}
    made = {name: {"machine": here} | r for name in RECIPES if (r := row(name, runs))}
    rows = [made.get(name) or known[name] for name in RECIPES if name in made or name in known]
    save(RESULTS / "segmentation.json", {"machine": here, "rows": rows})
    for r in rows:
        if not (runs / r["row"]).exists():
            continue
        small_picture(runs / r["row"] / "overlays.png", RESULTS / f"{r['row']}-overlays.png")
    commands = "\n".join(f"    {r['command']}" for r in rows)
    (RESULTS / "segmentation.md").write_text(f"{table(rows)}\n\n{NOTE}\n{commands}\n", "utf-8")
    if "<!-- segmentation -->" in PAGE.read_text("utf-8"):
        into_results("segmentation", table(rows))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--only", nargs="+", choices=list(RECIPES), default=list(RECIPES))
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--collect", action="store_true")
    o = parser.parse_args()
    for name in o.only:
        if o.list:
            print(shlex.join(["tinymed", *command(name, o.data, o.runs)]))
        elif not o.collect:
            train(name, o.data, o.runs)
    if not o.list:
        print(table(collect(o.runs)))


if __name__ == "__main__":
    main()
