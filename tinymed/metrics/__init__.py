"""Metrics with their intervals: classification, grades, findings, numbers, masks, boxes."""

__all__ = ["lower_is_better"]

LOWER_IS_BETTER = ("loss", "brier", "error", "mae", "rmse", "rps", "frechet")


def lower_is_better(metric: str) -> bool:
    """Say whether a metric improves by falling; losses and errors do, the rest rises.

    Args:
        metric: Name of a metric, such as "val_loss".

    Returns:
        Whether lower is better.

    Example:
        >>> lower_is_better("val_loss"), lower_is_better("auc")
        (True, False)
    """
    return metric.endswith(LOWER_IS_BETTER)
