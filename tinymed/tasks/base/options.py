"""The options of the command line, read off a task's schema, and the configuration that given options make.

One field of the schema is one option: its name (`--val-fraction`), help, type and check are the field's.
"""

import json
import types
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from ...errors import UserError
from ...schema import Strict, checked
from .augmentation import augmentation
from .config import RunConfig, Shortcuts

Options = Mapping[str, Any]  # what was given, by option name


class Option(NamedTuple):
    """An option of the command line."""

    name: str  # as in Python: val_fraction
    kind: type  # bool, int, float or str of one value
    repeat: bool
    help: str
    panel: str
    switch: str  # "--grey/--rgb", "--flip", or "" of an option with a value
    path: tuple[str, ...]  # of the value in the configuration; () of a shortcut
    choices: tuple[str, ...]
    limits: tuple[tuple[str, float], ...]  # of a number, as JSON Schema names them: (("exclusiveMinimum", 0.0),)

    @property
    def flag(self) -> str:
        """Return the option as it is written: --val-fraction."""
        return self.switch.partition("/")[0] or f"--{self.name.replace('_', '-')}"


def task_options(config: type[RunConfig], shortcuts: type[Shortcuts]) -> dict[str, Option]:
    """Return the options of a task by name, in the order of its schema."""
    return {option.name: option for option in [*read_fields(config), *read_fields(shortcuts, shortcut=True)]}


def read_fields(model: type[Strict], path: tuple[str, ...] = (), shortcut: bool = False) -> Iterable[Option]:
    """Yield the options of a part of the schema and of the parts below it."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Strict):
            yield from read_fields(inner, (*path, name))
        elif field.description:
            yield read_field(name, field, model.panel, () if shortcut else (*path, name))


def read_field(name: str, field: FieldInfo, panel: str, path: tuple[str, ...]) -> Option:
    """Return the option of a field."""
    extra: dict[str, Any] = dict(field.json_schema_extra) if isinstance(field.json_schema_extra, dict) else {}
    kind, choices = value_type(field.annotation)
    text = str(field.description).rstrip(".")
    if choices:
        text += f": {listed(choices)}"
    default = extra.get("shown", default_text(field))
    return Option(
        extra.get("option", name),
        kind,
        bool(extra.get("repeat")),
        f"{text} ({default})." if default else f"{text}.",
        extra.get("panel", panel),
        extra.get("switch", f"--{name.replace('_', '-')}" if kind is bool else ""),
        path,
        choices,
        field_limits(field),
    )


def listed(choices: Sequence[str]) -> str:
    """Return choices as help names them: a, b or c."""
    return " or ".join(filter(None, [", ".join(choices[:-1]), choices[-1]]))


LIMITS = {"gt": "exclusiveMinimum", "ge": "minimum", "lt": "exclusiveMaximum", "le": "maximum"}


def field_limits(field: FieldInfo) -> tuple[tuple[str, float], ...]:
    """Return the limits of a field's value, as JSON Schema names them."""
    return tuple(
        (LIMITS[end], float(getattr(part, end))) for part in field.metadata for end in LIMITS if hasattr(part, end)
    )


def value_type(annotation: Any) -> tuple[type, tuple[str, ...]]:
    """Return (bool, int, float or str, the choices) of a field: what stands on the command line."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return value_type(inner[0])
    if origin in (Union, types.UnionType):
        return value_type(next(a for a in inner if a is not type(None)))
    if origin is Literal:
        return str, tuple(map(str, inner))
    return (annotation if annotation in (bool, int, float) else str), ()


def default_text(field: FieldInfo) -> str:
    """Return the default as help shows it; nothing where there is none to show."""
    default = field.get_default(call_default_factory=True)
    if field.is_required() or default is None or default is False or default in ([], {}, ""):
        return ""
    return f"{default:g}" if isinstance(default, float) else str(default)


def refuse_foreign(given: Options, taken: Mapping[str, Option], task: str, known: Mapping[str, Option]) -> None:
    """Raise UserError for an option that the task does not use, by name."""
    for name in given:
        if name not in taken:
            flag = known[name].flag if name in known else f"--{name.replace('_', '-')}"
            raise UserError(f"{flag}: not an option of {task}; see `tinymed train --help`")


def config_from_options(kind: type[RunConfig], options: Mapping[str, Option], given: Options) -> Any:
    """Return the configuration of a task that the options make; what is not given has the schema's default.

    Raises UserError naming the option whose value the schema refuses.
    """
    content: dict[str, Any] = {}
    for name, value in given.items():
        if name in options and options[name].path:
            place = content
            for key in options[name].path[:-1]:
                place = place.setdefault(key, {})
            place[options[name].path[-1]] = value
    merge(content, given.get("detected", {}))
    content["augment"] = augmentation(given) | content.get("augment", {})
    return checked(lambda: kind.model_validate(content))


def merge(content: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Add a tree of values to another, in place."""
    for key, value in more.items():
        if isinstance(value, Mapping) and isinstance(content.get(key), dict):
            merge(content[key], value)
        else:
            content[key] = dict(value) if isinstance(value, Mapping) else value


def model_options(given: Options) -> dict[str, Any]:
    """Return --padding, --statistics and --option NAME=VALUE as the model's keyword arguments."""
    options: dict[str, Any] = {name: given[name] for name in ("padding", "statistics") if name in given}
    for item in given.get("option", ()):
        name, equals, value = item.partition("=")
        if not equals or not name.isidentifier():
            raise UserError(f"--option {item!r}: write NAME=VALUE, such as dense_activation=elu")
        try:
            options[name] = json.loads(value)
        except ValueError:
            options[name] = value
    return options


def data_folder(given: Options) -> str | None:
    """Return the absolute path of --data."""
    return str(Path(given["data"]).absolute()) if "data" in given else None


@contextmanager
def own_ways(options: Container[str]) -> Iterator[None]:
    """Keep of the ways out that an error of the data names those that a task has among its options.

    Readers serve all tasks and do not know whose images they read; leaving an image out is not offered by each task.
    """
    try:
        yield
    except UserError as error:
        error.ways = {way: told for way, told in error.ways.items() if way.partition("=")[0] in options}
        raise


def refuse_idle(given: Options, rules: Mapping[str, tuple[bool, str]]) -> None:
    """Raise UserError for a given option that would have no effect.

    Args:
        given: the options that the user gave.
        rules: option name -> (whether it has an effect, what it needs).
    """
    for name, (works, needs) in rules.items():
        if name in given and not works:
            raise UserError(f"--{name.replace('_', '-')}: has no effect here: {needs}")
