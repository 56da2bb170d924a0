"""Every shape of the papers' networks, one op at a time, against PyTorch in the same run.

    python benchmarks/ops.py [--model resnet50,dcnn64] [--only conv,max_pool2d] [--quick] [--threads 2]

Ours, PyTorch eager in NCHW, and PyTorch with malloc tuned, in NCHW and channels-last (the better of these two is
"best-tuned"), one process each, in turns.  Forward, and backward through the tape (autograd): gradients of input and
weight apart for convolutions and dense layers.  Below 1, ours is faster.  The roof is measured in the same run.
Written to benchmarks/results/ops_t1.json after each row; rows of other runs stay until they are measured again.
"""

import argparse
import json
import statistics
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from peers import TUNED_MALLOC, Absent, Peer, Player, Process, Times, in_turns, machine, ratios, rounded, save, traps
from shapes import Case, cases

RESULTS = Path(__file__).resolve().parent / "results"
EAGER = "torch eager NCHW"
TUNED = {"torch NCHW, malloc": "NCHW", "torch channels_last, malloc": "channels_last"}  # peer: memory format
QUICK = 4  # every how many cases --quick takes


class Bench:
    """The three processes, the roof, and the file of rows."""

    def __init__(self, o: argparse.Namespace):
        environment = {"TINYMED_BACKEND": "numba"} | ({"TINYMED_PRECISION": o.precision} if o.precision else {})
        self.ours = Process(Peer("tinymed", "op_peers", "make_tinymed", environment), o.threads)
        self.plain = Process(Peer(EAGER, "op_peers", "make_torch"), o.threads)
        self.tuned = Process(Peer("tuned", "op_peers", "make_torch", {"GLIBC_TUNABLES": TUNED_MALLOC}), o.threads)
        self.rounds, self.clock = o.rounds, "cpu" if o.threads == 1 else "wall"
        self.roof = self.ours.make({"roof": True})["info"]
        self.path = Path(o.out) if o.out else RESULTS / f"ops_t{o.threads}.json"
        old = json.loads(self.path.read_text())["rows"] if self.path.exists() else []
        self.rows: dict[str, dict[str, Any]] = {r["id"]: r for r in old}
        self.head = {"machine": machine(), "traps": traps(o.threads), "threads": o.threads, "roof": self.roof}

    def measure(self, case: Case, models: list[str]) -> Iterator[dict[str, Any]]:
        """Yield the rows of one case."""
        formats = list(TUNED.values())[: 2 if len(case.tensors[0] or ()) == 4 or case.kind == "optim" else 1]
        try:
            made = self.ours.make({"case": case})
            plain = self.plain.make({"case": case, "formats": ["NCHW"]})["ways"]
            tuned = self.tuned.make({"case": case, "formats": formats})["ways"]
        except Absent as reason:
            print(f"{case.label:52s} absent: {reason}")
            return
        for way in case.ways:
            players = {
                "tinymed": Player(self.ours, way, made["ways"][way]["seconds"]),
                EAGER: Player(self.plain, f"NCHW: {way}", plain[f"NCHW: {way}"]["seconds"]),
            }
            for name, layout in TUNED.items():
                if layout in formats:
                    key = f"{layout}: {way}"
                    players[name] = Player(self.tuned, key, tuned[key]["seconds"])
            turns = in_turns(players, self.rounds, min(0.02, 0.2 / self.rounds))
            yield self.row(case, way, turns) | {"models": models} | self.work(turns, **made["info"][way])

    def row(self, case: Case, way: str, turns: dict[str, Any]) -> dict[str, Any]:
        """Return times of all peers, and our ratios with quartiles to eager and to the better of the tuned."""
        times = {name: Times.of(t, self.clock) for name, t in turns.items()}
        best = min((n for n in times if n in TUNED), key=lambda n: times[n].median)
        low, eager, high = ratios(turns["tinymed"], turns[EAGER], self.clock)
        tuned_low, tuned, tuned_high = ratios(turns["tinymed"], turns[best], self.clock)
        return {
            "id": f"{case.label} {way}",
            "op": case.op,
            "kind": case.kind,
            "way": way,
            "case": case,
            "eager": eager,
            "eager_low": low,
            "eager_high": high,
            "tuned": tuned,
            "tuned_low": tuned_low,
            "tuned_high": tuned_high,
            "best_tuned": best,
            "commit": self.head["machine"]["commit"],
            "date": self.head["machine"]["date"],
            "times": {n: rounded(asdict(t)) for n, t in times.items()},
        }

    def work(self, turns: dict[str, Any], flops: float, nbytes: float, **kernels: Any) -> dict[str, Any]:
        """GFLOP/s, GB/s, and the share of our time that the nearer ceiling explains."""
        seconds = Times.of(turns["tinymed"], self.clock).median
        roofs = {"arithmetic": flops / self.roof["gflops"], "memory": nbytes / self.roof["gbs"]}
        bound = max(roofs, key=lambda k: roofs[k])
        return {
            "flops": flops,
            "bytes": nbytes,
            "intensity": flops / max(nbytes, 1),
            "gflops": flops / seconds / 1e9,
            "gbs": nbytes / seconds / 1e9,
            "roof": roofs[bound] / 1e9 / seconds,
            "bound": bound,
            **kernels,
        }

    def keep(self, row: dict[str, Any]) -> None:
        """Add a row to the file."""
        self.rows[row["id"]] = rounded(row)
        save(self.path, self.head | {"rows": list(self.rows.values())})

    def close(self) -> None:
        """End the processes."""
        for process in (self.ours, self.plain, self.tuned):
            process.close()


def line(row: dict[str, Any]) -> str:
    """Return one row for the terminal; ! marks a miss of 1.0 of eager or 1.1 of best-tuned, f a fallback."""
    miss = "!" if row["eager"] > 1.0 or row["tuned"] > 1.1 else " "
    microseconds = 1e6 * row["times"]["tinymed"]["median"]
    return (
        f"{row['id']:62s} {row['eager']:6.2f} {row['tuned']:6.2f} {miss}{'f' if row['fallbacks'] else ' '} "
        f"{microseconds:10.1f} {row['gflops']:8.1f} {row['gbs']:7.1f} {100 * row['roof']:5.0f} {row['bound'][:5]} "
        f"{row['times']['tinymed']['busy']:.1f}"
    )


def summary(rows: list[dict[str, Any]]) -> str:
    """By kind: how many rows, their median and worst ratios, how many miss."""
    lines = [f"{'kind':12s} {'rows':>5s} {'eager':>6s} {'worst':>6s} {'tuned':>6s} {'worst':>6s} {'misses':>7s}"]
    for kind in sorted({r["kind"] for r in rows}):
        own = [r for r in rows if r["kind"] == kind]
        eager, tuned = [r["eager"] for r in own], [r["tuned"] for r in own]
        misses = sum(r["eager"] > 1.0 or r["tuned"] > 1.1 for r in own)
        lines.append(
            f"{kind:12s} {len(own):5d} {statistics.median(eager):6.2f} {max(eager):6.2f} "
            f"{statistics.median(tuned):6.2f} {max(tuned):6.2f} {misses:7d}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="kinds or functions, separated by commas: conv,pool,batch_norm")
    parser.add_argument("--model", default="", help="networks, separated by commas: dcnn64,resnet50")
    parser.add_argument("--match", default="", help="only labels that contain this")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--precision", choices=["", "exact", "tf32"], default="", help="of ours; by default tf32")
    parser.add_argument("--quick", action="store_true", help=f"every {QUICK}th case, three rounds, to a scratch file")
    parser.add_argument("--out", default="", help="another file for the rows")
    o = parser.parse_args()
    found = [(c, m) for c, m in cases(o.model, o.only).items() if o.match in c.label]
    if o.quick:
        found, o.rounds, o.out = found[::QUICK], min(o.rounds, 3), o.out or str(RESULTS / "quick.tmp")
    if not found:
        raise SystemExit(f"no case matches --only {o.only!r} --model {o.model!r} --match {o.match!r}")
    bench, rows = Bench(o), []
    for name, text in (bench.head["traps"] | {"BLAS of NumPy": bench.roof["blas"]}).items():
        print(f"{name}: {text}")
    print(f"roof: {bench.roof['gflops']:.0f} GFLOP/s, {bench.roof['gbs']:.0f} GB/s\n")
    columns = f"{'us':>10s} {'GFLOP/s':>8s} {'GB/s':>7s} {'%roof':>5s} bound busy"
    print(f"{'op':62s} {'eager':>6s} {'tuned':>6s}    {columns}")
    for case, models in found:
        for row in bench.measure(case, models):
            bench.keep(row)
            rows.append(row)
            print(line(row), flush=True)
    bench.close()
    print("\n" + summary(rows))


if __name__ == "__main__":
    main()
