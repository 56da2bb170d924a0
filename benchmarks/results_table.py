"""The speed tables of docs/results.md, from what models.py, networks.py and ops.py wrote; none is typed by hand.

python benchmarks/results_table.py            writes them between the markers <!-- speed --> there, and the single ops
                                             above their goals, with reasons, to results/ops_exceptions.md
python benchmarks/results_table.py --check    prints the goals that are missed; exit code 1 if any is
"""

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import exceptions
from peers import PAGE, into_results

RESULTS = Path(__file__).resolve().parent / "results"
# (task, ours, rival): the ratio of times to stay below, or of peak memory.
GOALS = {
    ("train 3x64x64 b128", "tinymed captured", "eager"): 0.15,
    ("train 3x64x64 b128", "tinymed captured", "best tuned"): 0.33,
    ("train 3x64x64 b128", "tinymed captured", "memory"): 0.7,
    ("train 3x64x64 b128", "tinymed eager", "eager"): 0.27,
    ("train 3x64x64 b128", "tinymed eager", "best tuned"): 0.58,
    ("train 1x50x50 b128", "tinymed captured", "eager"): 0.25,
    ("train 1x50x50 b128", "tinymed captured", "best tuned"): 0.5,
    ("train 3x224x224 b16", "tinymed captured", "eager"): 0.25,
    ("train 3x224x224 b16", "tinymed captured", "best tuned"): 0.5,
    ("infer 3x64x64 b128", "tinymed captured", "eager"): 0.12,
    ("infer 3x64x64 b128", "tinymed captured", "ONNX Runtime"): 0.6,
    ("infer 3x64x64 b1", "tinymed captured", "eager"): 0.28,
    ("infer 3x64x64 b1", "tinymed captured", "ONNX Runtime"): 1.2,
}
RIVALS = ("eager", "best tuned", "ONNX Runtime", "JAX", "memory")
EAGER, TUNED = 1.0, 1.1  # goals of every op


def load(name: str) -> dict[str, Any]:
    """Return a file of results, or an empty one."""
    path = RESULTS / name
    return json.loads(path.read_text()) if path.exists() else {}


def models(content: dict[str, Any]) -> list[str]:
    """Whole steps: our ratios to each rival."""
    lines = [
        "| ours over theirs; the papers' CNN if no other is named "
        "| eager PyTorch | best-tuned PyTorch | ONNX Runtime | JAX | peak memory |",
        "|---|---|---|---|---|---|",
    ]
    for task, found in content.get("tasks", {}).items():
        for ours, to in found["ours"].items():
            cells = [f"{to[rival]:.2f}" if rival in to else "-" for rival in RIVALS]
            lines.append(f"| {task}, {ours.removeprefix('tinymed ')} | {' | '.join(cells)} |")
    return lines


def misses(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows above the goal of every op, the worst first."""
    found = [r for r in rows if r["eager"] > EAGER or r["tuned"] > TUNED]
    return sorted(found, key=lambda r: -max(r["eager"] / EAGER, r["tuned"] / TUNED))


def ops(content: dict[str, Any]) -> list[str]:
    """By kind of op: median ratios and shares of the roof, and how many rows meet the goals."""
    rows = content.get("rows", [])
    lines = [
        "| single ops (median over shapes) | rows | to eager | to best-tuned | % of roof | within 1.0 and 1.1 |",
        "|---|---|---|---|---|---|",
    ]
    for kind in sorted({r["kind"] for r in rows}):
        own = [r for r in rows if r["kind"] == kind]
        eager, tuned, roof = (statistics.median(r[key] for r in own) for key in ("eager", "tuned", "roof"))
        good = len(own) - len(misses(own))
        lines.append(f"| {kind} | {len(own)} | {eager:.2f} | {tuned:.2f} | {100 * roof:.0f} | {good} |")
    return lines


def text() -> str:
    """Return both tables, and on what they were measured."""
    whole, single, large = load("models_t1.json"), load("ops_t1.json"), load("networks_t1.json")
    if not whole and not single:
        raise SystemExit(f"no models_t1.json or ops_t1.json in {RESULTS}: run models.py and ops.py first")
    head = (whole or single)["machine"]
    measured = (
        f"One thread of process CPU time on {head['processor']}, PyTorch {head['torch']}, ONNX Runtime "
        f"{head['onnxruntime']}, JAX {head['jax']}, {head['date']}."
    )
    if single:
        roof = single["roof"]
        measured += f"  The roof: {roof['gflops']:.0f} GFLOP/s and {roof['gbs']:.0f} GB/s, measured in the same run."
    if whole and large:
        whole = whole | {"tasks": whole["tasks"] | {f"train {task}": v for task, v in large["tasks"].items()}}
    parts = [models(whole)] * bool(whole) + [ops(single)] * bool(single)
    return "\n\n".join([measured, *("\n".join(lines) for lines in parts)])


def check() -> int:
    """Print every goal that is missed or was not measured; how many."""
    tasks, missed = load("models_t1.json").get("tasks", {}), 0
    for (task, ours, rival), goal in GOALS.items():
        value = tasks.get(task, {}).get("ours", {}).get(ours, {}).get(rival)
        if value is None or value > goal:
            missed += 1
            print(f"{task}, {ours} to {rival}: {'not measured' if value is None else f'{value:.3f}'}, goal {goal}")
    for task, found in load("networks_t1.json").get("tasks", {}).items():
        for what, value in found["missed"].items():
            missed += 1
            print(f"{task}, {what}: {value:.3f}")
    for r in misses(load("ops_t1.json").get("rows", [])):
        missed += 1
        print(f"{r['id']}: {r['eager']:.2f} of eager, {r['tuned']:.2f} of best-tuned, {100 * r['roof']:.0f} % of roof")
    return missed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="print missed goals instead of writing the page")
    o = parser.parse_args()
    if o.check:
        sys.exit(1 if check() else 0)
    if "<!-- speed -->" not in PAGE.read_text():
        raise SystemExit("docs/results.md has no <!-- speed --> markers; put two where the tables belong")
    into_results("speed", text())
    rows = load("ops_t1.json").get("rows", [])
    (RESULTS / "ops_exceptions.md").write_text(exceptions.markdown(rows, misses(rows), (EAGER, TUNED)), "utf-8")


if __name__ == "__main__":
    main()
