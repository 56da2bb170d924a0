"""Every op x backend x sample: worst errors, native and fallback calls.   python benchmarks/check_ops.py [--samples 25]

Errors are relative to the largest value of the array they occur in: float32 on each backend against the float64
reference, and the float64 reference against PyTorch.  Written to benchmarks/results/ops.json.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from peers import into_results, machine, save

import tinymed  # noqa: F401  registers every op
from tinymed import check, dispatch
from tinymed.draw import Draw
from tinymed.tape import Op


def calls(name: str) -> tuple[int, int]:
    """Native and fallback calls of a backend so far."""
    counts = dispatch.record(name).values()
    return sum(c[0] for c in counts), sum(c[1] for c in counts)


def measure(op: type[Op], samples: int) -> dict[str, Any]:
    """Return one op on all its samples.  Raises if anything disagrees."""
    row: dict[str, Any] = {"samples": samples, "gradchecks": 0, "oracle": None if op.oracle is None else 0.0}
    for name in dispatch.BACKENDS:
        row[name] = {"error": 0.0, "native": 0, "fallback": 0}
    for seed in range(samples):
        args = op.samples(Draw(seed))
        with dispatch.use_backend("numpy"):
            true = check.results(op.apply, args, np.float64, seed)
            if op.backward is not None and not any(isinstance(a, np.ndarray) and a.size == 0 for a in args):
                check.gradcheck(op.apply, args, seed=seed)
                row["gradchecks"] += 1
        if op.oracle is not None:
            row["oracle"] = max(
                row["oracle"], check.compare(true, check.oracle_results(op, args, seed=seed), 1e-9, op.__name__)
            )
        for name in dispatch.BACKENDS:
            before = calls(name)
            with dispatch.use_backend(name):
                ours = check.results(op.apply, args, np.float32, seed)
            after = calls(name)
            worst = check.compare(ours, true, getattr(op, "tolerance", 2e-5), f"{op.__name__} on {name}, sample {seed}")
            row[name]["error"] = max(row[name]["error"], worst)
            row[name]["native"] += after[0] - before[0]
            row[name]["fallback"] += after[1] - before[1]
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=25)
    o = parser.parse_args()
    rows = {name: measure(op, o.samples) for name, op in sorted(Op.registry.items())}
    totals = {
        name: [sum(r[name][way] for r in rows.values()) for way in ("native", "fallback")] for name in dispatch.BACKENDS
    }
    summary = {
        "ops": len(rows),
        "samples": sum(r["samples"] for r in rows.values()),
        "gradchecks": sum(r["gradchecks"] for r in rows.values()),
        "against PyTorch": sum(r["oracle"] is not None for r in rows.values()),
        "largest float64 error against PyTorch": max(r["oracle"] or 0.0 for r in rows.values()),
        "largest float32 error": {name: max(r[name]["error"] for r in rows.values()) for name in dispatch.BACKENDS},
        "native and fallback kernel calls": totals,
    }
    save(Path(__file__).parent / "results" / "ops.json", {"machine": machine(), "summary": summary, "rows": rows})
    native, fallback = totals["numba"]
    into_results(
        "ops",
        f"{summary['ops']} ops, {summary['samples']:,} samples: {summary['gradchecks']:,} gradient checks by finite "
        "differences; "
        f"{summary['against PyTorch']} ops beside PyTorch in float64, largest error "
        f"{summary['largest float64 error against PyTorch']:.0e}; on `numba` in float32 {native:,} native and "
        f"{fallback:,} fallback kernel calls, largest error {summary['largest float32 error']['numba']:.0e} of the "
        "largest value.",
    )
    for key, value in summary.items():
        print(f"{key}: {value}")


if __name__ == "__main__":
    main()
