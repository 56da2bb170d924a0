"""Counters of every rung of the ladders, and predicted times, without a GPU: results/ladders.json, docs/ladders.md.

    python benchmarks/ladders.py [LADDER ...] [--tables]

Sectors of global memory and passes over shared memory are the emulator's, on a ladder's small problem; registers are
ptxas' for sm_80, from the tables that ship; times are the timing model's for an A100, on the large problem.  Ladders
that are not named keep what they had.  --tables: print what docs/ladders.md shows, and measure nothing.
"""

import argparse
import datetime
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RESULT = Path(__file__).with_name("results") / "ladders.json"
GPU = "a100"
HEADER = "| rung | sectors | of the least | passes | of the least | registers | predicted us, A100 |"


def measured(name: str) -> dict[str, Any]:
    """Return what is known of a ladder's rungs."""
    from tinymed.cli.ladder import Step, count_accesses
    from tinymed.cli.predicting_rungs import predict_rungs
    from tinymed.cuda.gpus import GPUS
    from tinymed.cuda.ladders import LADDERS
    from tinymed.cuda.prediction import shipped

    chosen = LADDERS[name]
    steps = [Step(rung.label) for rung in chosen.rungs]
    if wrong := count_accesses(chosen, steps):
        raise SystemExit(wrong)
    notes = predict_rungs(chosen, steps, GPUS[GPU])[1:]
    rows = []
    for rung, step in zip(chosen.rungs, steps, strict=True):
        kernels = shipped(rung.source, GPUS[GPU])
        registers = next((k.usage.registers for k in kernels if re.search(rung.entry, k.name)), None)
        row = {"rung": rung.label, "sectors": step.moved, "waste": step.waste, "passes": step.waited}
        row |= {"conflicts": step.conflicts, "registers": registers, "predicted_us": step.predicted_us}
        rows.append({key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()})
    return {"small": chosen.small, "large": chosen.large, "rungs": rows, "notes": notes}


def table(one: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a ladder's table."""
    yield HEADER
    yield "|---|" + "---:|" * (HEADER.count("|") - 2)
    for row in one["rungs"]:
        cells = [f"{row['sectors']:,}", f"{row['waste']:.2f}", f"{row['passes']:,}" if row["passes"] else "none"]
        cells += ["" if row["conflicts"] is None else f"{row['conflicts']:.2f}", f"{row['registers'] or ''}"]
        cells.append("" if row["predicted_us"] is None else f"{row['predicted_us']:,.0f}")
        yield "| " + " | ".join([f"`{row['rung']}`", *cells]) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ladders", nargs="*", metavar="LADDER", help="by default all")
    parser.add_argument("--tables", action="store_true", help="print the tables of what was measured")
    o = parser.parse_args()
    known = json.loads(RESULT.read_text()) if RESULT.exists() else {"ladders": {}}
    if not o.tables:
        from tinymed.cuda.ladders import LADDERS

        for name in o.ladders or LADDERS:
            known["ladders"][name] = measured(name)
            known["date"] = str(datetime.date.today())
            known["ladders"] = dict(sorted(known["ladders"].items()))
            RESULT.write_text(json.dumps(known, indent=1) + "\n")
            print(f"{name}: counted", flush=True)
        return
    for name in o.ladders or known["ladders"]:
        print(f"\n{name}", *table(known["ladders"][name]), sep="\n")


if __name__ == "__main__":
    main()
