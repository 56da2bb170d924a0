"""The roofline of our kernels: benchmarks/results/ops_t1.json as benchmarks/results/roofline.png.

    python benchmarks/roofline_plot.py

A point is one op at one shape and in one direction: FLOP per byte that it must read and write against GFLOP/s.  The
ceilings were measured in the same run.  Above the slope lies what was still in the cache; above the flat roof lies what
computes the same result in fewer operations (Winograd), for the FLOP counted are those of the definition.
"""

import argparse
import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
# Validated for colour-blind readers: hue and marker both tell the kinds apart.
STYLES = {
    "conv": ("#0072B2", "o"),
    "dense": ("#D55E00", "s"),
    "pool": ("#009E73", "^"),
    "norm": ("#CC79A7", "D"),
    "activation": ("#E69F00", "v"),
    "dropout": ("#56B4E9", "P"),
    "loss": ("#000000", "x"),
}


def plot(content: dict[str, Any], path: Path) -> None:
    """Draw and write it."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    roof, rows = content["roof"], [r for r in content["rows"] if r["flops"] > 0 and r["kind"] in STYLES]
    figure, axes = pyplot.subplots(figsize=(9, 5.5), dpi=120)
    left, right = 0.05, 2 * max([r["intensity"] for r in rows] + [100.0])
    knee = roof["gflops"] / roof["gbs"]
    axes.plot([left, knee, right], [left * roof["gbs"], roof["gflops"], roof["gflops"]], color="#444444", lw=1.5)
    axes.annotate(
        f"{roof['gflops']:.0f} GFLOP/s: the microkernel in cache",
        (right, roof["gflops"]),
        xytext=(-4, 4),
        textcoords="offset points",
        ha="right",
        fontsize=9,
    )
    axes.annotate(
        f"{roof['gbs']:.0f} GB/s: a stream from memory",
        (knee / 4, roof["gflops"] / 4),
        xytext=(-12, 8),
        textcoords="offset points",
        ha="right",
        fontsize=9,
    )
    for kind, (colour, marker) in STYLES.items():
        own = [r for r in rows if r["kind"] == kind]
        if own:
            axes.scatter(
                [r["intensity"] for r in own],
                [r["gflops"] for r in own],
                s=16,
                c=colour,
                marker=marker,
                alpha=0.7,
                linewidths=0.8,
                label=f"{kind} ({len(own)})",
            )
    axes.set(
        xscale="log",
        yscale="log",
        xlim=(left, right),
        ylim=(0.05, 4 * roof["gflops"]),
        xlabel="FLOP per byte",
        ylabel="GFLOP/s",
        title=f"tinymed on {content['threads']} thread(s), {content['machine']['processor']}",
    )
    axes.grid(True, which="major", color="#dddddd", lw=0.6)
    axes.legend(loc="lower right", fontsize=9, frameon=False)
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default=str(RESULTS / "ops_t1.json"), help="what ops.py wrote")
    parser.add_argument("--out", default=str(RESULTS / "roofline.png"))
    o = parser.parse_args()
    plot(json.loads(Path(o.rows).read_text()), Path(o.out))


if __name__ == "__main__":
    main()
