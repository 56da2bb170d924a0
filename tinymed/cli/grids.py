"""Values of options to try: --grid OPTION=VALUE,VALUE as lists of settings."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

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


def parse_ranges(items: Sequence[str], options: Mapping[str, Option]) -> dict[str, tuple[Any, Any]]:
    """Return {option: (low, high)} of texts OPTION=LOW:HIGH.  Raises UserError."""
    ranges: dict[str, tuple[Any, Any]] = {}
    for item in items:
        name, equals, ends = item.partition("=")
        low, colon, high = ends.partition(":")
        name = name.strip().removeprefix("--").replace("-", "_")
        if not equals or not colon:
            raise UserError(f"--range {item!r}: write OPTION=LOW:HIGH such as lr=1e-5:1e-1")
        if name not in options or name in FIXED or options[name].kind not in (int, float):
            raise UserError(f"--range {item!r}: {name!r} is not an option of this task that is a number to choose")
        first, last = (parse_value(item, options[name], text.strip()) for text in (low, high))
        if not first < last:
            raise UserError(f"--range {item!r}: the first number is below the second")
        ranges[name] = (first, last)
    return ranges


def draw_settings(
    count: int, grid: Mapping[str, Sequence[Any]], ranges: Mapping[str, tuple[Any, Any]], seed: int
) -> list[Setting]:
    """Return random settings, all different: values of the grid alike, a positive range on a logarithmic scale."""
    draw, found = np.random.default_rng(seed), []
    for _ in range(100 * count):
        setting = {name: values[int(draw.integers(len(values)))] for name, values in grid.items()}
        for name, (low, high) in ranges.items():
            share = draw.random()
            value = low * (high / low) ** share if low > 0 else low + (high - low) * share
            setting[name] = round(value) if isinstance(low, int) else float(f"{value:.4g}")
        if setting not in found:
            found.append(setting)
        if len(found) == count:
            return found
    raise UserError(f"--random {count}: there are only {len(found)} different settings; name more values")


def combinations(grid: Mapping[str, Sequence[Any]]) -> list[Setting]:
    """Return every combination of the values, the last option changing fastest."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def setting_text(setting: Setting) -> str:
    """Return a setting in words that serve as a folder's name: lr=0.001,batch=16."""
    shown = {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in setting.items()}
    text = ",".join(f"{name}={value}" for name, value in shown.items())
    return "".join(c if c.isalnum() or c in "=,.-_+" else "_" for c in text)
