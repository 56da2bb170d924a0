"""Ops against PyTorch on a GPU, and as a share of the two ceilings measured in the same run.

    python benchmarks/device_ops.py --out FILE [--backend emulated --quick]

Convolutions of the papers' CNN at batch 128 and of ResNet-50 at batch 32, forward, gradient of the input and of the
weight; with bias and ReLU; pooling, batch norm, element-wise ops, softmax cross-entropy and the optimisers.  PyTorch is
channels_last, cudnn.benchmark on, tf32 allowed, its optimisers fused.  Both run as graphs of several copies: see
device_clock.py.  A ratio is PyTorch's time over ours: above 1, ours is faster.  Results are compared in the same run.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from device_clock import Clock, arguments, graphed, replayed, saved, spread, torch_on
from device_rows import Row, rows
from peers import Absent, ratios, rounded

CLOSE = 5e-3  # of the largest value: both multiply in tf32
PRODUCT, COPIED = 8192, 1 << 28  # the sides of the product, the floats of the copy that ceilings are measured with


class Bench:
    """The clock, PyTorch or why there is none, the ceilings, and the file of rows."""

    def __init__(self, o: Any):
        self.o, self.clock = o, Clock(o.backend, o.quick)
        try:
            self.torch, self.absent = torch_on(self.clock.cuda), ""
        except Absent as reason:
            self.torch, self.absent = None, str(reason)
        self.result: dict[str, Any] = {"pytorch": self.absent or f"PyTorch {self.torch.__version__}", "rows": []}

    def ceilings(self) -> None:
        """Bytes a second of a copy, and operations a second of PyTorch's product in tf32 and in float32."""
        from tinymed import dispatch

        xp = dispatch.table(self.o.backend).xp
        n, side = (1 << 16, 64) if self.o.quick else (COPIED, PRODUCT)
        a, b = xp.ones(n, np.float32), xp.empty(n, np.float32)

        def copy() -> None:
            b[...] = a

        seconds = min(t["device"] for t in self.clock.in_turns({"copy": copy}, 0.02)["copy"])
        self.result["copy_gbs"] = 2e-9 * a.nbytes / seconds
        if self.torch is not None:
            x = self.torch.randn(side, side, device="cuda" if self.clock.cuda else "cpu")
            for name, allowed in (("tf32", True), ("float32", False)):
                self.torch.backends.cuda.matmul.allow_tf32 = allowed
                turns = self.clock.in_turns({name: lambda x=x: x @ x}, 0.05)[name]
                self.result[f"{name}_tflops"] = 2e-12 * side**3 / min(t["device"] for t in turns)
            self.torch.backends.cuda.matmul.allow_tf32 = True
        self.result = rounded(self.result)

    def measure(self, row: Row) -> dict[str, Any]:
        """Return one row: times, ratio, rates, and how far the two results are apart."""
        copies = self.clock.copies(row.nbytes)
        found: dict[str, Any] = {"label": row.label, "kind": row.kind, "way": row.way, "copies": copies}
        step, *sets = row.ours(copies)
        ours = replayed(step, *sets)
        found["graph"] = ours.graph
        players = {"ours": ours.call}
        if self.torch is not None:
            work, results = row.theirs(self.torch, sets)
            players["torch"] = graphed(self.torch, self.clock.cuda, work)
            for call in players.values():
                call()
            found["error"] = apart(ours.outputs[0], results()) if row.compared else None
            found["close"] = not row.compared or found["error"] < CLOSE
        turns = self.clock.in_turns(players)
        found["ours"] = spread(turns["ours"], copies)
        if "torch" in turns:
            found["torch"] = spread(turns["torch"], copies)
            low, ratio, high = ratios(turns["torch"], turns["ours"], "device")
            found |= {"ratio": ratio, "ratio_low": low, "ratio_high": high}
        flops = ours.program.cost()[1] / copies
        seconds = 1e-6 * found["ours"]["us"]
        found |= {
            "tflops": 1e-12 * flops / seconds,
            "gbs": 1e-9 * row.nbytes / seconds,
            "copy_share": 1e-9 * row.nbytes / seconds / self.result["copy_gbs"],
        }
        return rounded(found | ({} if self.o.quick else row.judged(found)))


def apart(ours: Any, theirs: Any) -> float:
    """Return the largest difference, over the largest value."""
    from tinymed import devices

    a, b = devices.move(ours, "cpu"), theirs.detach().cpu().numpy()
    return float(np.abs(a.reshape(b.shape) - b).max() / max(float(np.abs(b).max()), 1e-30))


def chosen(quick: bool) -> Iterator[Row]:
    """Yield all rows; of toy sizes one of each kind and way."""
    seen = set()
    for row in rows(quick):
        key = row.label.partition(" ")[0], row.kind, row.way
        if not quick or key not in seen:
            seen.add(key)
            yield row


def main() -> None:
    o = arguments(__doc__)
    import tinymed

    bench = Bench(o)
    with tinymed.use_backend(o.backend):
        bench.ceilings()
        for row in chosen(o.quick):
            try:
                bench.result["rows"].append(bench.measure(row))
            except Exception as error:  # a row that fails must not end the others
                failed = {"label": row.label, "kind": row.kind, "way": row.way}
                bench.result["rows"].append(failed | {"failed": f"{type(error).__name__}: {error}"[:500]})
            bench.clock.free(bench.torch)
            saved(o, bench.result)
            print(bench.result["rows"][-1], flush=True)
    wrong = [r["label"] for r in bench.result["rows"] if "failed" in r or r.get("close") is False]
    if wrong:
        raise SystemExit(f"failed or wrong: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
