"""Metrics with their intervals: classification, masks, boxes."""

LOWER_IS_BETTER = ("loss", "brier", "error")


def lower_is_better(metric: str) -> bool:
    """Say whether a metric improves by falling, by its name; losses and errors do, the rest rises."""
    return metric.endswith(LOWER_IS_BETTER)
