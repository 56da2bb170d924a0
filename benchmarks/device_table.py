"""The short table at the end of `device.py`, made of its file of results.

python benchmarks/device_table.py benchmarks/results/h100-2026-11-21.json
"""

import json
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def text(results: dict[str, Any]) -> str:
    """Stages, then ops by kind and way, then the whole step; a line for what was found wrong."""
    stages = results["stages"]
    lines = [f"{results['gpu']}, {results['date']}, {results.get('seconds', 0):.0f} s"]
    lines += [f"  {name:12s} {s.get('seconds', 0):6.1f} s  {s['status']}{found(s)}" for name, s in stages.items()]
    lines += [*ops(result(stages, "ops")), *step(result(stages, "step"))]
    return "\n".join(lines)


def result(stages: dict[str, Any], name: str) -> dict[str, Any]:
    """Return what a stage measured, complete or not."""
    own: dict[str, Any] = stages.get(name, {}).get("result", {})
    return own


def found(stage: dict[str, Any]) -> str:
    """Return what a stage's output said, in a few words."""
    read, own = stage.get("read", {}), stage.get("result", {})
    said = [f"{n} {word}" for word, n in read.get("counts", {}).items()]
    said += [*read.get("summary", []), *([f"spilling: {len(read['spilling'])}"] if read.get("spilling") else [])]
    if "never entered" in own:
        said.append(f"{own['entered']} kernels entered, {len(own['failed'])} failures")
    if "summary" in own:
        model = own["summary"]
        correlation, error = model.get("rank_correlation"), model.get("median_log_ratio")
        said.append(model.get("missing") or f"model: rank correlation {correlation}, median |log ratio| {error}")
    if "ncu" in own:
        said.append(f"ncu: {own['ncu']}"[:60])
    return f": {', '.join(said)}" if said else ""


def ops(own: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each kind and way: rows, median and worst ratio, median share of the copy, goals met."""
    rows = [r for r in own.get("rows", []) if "failed" not in r]
    if not rows:
        return
    yield f"\ncopy {own['copy_gbs']:.0f} GB/s, tf32 {own.get('tf32_tflops', 0):.0f} TFLOP/s; {own['pytorch']}"
    columns = f"{'torch/ours':>10s} {'worst':>6s} {'of copy':>8s} {'TFLOP/s':>8s}  goals met"
    yield f"{'op':22s} {'way':20s} {'rows':>4s} {columns}"
    for key in dict.fromkeys((r["kind"], r["way"]) for r in rows):
        same = [r for r in rows if (r["kind"], r["way"]) == key]
        over = [r["ratio"] for r in same if "ratio" in r]
        share, rate = (statistics.median(r[k] for r in same) for k in ("copy_share", "tflops"))
        judged = [r["met"] for r in same if "met" in r]
        met = f"{sum(judged)} of {len(judged)}" if judged else "-"
        compared = f"{statistics.median(over):10.2f} {min(over):6.2f}" if over else f"{'-':>10s} {'-':>6s}"
        yield f"{key[0]:22s} {key[1]:20s} {len(same):4d} {compared} {100 * share:7.0f}% {rate:8.1f}  {met}"
    wrong = [r["label"] for r in own["rows"] if "failed" in r or r.get("close") is False]
    if wrong:
        yield f"failed or wrong: {', '.join(wrong)}"


def step(own: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each way to run the whole step."""
    if not own:
        return
    yield f"\n{own['task']}"
    for name, s in own["steps"].items():
        if "failed" in s:
            yield f"{name:22s} failed: {s['failed'][:80]}"
            continue
        over = f"  {s['over_captured']:.2f} x our captured step" if "over_captured" in s else ""
        goal = f"  (goal {s['goal'].rpartition(' ')[2]}: {'met' if s['met'] else 'missed'})" if "goal" in s else ""
        yield f"{name:22s} {s['us']:10.0f} us{over}{goal}"


if __name__ == "__main__":
    print(text(json.loads(Path(sys.argv[1]).read_text())))
