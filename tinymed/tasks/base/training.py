"""When options of the training that every task has take effect."""

from collections.abc import Mapping
from typing import Any


def training_rules(given: Mapping[str, Any]) -> dict[str, tuple[bool, str]]:
    """Return when options of training have an effect, as `refuse_idle` takes it.

    given: the options that the user gave.
    """
    average = given.get("average")
    return {
        "freeze_statistics": ("freeze" in given, "it is of the layers that --freeze names"),
        "average_decay": (average == "ema", "it is of --average ema"),
        "average_start": (average == "swa", "it is of --average swa"),
    }
