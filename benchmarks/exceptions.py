"""The single ops that miss their goals, each with its share of the roof and the reason, as far as it is known.

Rows come from ops_t1.json; `readme_table.py` writes what this makes of them to benchmarks/results/ops_exceptions.md.
"""

import re
from typing import Any

NEAR = 0.05  # of a goal: repeated measurements differ by as much
# (what matches "op label way", from which share of the roof on, reason): the first that fits
REASONS = (
    (r"depthwise .*weight", 0, "the nine sums of each channel are loaded and stored for every eight pixels of a row"),
    (r"depthwise", 0, "each pixel is loaded once for every row of taps, from the second cache where rows are long"),
    (r"^cross_entropy .*@", 0, "turned into columns a strip at a time; a logarithm and two exponentials a pixel"),
    (r"^cross_entropy|^relu 128 b|^sgd|^cat .*@(7|14) ", 0, "microseconds of work: what is timed is the call"),
    (r"^log_softmax", 0, "three passes over each row: the largest, the exponentials, the result"),
    (r"^dropout", 0, "the mask is not kept: its words are drawn again, ten rounds of Philox for four numbers"),
    (r"^cat .*backward", 0, "a leaf keeps a dense copy of its part; each part is a pass over memory of its own"),
    (r"^cat", 0, "one pass over memory; before it the call, tens of microseconds"),
    (r"^(batch|group)_norm", 0, "sums are kept in strips in the first-level cache, two loads and two stores a vector"),
    (r"backward weight", 0.75, "near the roof; not looked into further"),
    (r"backward weight", 0, "few weights: operands are read as they lie, a pixel's channels apart, not packed"),
    (r"backward input", 0, "at stride 2 taps are added to the pixels they read, one pass over dx for each"),
    (r"^conv", 0, "the microkernel, less packing and edges"),
    (r".", 0.6, "one pass over memory, near its speed"),
    (r".", 0, "not looked into"),
)  # fmt: skip


def reason(row: dict[str, Any]) -> str:
    """Why a row is above its goal."""
    return next(text for pattern, share, text in REASONS if re.search(pattern, row["id"]) and row["roof"] >= share)


def markdown(rows: list[dict[str, Any]], missed: list[dict[str, Any]], goals: tuple[float, float]) -> str:
    """A table of the rows above a goal, the worst first."""
    eager, tuned = goals
    near = sum(r["eager"] <= eager + NEAR and r["tuned"] <= tuned + NEAR for r in missed)
    lines = [
        f"{len(missed)} of {len(rows)} measured rows are above {eager:.1f} of PyTorch eager or {tuned:.1f} of the "
        f"better of its tuned forms, {near} of them by {NEAR} at most.",
        "",
        "| shape and direction | of eager | of best-tuned | % of roof | bound by | reason |",
        "|---|---|---|---|---|---|",
    ]
    for r in missed:
        share = f"{100 * r['roof']:.0f} | {r['bound']}"
        lines.append(f"| {r['id']} | {r['eager']:.2f} | {r['tuned']:.2f} | {share} | {reason(r)} |")
    return "\n".join(lines) + "\n"
