"""Training steps in float64: ours, captured and eager, and PyTorch, eager and at its best.

    python benchmarks/float64.py [--only unet] [--rounds 9] [--note "before the first kernel"]

The papers' CNN on 3x64x64 (batch 32), ResNet-20 on 3x32x32 (batch 32) and U-Net (base 32, batch norm) on 1x128x128
(batch 2); SGD with momentum.  Peers, data and twins are those of networks.py.  One thread, processor time.  Written to
benchmarks/results/float64.json, a row for each task; with --note to the rows of that name, beside the others.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from models import RESULTS, against
from networks import PEERS
from peers import as_json, compare, machine, save, table, traps

THREADS = 1
TASKS: dict[str, dict[str, Any]] = {
    "dcnn 3x64x64 b32": {
        "network": "dcnn",
        "shape": (3, 64, 64),
        "classes": 2,
        "batch": 32,
        "options": {"size": 64, "padding": "same"},
    },
    "resnet20 3x32x32 b32": {"network": "resnet20", "shape": (3, 32, 32), "classes": 10, "batch": 32, "options": {}},
    "unet, base 32 1x128x128 b2": {
        "network": "unet_bn",
        "shape": (1, 128, 128),
        "classes": 2,
        "batch": 2,
        "options": {"base": 32},
    },
}
GOAL = 0.45  # of PyTorch at its best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="part of a task's name")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--note", default="now", help="under which name the rows are kept")
    parser.add_argument("--out", default=str(RESULTS / "float64.json"), help="another file for the results")
    o = parser.parse_args()
    path = Path(o.out)
    kept = json.loads(path.read_text())["rows"] if path.exists() else {}
    for name, task in TASKS.items():
        if o.only not in name:
            continue
        absent: dict[str, str] = {}
        results = compare(PEERS, task | {"dtype": "float64"}, THREADS, o.rounds, absent=absent)
        ours, where = against(results), machine()
        missed = "tinymed captured" in absent or ours["tinymed captured"]["best tuned"] > GOAL
        row = {"machine": where, "peers": as_json(results), "ours": ours, "missed": missed, "absent": absent}
        kept.setdefault(o.note, {})[name] = row
        save(path, {"threads": THREADS, "traps": traps(THREADS), "goal": GOAL, "rows": kept})
        print(f"\n{name}, float64, {THREADS} thread\n{table(results)}\n{ours}\nmissed: {missed} {absent}", flush=True)


if __name__ == "__main__":
    main()
