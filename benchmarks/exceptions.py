"""The single ops that miss their goals, each with its share of the roof and the reason, as far as it is known.

Rows come from ops_t1.json; `results_table.py` writes what this makes of them to benchmarks/results/ops_exceptions.md.
"""

import re
from typing import Any

NEAR = 0.05  # of a goal: repeated measurements differ by as much
SHORT, CALL = 60e-6, 150e-6  # seconds of a row that is little but the call, and of one in which the call counts
IN_CACHE = 1.0  # a share of the roof that only data in the caches reaches
# (what matches "op label way", from which share of the roof on, reason): the first that fits
REASONS = (
    (r"^dropout .*backward", 0, "no mask is kept: bits are drawn again, ten rounds of Philox for eight numbers"),
    (r"^cat .*backward", 0, "a leaf keeps a dense copy of its part: two passes, each over half of every pixel"),
    (r"^cat", 0, "runs of two arrays copied in turns; short ones, and before them the call"),
    (r"depthwise .*weight", 0, "the nine sums of each channel are loaded and stored for every eight pixels of a row"),
    (r"depthwise", 0, "each pixel is loaded once for every row of taps, from the second cache where rows are long"),
    (r"^cross_entropy .*@", 0, "turned into columns a strip at a time; a logarithm and two exponentials a pixel"),
    (r"^cross_entropy", 0, "eight rows: what is timed is the call"),
    (r"^binary_cross", 0, "an exponential and a division a number"),
    (r"^layer_norm .*backward", 0, "sums of each row, then the map: dy and x are read twice, and summed over rows"),
    (r"^layer_norm", 0, "sums of each row, then the map: x is read twice"),
    (r"^log_softmax", 0, "three passes over each row: the largest, the exponentials, the result"),
    (r"^batch_norm .*True .*forward", 0, "moments, then the map: x is read twice, by two kernels; twice the call"),
    (r"^(batch|group)_norm", 0, "sums are kept in strips in the first-level cache, two loads and two stores a vector"),
    (r"^interpolate .*backward", 0, "each row of the larger map is read for two rows of the smaller, and added twice"),
    (r"^max_pool", 0, "the argmax is written too, one byte per window: backward reads it"),
    (r"^conv_transpose", 0, "a product for each tap, 2 x 2 of them, each written by itself, and a pass for the bias"),
    (r"->[1-4] @", 0, "few filters: a tile has 32 columns, one vector of them is computed for two or four"),
    (r"^conv2d .* 3->\d+ .*forward", 0, "27 terms a sum: a quarter of the time is beginning and ending tiles"),
    (r"^linear .* b1 ", 0, "a matrix times a vector, or an outer product: a pass over the weight"),
    (r"backward weight", 0.75, "near the roof: what is missing is packing, a pass over both operands"),
    (r"^conv.*backward weight", 0, "packed or read a page apart, operands of few pixels or few channels"),
    (r"^conv.* s2 .*backward input", 0, "taps are added to the pixels they read, one pass over dx for each"),
    (r"^conv", 0, "the microkernel, less packing and edges"),
    (r"^linear", 0, "the smaller operand is packed at every call, another kernel"),
    (r"^(sgd|adam) .*@", 0, "three kernels for a handful of numbers: what is timed is the call"),
    (r"^(relu|add|sgd|adam)", IN_CACHE, "one pass over data in the caches, and ten microseconds of the call"),
    (r"^(relu|add|sgd|adam)", 0, "one pass over memory: both move the same bytes, and the clock is the memory's"),
    (r"^\w+ 64 @32 b128", 0, "one pass whose result goes into the caches, not past them: its lines are read first"),
    (r".", 0.6, "one pass over memory, near its speed"),
    (r".", 0, "not looked into"),
)


def reason(row: dict[str, Any]) -> str:
    """Why a row is above its goal."""
    seconds = row["times"]["tinymed"]["median"]
    if seconds < SHORT:
        return f"{1e6 * seconds:.0f} microseconds, about ten of which are the call"
    found = next(text for pattern, share, text in REASONS if re.search(pattern, row["id"]) and row["roof"] >= share)
    if seconds < CALL and "the call" not in found:
        return f"{found}; of the microseconds ten are the call"
    return found


def markdown(rows: list[dict[str, Any]], missed: list[dict[str, Any]], goals: tuple[float, float]) -> str:
    """Return a table of the rows above a goal, the worst first."""
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
