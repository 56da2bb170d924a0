"""Results as aligned plain text: the same on a terminal, in a pipe and in a log."""

from collections.abc import Sequence
from typing import Any

RATES = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "precision", "npv", "f1", "auc", "pr_auc")


def table(rows: Sequence[Sequence[str]], right: Sequence[int] | None = None) -> str:
    """Rows of cells in columns, those in `right` aligned right: all but the first if not said."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        turned = range(1, len(row)) if right is None else right
        aligned = [cell.rjust if i in turned else cell.ljust for i, cell in enumerate(row)]
        cells = [align(width) for align, width in zip(aligned, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def number(value: float | None, digits: int = 4) -> str:
    """A metric, or "-" where it is undefined."""
    return "-" if value is None else f"{value:.{digits}f}"


def interval(bounds: Sequence[float] | None) -> str:
    """[low, high]."""
    return "" if bounds is None else f"[{bounds[0]:.3f}, {bounds[1]:.3f}]"


def metrics_text(result: dict[str, Any], title: str) -> str:
    """An evaluation as text: the rates with intervals, each class where there are several, the confusion matrix."""
    percent = f"{100 * result['level']:g} %"
    lines = [f"{title}: n = {result['n']}, positive class: {result['positive']}, {percent} intervals"]
    rows = [(name.replace("_", " "), number(result[name]), interval(result.get(f"{name}_interval"))) for name in RATES]
    lines.append(table(rows))
    classes = result["classes"]
    if len(classes) > 2:
        names = ("support", "sensitivity", "specificity", "precision", "f1", "auc")
        rows_by_class = [("each class against the rest", *names)]
        for name in classes:
            row = result["per_class"][name]
            rows_by_class.append((name, str(row["support"]), *(number(row[key]) for key in names[1:])))
        lines += ["", table(rows_by_class)]
    matrix = [("true \\ predicted", *classes)]
    matrix += [(name, *map(str, row)) for name, row in zip(classes, result["confusion"], strict=True)]
    lines += ["", table(matrix)]
    lines += [f"note: {note}" for note in result["warnings"] if "0/0" in note]
    return "\n".join(lines)
