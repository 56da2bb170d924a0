"""Values of options to try: --grid OPTION=VALUE,VALUE as lists of settings."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import UserError
from ..tasks.base.options import Option

Setting = dict[str, Any]  # option name -> value
FIXED = ("seed", "data", "task", "backend", "workers", "checkpoint_every", "positive", "split")


def parse_grid(items: Sequence[str], options: Mapping[str, Option]) -> dict[str, list[Any]]:
    """Return {option: its values} of texts OPTION=VALUE,VALUE.  Raises UserError."""
    grid: dict[str, list[Any]] = {}
    for item in items:
        name, equals, values = item.partition("=")
        name = name.strip().removeprefix("--").replace("-", "_")
        if not equals or not values.strip():
            raise UserError(f"--grid {item!r}: write OPTION=VALUE,VALUE such as lr=1e-3,1e-4")
        if name not in options:
            close = ", ".join(sorted(options)).replace("_", "-")
            raise UserError(f"--grid {item!r}: {name!r} is not an option of this task; they are {close}")
        if name in FIXED or options[name].repeat:
            raise UserError(f"--grid {item!r}: {options[name].flag} decides no setting to choose between")
        if name in grid:
            raise UserError(f"--grid: {name} is given twice; list its values in one place")
        grid[name] = [parse_value(item, options[name], text.strip()) for text in values.split(",")]
        if len(set(grid[name])) < len(grid[name]):
            raise UserError(f"--grid {item!r}: a value is named twice")
    return grid


def parse_value(item: str, option: Option, text: str) -> Any:
    """Return the text of a value as the option's kind."""
    if option.kind is bool:
        if text.lower() not in ("true", "false"):
            raise UserError(f"--grid {item!r}: {option.name} is true or false, got {text!r}")
        return text.lower() == "true"
    try:
        return option.kind(text)
    except ValueError:
        raise UserError(f"--grid {item!r}: {text!r} is not a value of {option.name}") from None


def combinations(grid: Mapping[str, Sequence[Any]]) -> list[Setting]:
    """Return every combination of the values, the last option changing fastest."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def setting_text(setting: Setting) -> str:
    """Return a setting in words that serve as a folder's name: lr=0.001,batch=16."""
    shown = {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in setting.items()}
    text = ",".join(f"{name}={value}" for name, value in shown.items())
    return "".join(c if c.isalnum() or c in "=,.-_+" else "_" for c in text)
