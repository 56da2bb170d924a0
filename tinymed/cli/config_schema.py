"""What a configuration file may say: the arguments and options of every command, as their signatures declare them.

Nothing is listed here.  Names, kinds and defaults are read off the commands' signatures, choices and limits of the
options of training off the tasks' schema.
"""

import functools
import inspect
import types
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from typer.models import ArgumentInfo, OptionInfo

from .app import OF_FILES, app
from .options import all_options

KINDS = {bool: "boolean", int: "integer", float: "number", str: "string"}
ABOVE, FROM, BELOW, TO = "exclusiveMinimum", "minimum", "exclusiveMaximum", "maximum"
SIGNS = {ABOVE: "above", FROM: "at least", BELOW: "below", TO: "at most"}


class Key(NamedTuple):
    """An argument or option of a command, as a file names it."""

    name: str  # as in Python: val_fraction
    kind: type  # bool, int, float or str
    several: bool
    argument: bool
    flags: tuple[str, ...]  # as it is written on the command line; () of an argument
    off: tuple[str, ...]  # what switches it off: --rgb of --grey/--rgb
    choices: tuple[str, ...]
    limits: Mapping[str, float]
    help: str

    def schema(self) -> dict[str, Any]:
        """Return it as JSON Schema has it."""
        one: dict[str, Any] = {"type": KINDS[self.kind]} | dict(self.limits)
        if self.choices:
            one["enum"] = list(self.choices)
        whole = {"type": "array", "items": one} if self.several else one
        return {"description": self.help} | whole

    def accepted(self) -> str:
        """Return what it takes, in words."""
        if self.choices:
            words = f"{', '.join(self.choices[:-1])} or {self.choices[-1]}" if self.choices[1:] else self.choices[0]
        elif self.kind is bool:
            words = "true or false"
        else:
            limits = " and ".join(f"{SIGNS[sign]} {value:g}" for sign, value in self.limits.items())
            noun = {int: "a whole number", float: "a number", str: "a text"}[self.kind]
            words = f"{noun} {limits}" if limits else noun
        return f"a list, each {words}" if self.several else words


@functools.cache
def command_keys() -> dict[str, dict[str, Key]]:
    """Return the arguments and options of every command by name."""
    return {
        str(command.name or command.callback.__name__): keys_of(command.callback)
        for command in app.registered_commands
        if command.callback is not None
    }


def keys_of(body: Any) -> dict[str, Key]:
    """Return the arguments and options of a command's function."""
    found = {}
    for name, parameter in inspect.signature(body).parameters.items():
        if name not in OF_FILES:
            found[name] = key_of(name, parameter.annotation)
    return found


def key_of(name: str, annotation: Any) -> Key:
    """Return the key of a parameter."""
    declared: Any = next((m for m in get_args(annotation)[1:] if isinstance(m, OptionInfo | ArgumentInfo)), None)
    kind, several, choices = value_kind(get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation)
    limits = {sign: getattr(declared, end, None) for sign, end in ((FROM, "min"), (TO, "max"))}
    known = {sign: value for sign, value in limits.items() if value is not None}
    help = " ".join(str(getattr(declared, "help", None) or "").split())
    option = all_options().get(name)
    if option is not None and option.help == getattr(declared, "help", None):
        choices, known = option.choices, dict(option.limits)
    if isinstance(declared, ArgumentInfo):
        return Key(name, kind, several, True, (), (), choices, known, help)
    words = [getattr(declared, "default", None), *(getattr(declared, "param_decls", None) or ())]  # typer's first one
    written = [word for word in words if isinstance(word, str) and word.startswith("-")]
    flags = [flag for text in written for flag in text.split("/")[:1]] or [f"--{name.replace('_', '-')}"]
    off = [flag for text in written for flag in text.split("/")[1:]]
    if kind is bool and not written:
        off = [f"--no-{name.replace('_', '-')}"]
    return Key(name, kind, several, False, tuple(flags), tuple(off), choices, known, help)


def value_kind(annotation: Any) -> tuple[type, bool, tuple[str, ...]]:
    """Return (bool, int, float or str, whether there may be several, the choices) of an annotation."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return value_kind(inner[0])
    if origin in (Union, types.UnionType):
        return value_kind(next(a for a in inner if a is not type(None)))
    if origin is list:
        kind, _, choices = value_kind(inner[0])
        return kind, True, choices
    if origin is Literal:
        return str, False, tuple(map(str, inner))
    return (annotation if annotation in KINDS else str), False, ()


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of configuration files: a table for each command."""
    tables = {
        command: {
            "type": "object",
            "additionalProperties": False,
            "properties": {name: key.schema() for name, key in keys.items()},
        }
        for command, keys in command_keys().items()
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tinymed configuration file",
        "description": "One TOML table for each command, with its arguments and options: tinymed COMMAND --config FILE",
        "type": "object",
        "additionalProperties": False,
        "properties": tables,
    }
