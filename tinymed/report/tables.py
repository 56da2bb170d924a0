"""Results as aligned text: the same on a terminal, in a pipe and in a log."""

from collections.abc import Sequence


def table(rows: Sequence[Sequence[str]], right: Sequence[int] | None = None) -> str:
    """Return rows of cells as aligned columns of text.

    Args:
        rows: Rows of equally many cells.
        right: Columns aligned right; all but the first by default.

    Returns:
        One line per row.

    Example:
        >>> table([["a", "1"], ["bcd", "10"]]).splitlines()
        ['a     1', 'bcd  10']
    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        turned = range(1, len(row)) if right is None else right
        aligned = [cell.rjust if i in turned else cell.ljust for i, cell in enumerate(row)]
        cells = [align(width) for align, width in zip(aligned, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def number(value: float | None, digits: int = 4) -> str:
    """Return a metric as text, or "-" where it is undefined."""
    return "-" if value is None else f"{value:.{digits}f}"


def interval(bounds: Sequence[float] | None) -> str:
    """Return bounds as text: [low, high]."""
    return "" if bounds is None else f"[{bounds[0]:.3f}, {bounds[1]:.3f}]"
