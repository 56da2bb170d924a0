"""Networks that take noise off real pictures, by the command line, beside the classical filters of OpenCV.

    python benchmarks/restoration.py DATA RUNS            trains what RUNS does not hold yet, then collects
    python benchmarks/restoration.py DATA RUNS --collect  only collects: benchmarks/results/restoration.json and .md

DATA holds one folder a data set.  Each filter is given the same noisy pictures as the network, and the settings that
have the highest PSNR on TUNED pictures of the validation part; the best filter is the one that has it there.  Figures
are means over TESTED pictures of the test part, spread evenly, and gains are paired, picture by picture, with the
interval of the bootstrap.  What was measured of a run is kept in its folder.
"""

import argparse
import csv
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from peers import machine, save

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
sys.path.insert(0, str(HERE.parent))

RECIPE = ["--task", "denoising", "--workers", "1", "--per-image", "2", "--flip"]
NETWORKS = {
    "dncnn": ["--model", "dncnn", "--option", "base=32", "--option", "depth=8", "--epochs", "10"],
    "ae": ["--model", "denoising_autoencoder", "--option", "base=32", "--epochs", "10"],
}
SETS = {"chest": "chest_xray", "brain": "brain_tumor_mri"}
TUNED, TESTED = 20, 150  # pictures of val on which filters are tuned, of test on which they are compared
KEPT = "beside_filters.json"
MEASURES = ("psnr", "ssim")
FILTERS: dict[str, dict[str, tuple[float, ...]]] = {
    "median": {"side": (3, 5, 7)},
    "bilateral": {"colour": (0.15, 0.25, 0.4, 0.6), "space": (1.5, 2.5, 4.0)},
    "non-local means": {"h": (0.06, 0.08, 0.1, 0.12, 0.15), "patch": (5, 7)},
}


def train(data: Path, runs: Path) -> None:
    """Train what is not there yet."""
    environment = os.environ | dict.fromkeys(("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    for (short, name), (network, options) in itertools.product(SETS.items(), NETWORKS.items()):
        folder = runs / f"{short}-{network}"
        if not (folder / "metrics.json").exists():
            command = [sys.executable, "-m", "tinymed", "train", *RECIPE, *options, "--data", str(data / name)]
            subprocess.run([*command, "--out", str(folder)], env=environment, check=True, stdout=subprocess.DEVNULL)


def filtered(name: str, noisy: np.ndarray, **settings: float) -> np.ndarray:
    """Return a grey picture [height, width] in 0...1 after a classical filter of OpenCV."""
    import cv2

    cv2.setNumThreads(1)
    pixels = np.rint(255 * noisy).astype(np.uint8)
    if name == "median":
        return np.asarray(cv2.medianBlur(pixels, int(settings["side"])) / 255.0)
    if name == "bilateral":
        return np.asarray(cv2.bilateralFilter(noisy.astype(np.float32), -1, settings["colour"], settings["space"]))
    h = 255 * settings["h"]
    return np.asarray(cv2.fastNlMeansDenoising(pixels, None, h, int(settings["patch"]), 21) / 255.0)


def choices(name: str) -> Iterator[dict[str, float]]:
    """Yield the settings of a filter that are tried."""
    for values in itertools.product(*FILTERS[name].values()):
        yield dict(zip(FILTERS[name], values, strict=True))


def tune(name: str, pairs: list[tuple[np.ndarray, np.ndarray]]) -> tuple[dict[str, float], float]:
    """Return (the settings of the highest mean PSNR, that PSNR)."""
    from tinymed.metrics.restoration import psnr

    def quality(settings: dict[str, float]) -> float:
        return float(np.mean([psnr(clean, filtered(name, noisy, **settings), 1) for clean, noisy in pairs]))

    best = max(choices(name), key=quality)
    return best, quality(best)


def measured(
    name: str, pairs: list[tuple[np.ndarray, np.ndarray]], settings: dict[str, float]
) -> dict[str, list[float]]:
    """Return PSNR and SSIM of every picture after a filter."""
    from tinymed.metrics.restoration import psnr, ssim

    found: dict[str, list[float]] = {"psnr": [], "ssim": []}
    for clean, noisy in pairs:
        restored = filtered(name, noisy, **settings)
        found["psnr"].append(psnr(clean, restored, 1))
        found["ssim"].append(ssim(clean, restored, 1))
    return found


def collect(runs: Path) -> list[dict[str, Any]]:
    """Return a row for each run that there is, measured once."""
    rows = []
    for folder in sorted(path.parent for path in runs.glob("*/metrics.json")):
        kept = folder / KEPT
        if json.loads((folder / "config.json").read_text("utf-8")).get("task") != "denoising":
            continue
        if not kept.exists():
            kept.write_text(json.dumps(compare(folder)), "utf-8")
        rows.append(json.loads(kept.read_text("utf-8")))
    return rows


def spread(count: int, most: int) -> list[int]:
    """Return the places of at most so many pictures, evenly spread over a set."""
    places: list[int] = np.linspace(0, count - 1, min(count, most)).astype(int).tolist()
    return places


def compare(folder: Path) -> dict[str, Any]:
    """Return the row of a run: its figures, and those of the filters on the same noisy pictures."""
    from tinymed.metrics.restoration import evaluate_restoration, psnr
    from tinymed.train.run import Run

    run = Run.open(folder)
    c, sets = run.config, run.splits()

    def pairs(part: Any, places: list[int]) -> list[tuple[np.ndarray, np.ndarray]]:
        found = [run.task.pair(c, part, i) for i in places]
        return [(clean[..., 0], noisy[..., 0]) for clean, noisy in found]

    places = spread(len(sets["test"]), TESTED)
    val, test = pairs(sets["val"], spread(len(sets["val"]), TUNED)), pairs(sets["test"], places)
    with (folder / "predictions.csv").open(newline="") as file:
        every = list(csv.DictReader(file))
    listed = [every[i] for i in places]
    for (clean, noisy), row in zip(test, listed, strict=True):
        assert abs(psnr(clean, noisy, 1) - float(row["noisy psnr"])) < 1e-9, "the noise is not the run's"
    columns = {
        name: {m: [float(row[before + m]) for row in listed] for m in MEASURES}
        for name, before in (("restored", ""), ("noisy", "noisy "))
    }
    tuned = {name: tune(name, val) for name in FILTERS}
    filters = {name: measured(name, test, settings) for name, (settings, _) in tuned.items()}
    result = evaluate_restoration(columns["restored"], {"noisy": columns["noisy"], **filters}, c.seed)
    row = {"run": folder.name, "network": c.model, "options": c.model_options, "data": Path(c.data.path).stem}
    row |= {"corruption": c.restoration.corruption, "sigma": c.restoration.sigma, "epochs": c.epochs}
    row |= {"best_filter": max(tuned, key=lambda name: tuned[name][1])}
    return row | {"filter_settings": {name: settings for name, (settings, _) in tuned.items()}, **result}


def with_interval(value: float, bounds: list[float] | None, digits: int) -> str:
    """Return a figure with its interval."""
    shown = f"{value:.{digits}f}"
    return shown if bounds is None else f"{shown} ({bounds[0]:.{digits}f} to {bounds[1]:.{digits}f})"


def text(rows: list[dict[str, Any]]) -> str:
    """Return the table of the figures."""
    heads = ["set, noise", "network", "PSNR, dB", "SSIM", "best filter", "gain in PSNR", "gain in SSIM", "noisy"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in rows:
        best, noisy = row["floors"][row["best_filter"]], row["floors"]["noisy"]
        cells = [f"{row['data']}, {row['corruption']} {row['sigma']:g}", row["network"]]
        cells += [with_interval(row[m], row[f"{m}_interval"], d) for m, d in (("psnr", 2), ("ssim", 3))]
        cells.append(f"{row['best_filter']}: {best['psnr']:.2f}, {best['ssim']:.3f}")
        for m, digits in (("psnr", 2), ("ssim", 3)):
            cells.append(with_interval(best[f"{m}_gain"], best[f"{m}_gain_interval"], digits))
        lines.append("| " + " | ".join([*cells, f"{noisy['psnr']:.2f}, {noisy['ssim']:.3f}"]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--collect", action="store_true")
    o = parser.parse_args()
    if not o.collect:
        train(o.data, o.runs)
    rows = collect(o.runs)
    save(RESULTS / "restoration.json", {"machine": machine(), "rows": rows})
    table = text(rows)
    (RESULTS / "restoration.md").write_text(f"# Noise taken off, beside classical filters\n\n{table}\n", "utf-8")
    print(table)


if __name__ == "__main__":
    main()
