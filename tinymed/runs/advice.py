"""What to try next, read off a finished run: one sentence an observation, with the options that act on it."""

import math
from collections.abc import Sequence
from typing import Any

from ..metrics import lower_is_better

LATE = 0.8  # share of the training after which a best epoch says that more of it may help
EARLY = 0.5  # share before which it says that the network learns the training set by heart
LEAST_GAIN = 0.02  # of the monitored value, relative, over the last fifth: it was still improving
FEW = 20  # images of a class, below which its figures are uncertain

Row = dict[str, Any]


def advice(folder: object, config: Any, history: Sequence[Row], result: dict[str, Any]) -> list[str]:
    """Return what to try next; empty where nothing stands out.

    Args:
        folder: the run's folder, for the commands that are named.
        config: its configuration.
        history: a row an epoch, as log.jsonl has it.
        result: what was measured of the part that is looked at: test, or val.
    """
    return [*of_epochs(folder, config, history), *of_classes(result), *of_chance(result)]


def of_epochs(folder: object, config: Any, history: Sequence[Row]) -> list[str]:
    """Return what the best epoch says."""
    monitor, rows = config.monitor, [row for row in history if known(row.get(config.monitor))]
    if len(rows) < 3:
        return []
    best = best_row(rows, monitor)
    last = rows[-1]
    if len({row[monitor] for row in rows}) == 1:
        return [
            f"{monitor} is {best[monitor]:.3f} in every epoch: what it measures is not learnt yet; try a larger and a "
            "smaller --lr, longer training, or another --loss where the task has it"
        ]
    place = (rows.index(best) + 1) / len(rows)
    values = f"{monitor} {best[monitor]:.3f}, at the end {last[monitor]:.3f}"
    longer = f"tinymed train --resume {folder} --epochs {2 * math.ceil(last['epoch'])}"
    if place > LATE and still_improving(rows, monitor):
        again = "train longer" if config.schedule == "cosine" else f"go on: {longer}"
        return [f"{monitor} was still improving at the end: {again}, or with a larger --lr"]
    if config.keep == "last" and best is not last:
        return [
            f"epoch {best['epoch']} was better than the last ({values}): tinymed evaluate {folder} --weights best, or "
            "train with --keep best"
        ]
    if place <= EARLY and lost(best, last, monitor):
        return [
            f"epoch {best['epoch']} of {last['epoch']} is kept ({values}): the network learns the training set by heart "
            "after it; try more augmentation, a larger --weight-decay, a smaller network, or more images"
        ]
    return []


def known(value: Any) -> bool:
    """Say whether a value of a row is a number."""
    return isinstance(value, int | float) and math.isfinite(value)


def best_row(rows: Sequence[Row], monitor: str) -> Row:
    """Return the row with the best monitored value, the first of equal ones."""
    choose = min if lower_is_better(monitor) else max
    return choose(rows, key=lambda row: row[monitor])


def lost(best: Row, last: Row, monitor: str) -> bool:
    """Say whether the last epoch is worse than the best by more than LEAST_GAIN."""
    return bool(abs(best[monitor] - last[monitor]) > LEAST_GAIN * abs(best[monitor]))


def still_improving(rows: Sequence[Row], monitor: str) -> bool:
    """Say whether the best value of the last fifth betters that of all before by more than LEAST_GAIN."""
    cut = max(1, round(LATE * len(rows)))
    before, after = best_row(rows[:cut], monitor)[monitor], best_row(rows[cut:] or rows[-1:], monitor)[monitor]
    gain = before - after if lower_is_better(monitor) else after - before
    return bool(gain > LEAST_GAIN * abs(before))


def classified(result: dict[str, Any]) -> bool:
    """Say whether a result is one of `evaluate_scores`: other tasks have measures of other names."""
    return {"accuracy_interval", "auc_interval", "classes", "confusion", "per_class"} <= result.keys()


def of_classes(result: dict[str, Any]) -> list[str]:
    """Return which classes are never or hardly found, and which are too few to tell."""
    if not classified(result):
        return []
    per_class = result["per_class"]
    missed = [name for name, row in per_class.items() if row["support"] and row["sensitivity"] == 0]
    few = [f"{name} ({row['support']})" for name, row in per_class.items() if 0 < row["support"] < FEW]
    lines = []
    if missed:
        lines.append(
            f"no image of {', '.join(missed)} is found: try --sampling balanced, --class-weights balanced, --focal 2, or "
            "put classes together with --merge"
        )
    if few:
        lines.append(f"{', '.join(few)}: too few images for a figure of the class; measure more with `tinymed cv`")
    return lines


def of_chance(result: dict[str, Any]) -> list[str]:
    """Return where an interval contains what a trivial answer scores."""
    if not classified(result):
        return []
    support = {name: sum(row) for name, row in zip(result["classes"], result["confusion"], strict=True)}
    name = max(support, key=lambda key: support[key])
    share = support[name] / max(result["n"], 1)
    low = (result.get("accuracy_interval") or (None,))[0]
    area = (result.get("auc_interval") or (None,))[0]
    found = []
    if low is not None and low <= share:
        found.append(f"the accuracy's interval begins at {low:.3f}, and always answering {name} scores {share:.3f}")
    if area is not None and area <= 0.5:
        found.append(f"the AUC's interval begins at {area:.3f}, and guessing scores .5")
    if not found:
        return []
    return [
        f"{'; '.join(found)}: that the network has learnt something is not shown. Try a larger --size, longer training, "
        "weights of another run with --init, more images, or `tinymed cv`, which measures every image"
    ]
