"""CPU time of image processing beside OpenCV's: one thread, medians of interleaved calls.

    NUMBA_NUM_THREADS=1 python benchmarks/imaging.py [name ...]

Each operation of `tinymed.imaging` and what comes nearest to it in OpenCV take turns on one picture of 1024 x 1024
pixels (non-local means: 256 x 256), noise on a slope; the times are CPU times of the thread, so that neighbours on the
machine disturb both alike.  Writes benchmarks/results/imaging.json and the table of docs/imaging.md, with the
operations that take more than 1.5 of OpenCV's time as misses.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from peers import into_results, machine, save

from tinymed import imaging
from tinymed.report.tables import table

RESULT = Path(__file__).resolve().parent / "results" / "imaging.json"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "imaging.md"
TURNS, SIDE, SMALL_SIDE = 15, 1024, 256
LIMIT = 1.5
Call = Callable[[], Any]


def picture(side: int, channels: int, dtype: str) -> np.ndarray:
    """Return noise on a slope."""
    rng = np.random.default_rng(0)
    values = np.linspace(0.2, 0.7, side).reshape(-1, 1, 1) + 0.1 * rng.standard_normal((side, side, channels))
    values = values.clip(0, 1)
    if dtype == "float32":
        return values.astype(np.float32).squeeze()
    return np.rint(values * np.iinfo(dtype).max).astype(dtype).squeeze()


def sobel_length(x: np.ndarray) -> np.ndarray:
    """Return the length of OpenCV's gradient."""
    return cv2.magnitude(cv2.Sobel(x, cv2.CV_32F, 1, 0), cv2.Sobel(x, cv2.CV_32F, 0, 1))


def unsharp(x: np.ndarray) -> np.ndarray:
    """Return OpenCV's usual recipe of an unsharp mask."""
    return cv2.addWeighted(x, 2, cv2.GaussianBlur(x, (9, 9), 1), -1, 0)


def through_table(x: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return bytes looked up by OpenCV in a table that is made anew."""
    return cv2.LUT(x, np.rint(255 * change(np.arange(256) / 255).clip(0, 1)).astype(np.uint8))


def pairs() -> dict[str, tuple[Call, Call]]:
    """Return (ours, OpenCV's) by name."""
    grey, colour = picture(SIDE, 1, "uint8"), picture(SIDE, 3, "uint8")
    deep, single = picture(SIDE, 1, "uint16"), picture(SIDE, 1, "float32")
    shares, small = picture(SIDE, 3, "float32"), picture(SMALL_SIDE, 1, "uint8")
    square, disk = (
        np.ones((5, 5), np.uint8),
        imaging.morphology.footprint_of(imaging.arrays.pixels(grey, ""), 7, "disk")[0],
    )
    clahe = cv2.createCLAHE(2.0, (8, 8))
    return {
        "grey, uint8": (lambda: imaging.grey(colour), lambda: cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY)),
        "hsv, float32": (lambda: imaging.hsv(shares), lambda: cv2.cvtColor(shares, cv2.COLOR_RGB2HSV)),
        "window-level, uint8": (
            lambda: imaging.window_level(grey, 0.5, 0.5),
            lambda: through_table(grey, lambda v: (v - 0.25) / 0.5),
        ),
        "gamma, uint8": (lambda: imaging.gamma(grey, 0.5), lambda: through_table(grey, np.sqrt)),
        "stretch, uint8": (
            lambda: imaging.stretch(grey),
            lambda: cv2.normalize(grey, None, 0, 255, cv2.NORM_MINMAX),
        ),
        "pseudo-colour, uint8": (
            lambda: imaging.pseudo_colour(grey),
            lambda: cv2.applyColorMap(grey, cv2.COLORMAP_HOT),
        ),
        "histogram, uint8": (
            lambda: imaging.histogram(grey),
            lambda: cv2.calcHist([grey], [0], None, [256], [0, 256]),
        ),
        "histogram, uint16": (
            lambda: imaging.histogram(deep),
            lambda: cv2.calcHist([deep], [0], None, [65536], [0, 65536]),
        ),
        "equalise, uint8": (lambda: imaging.equalise(grey), lambda: cv2.equalizeHist(grey)),
        "clahe, uint8": (lambda: imaging.clahe(grey), lambda: clahe.apply(grey)),
        "otsu, uint8": (lambda: imaging.otsu(grey), lambda: cv2.threshold(grey, 0, 255, cv2.THRESH_OTSU)),
        "mean 5, uint8": (lambda: imaging.mean(grey, 5), lambda: cv2.blur(grey, (5, 5))),
        "mean 31, uint8": (lambda: imaging.mean(grey, 31), lambda: cv2.blur(grey, (31, 31))),
        "mean 5, float32": (lambda: imaging.mean(single, 5), lambda: cv2.blur(single, (5, 5))),
        "gaussian 9, uint8": (lambda: imaging.gaussian(grey, 1.0), lambda: cv2.GaussianBlur(grey, (9, 9), 1.0)),
        "gaussian 9, uint8 RGB": (lambda: imaging.gaussian(colour, 1.0), lambda: cv2.GaussianBlur(colour, (9, 9), 1.0)),
        "gaussian 9, uint16": (lambda: imaging.gaussian(deep, 1.0), lambda: cv2.GaussianBlur(deep, (9, 9), 1.0)),
        "gaussian 9, float32": (lambda: imaging.gaussian(single, 1.0), lambda: cv2.GaussianBlur(single, (9, 9), 1.0)),
        "sharpen 9, uint8": (lambda: imaging.sharpen(grey, 1.0), lambda: unsharp(grey)),
        "median 3, uint8": (lambda: imaging.median(grey, 3), lambda: cv2.medianBlur(grey, 3)),
        "median 5, uint8": (lambda: imaging.median(grey, 5), lambda: cv2.medianBlur(grey, 5)),
        "median 7, uint8": (lambda: imaging.median(grey, 7), lambda: cv2.medianBlur(grey, 7)),
        "median 5, uint16": (lambda: imaging.median(deep, 5), lambda: cv2.medianBlur(deep, 5)),
        "median 5, float32": (lambda: imaging.median(single, 5), lambda: cv2.medianBlur(single, 5)),
        "bilateral 9, uint8": (
            lambda: imaging.bilateral(grey, 4, 0.1, 2.0),
            lambda: cv2.bilateralFilter(grey, 9, 25.5, 2.0),
        ),
        "bilateral 9, uint8 RGB": (
            lambda: imaging.bilateral(colour, 4, 0.1, 2.0),
            lambda: cv2.bilateralFilter(colour, 9, 25.5, 2.0),
        ),
        "bilateral 9, float32": (
            lambda: imaging.bilateral(single, 4, 0.1, 2.0),
            lambda: cv2.bilateralFilter(single, 9, 0.1, 2.0),
        ),
        "non-local means 5/13, uint8": (
            lambda: imaging.non_local_means(small, 0.1, 5, 13),
            lambda: cv2.fastNlMeansDenoising(small, None, 25.5, 5, 13),
        ),
        "sobel, uint8": (lambda: imaging.sobel(grey), lambda: sobel_length(grey)),
        "sobel, float32": (lambda: imaging.sobel(single), lambda: sobel_length(single)),
        "erode 5, uint8": (lambda: imaging.erode(grey, 5), lambda: cv2.erode(grey, square)),
        "dilate 5, float32": (lambda: imaging.dilate(single, 5), lambda: cv2.dilate(single, square)),
        "erode disk 7, uint8": (lambda: imaging.erode(grey, 7, "disk"), lambda: cv2.erode(grey, disk)),
        "opening 5, uint8": (
            lambda: imaging.opening(grey, 5),
            lambda: cv2.morphologyEx(grey, cv2.MORPH_OPEN, square),
        ),
        "top-hat 15, uint8": (
            lambda: imaging.top_hat(grey, 15),
            lambda: cv2.morphologyEx(grey, cv2.MORPH_TOPHAT, np.ones((15, 15), np.uint8)),
        ),
    }


def medians(calls: tuple[Call, Call]) -> list[float]:
    """Return each call's median CPU time in milliseconds, taken in turn; the first turn compiles and is left out."""
    times: list[list[float]] = [[], []]
    for turn in range(TURNS + 1):
        for call, found in zip(calls, times, strict=True):
            start = time.thread_time()
            call()
            if turn:
                found.append(1e3 * (time.thread_time() - start))
    return [statistics.median(found) for found in times]


def main() -> None:
    """Measure the rows whose names begin with one of the arguments, or all; the others are kept."""
    cv2.setNumThreads(1)
    wanted, kept = tuple(sys.argv[1:]) or ("",), {}
    if sys.argv[1:] and RESULT.exists():
        kept = {row["op"]: row for row in json.loads(RESULT.read_text())["rows"]}
    rows: list[dict[str, Any]] = []
    for name, calls in pairs().items():
        if not name.startswith(wanted):
            rows += [kept[name]] if name in kept else []
            continue
        ours, theirs = medians(calls)
        rows.append({"op": name, "ms": round(ours, 3), "opencv_ms": round(theirs, 3), "ratio": round(ours / theirs, 2)})
        print(rows[-1], flush=True)
    misses = [row["op"] for row in rows if row["ratio"] > LIMIT]
    what = f"ours / OpenCV {cv2.__version__}, one thread, medians of {TURNS} interleaved calls, CPU time"
    save(RESULT, machine() | {"what": what, "side": SIDE, "limit": LIMIT, "misses": misses, "rows": rows})
    cells = [("operation", "ours, ms", "OpenCV, ms", "ratio")]
    cells += [(r["op"], f"{r['ms']:.2f}", f"{r['opencv_ms']:.2f}", f"{r['ratio']:.2f}") for r in rows]
    into_results("imaging", f"```\n{table(cells)}\n```\n\nAbove {LIMIT}: {', '.join(misses) or 'none'}.", PAGE)


if __name__ == "__main__":
    main()
