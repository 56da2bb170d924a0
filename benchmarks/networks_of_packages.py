"""Networks of torchvision, timm, MONAI and segmentation-models-pytorch, built with tinymed answering for PyTorch.

    python benchmarks/networks_of_packages.py [--folder RESULTS] [--reuse] [NAME or PACKAGE ...]

Two processes run tests/network_probe.py on the networks that tests/package_networks.py lists, one with PyTorch and one
with tinymed in its place, in float64 on backend numpy, in evaluation and in training with nothing dropped. Outputs and
the gradients of inputs and of every parameter are compared: equal (within TOLERANCE of the largest), wrong (the largest
error), or refused (what tinymed said). A network that the installed PyTorch cannot run is `unheld`. One whose results
PyTorch itself changes by as much, when its inputs and parameters move by 1e-15 of themselves, one way or the other, is
`unsteady`; one that
is equal where PyTorch computes hardsigmoid by its formula is `formula`: its gradient has a 1/6 of float32 in float64.
Neither counts as equal. One line a network goes to benchmarks/results/networks_of_packages.json.
Needs `pip install '.[networks]'`.
"""

import argparse
import importlib.metadata
import json
import subprocess
import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests"
RESULTS = Path(__file__).parent / "results" / "networks_of_packages.json"
TOLERANCE = 1e-9  # of an array's largest value; of a small gradient, of FLOOR times the network's largest
FLOOR = 1e-3
NUDGED = ("nudged", "nudged_back")
OUTCOMES = ("equal", "wrong", "refused", "unsteady", "formula", "unheld")

sys.path.insert(0, str(TESTS))
from package_networks import PACKAGES, Network, listed  # noqa: E402


def run(engine: str, folder: Path, names: list[str], python: str = sys.executable) -> None:
    """Probe networks in a process of their own."""
    command = [python, str(TESTS / "network_probe.py"), engine, str(folder / engine), *names]
    subprocess.run(command, check=True, cwd=ROOT)


def found(network: Network, folder: Path) -> dict[str, np.ndarray] | str:
    """Return what a process left of a network: its arrays, or why there are none."""
    place = folder / network.package / network.name
    if place.with_name(place.name + ".npz").exists():
        with np.load(place.with_name(place.name + ".npz"), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    reason = place.with_name(place.name + ".txt")
    return reason.read_text().strip() if reason.exists() else "the process ended before it"


def difference(ours: dict[str, np.ndarray], true: dict[str, np.ndarray]) -> tuple[float, str]:
    """Return the largest error, as a part of what it is measured by, and the array it is in."""
    if ours.keys() != true.keys():
        names = sorted(ours.keys() ^ true.keys())
        return np.inf, f"only one has {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}"
    largest = {n: float(np.abs(a).max()) if a.size else 0.0 for n, a in true.items()}
    worst, where = 0.0, ""
    for name, a in true.items():
        mode, kind = name.split(" ")[:2]
        peers = [size for n, size in largest.items() if n.split(" ")[:2] == [mode, kind] and "summed" not in n]
        if ours[name].shape != a.shape:
            return np.inf, f"{name}: shape {ours[name].shape}, not {a.shape}"
        error = float(np.abs(ours[name] - a).max()) if a.size else 0.0
        error = np.inf if np.isnan(error) else error
        scale = max(largest[name], FLOOR * max(peers), np.finfo(float).tiny)
        if error / scale > worst:
            worst, where = error / scale, name
    return worst, where


def row(network: Network, folder: Path) -> dict[str, Any]:
    """How a network fared."""
    ours, true = found(network, folder / "tinymed"), found(network, folder / "torch")
    line: dict[str, Any] = {"package": network.package, "name": network.name, "modes": "+".join(network.modes)}
    if isinstance(true, str):
        return line | {"outcome": "unheld", "why": true}
    if isinstance(ours, str):
        return line | {"outcome": "refused", "why": ours}
    error, where = difference(ours, true)
    if error <= TOLERANCE:
        return line | {"outcome": "equal", "arrays": len(true), "error": float(f"{error:.1e}")}
    return line | {"outcome": "wrong", "why": f"{where}: off by {error:.1e} of the largest"}


def explained(line: dict[str, Any], network: Network, folder: Path) -> dict[str, Any]:
    """Return a row, `unsteady` or `formula` instead of `wrong` where that is why PyTorch differs.

    Neither is counted as equal.
    """
    if line["outcome"] != "wrong":
        return line
    for engine in (*NUDGED, "formulas"):
        if isinstance(found(network, folder / engine), str):
            run(engine, folder, [network.name])
    ours, true, formulas, *nudged = (
        found(network, folder / engine) for engine in ("tinymed", "torch", "formulas", *NUDGED)
    )
    if isinstance(ours, str) or isinstance(true, str) or isinstance(formulas, str):
        return line
    error, left = difference(ours, true)[0], difference(ours, formulas)[0]
    own = max((difference(n, true)[0] for n in nudged if not isinstance(n, str)), default=0.0)
    if left <= TOLERANCE:
        return line | {"outcome": "formula", "why": f"{line['why']}; with hardsigmoid by its formula, by {left:.1e}"}
    if error > own:
        return line
    return line | {"outcome": "unsteady", "why": f"{line['why']}; PyTorch, nudged by 1e-15, by {own:.1e}"}


def versions() -> dict[str, str]:
    """Return the versions that were tried."""
    return {name: importlib.metadata.version(name) for name in ("torch", *PACKAGES.values(), "numpy")}


def commit() -> str:
    """Return the commit that was tried; with + where files differ from it."""
    git = ["git", "-C", str(ROOT)]
    at = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    changed = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True).stdout.strip()
    return at + ("+" if changed else "")


def table(rows: list[dict[str, Any]]) -> str:
    """Return Counts by package and outcome."""
    lines = [f"{'package':28}{'networks':>9}" + "".join(f"{o:>9}" for o in OUTCOMES)]
    for package in (*PACKAGES, "all"):
        chosen = [r for r in rows if package in (r["package"], "all")]
        counts = Counter(r["outcome"] for r in chosen)
        lines.append(f"{package:28}{len(chosen):>9}" + "".join(f"{counts[o]:>9}" for o in OUTCOMES))
    return "\n".join(lines)


def written(rows: list[dict[str, Any]], path: Path) -> None:
    """Write one line a network below what was tried."""
    head = {"date": datetime.now(UTC).date().isoformat(), "commit": commit(), "versions": versions()}
    lines = ",\n".join(json.dumps(r) for r in rows)
    path.write_text(f'{json.dumps(head)[:-1]}, "rows": [\n{lines}\n]}}\n')


def main() -> None:
    """Probe, compare, write and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="packages or networks; by default all")
    parser.add_argument("--folder", type=Path, help="where the processes leave their arrays; by default a passing one")
    parser.add_argument("--reuse", action="store_true", help="compare what lies in the folder, running nothing")
    parser.add_argument("--write", type=Path, default=RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as passing:
        folder = options.folder or Path(passing)
        if not options.reuse:
            for engine in ("torch", "tinymed"):
                run(engine, folder, options.names)
        chosen = [n for n in listed() if not options.names or {n.package, n.name} & set(options.names)]
        rows = [explained(row(n, folder), n, folder) for n in chosen]
    for r in rows:
        if r["outcome"] != "equal":
            print(f"{r['outcome']:8} {r['package']} {r['name']}: {r['why']}")
    print(table(rows))
    if not options.names:
        written(rows, options.write)


if __name__ == "__main__":
    main()
