"""Results as aligned plain text: the same on a terminal, in a pipe and in a log."""

from collections.abc import Sequence


def table(rows: Sequence[Sequence[str]], right: Sequence[int] | None = None) -> str:
    """Return rows of cells in columns, those in `right` aligned right: all but the first if not said."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        turned = range(1, len(row)) if right is None else right
        aligned = [cell.rjust if i in turned else cell.ljust for i, cell in enumerate(row)]
        cells = [align(width) for align, width in zip(aligned, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def number(value: float | None, digits: int = 4) -> str:
    """Return a metric, or "-" where it is undefined."""
    return "-" if value is None else f"{value:.{digits}f}"


def interval(bounds: Sequence[float] | None) -> str:
    """Return [low, high]."""
    return "" if bounds is None else f"[{bounds[0]:.3f}, {bounds[1]:.3f}]"
