"""Configuration files: a TOML table for each command, with its arguments and options.

    [train]
    data = "cells"
    positive = "parasitized"
    lr = 3e-4

`tinymed train --config FILE --lr 1e-4` is `tinymed train --data cells ... --lr 1e-4`: the file's values are written as
arguments before the command line is read, so that they mean the same.  What stands on the command line outranks them.
"""

import difflib
import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files import write_atomic
from .app import say
from .config_schema import ABOVE, BELOW, FROM, TO, Key, command_keys

CONFIG, SAVE = "--config", "--save-config"
Values = dict[str, Any]
WITHIN = {
    ABOVE: lambda value, end: value > end,
    FROM: lambda value, end: value >= end,
    BELOW: lambda value, end: value < end,
    TO: lambda value, end: value <= end,
}


def expand(arguments: Sequence[str]) -> list[str] | None:
    """Return a command line with the values of its configuration file; None where they were to be saved and are.

    Raises UserError naming the file and the key, or the option.
    """
    command, keys = arguments[0], command_keys().get(arguments[0])
    if keys is None:
        raise UserError(f"{CONFIG} and {SAVE} come after the command: tinymed COMMAND {CONFIG} FILE")
    rest, files = without_files(arguments[1:])
    given = read_arguments(rest, keys)
    if CONFIG in files:
        path = Path(files[CONFIG])
        values = read_config_file(path).get(command)
        if values is None:
            raise UserError(f"{path}: has no table [{command}]; it has {listed(read_config_file(path))}")
    else:
        values = {}
    if any(keys[name].argument for name in given):
        values = {name: value for name, value in values.items() if not keys[name].argument}
    kept = {name: value for name, value in values.items() if name not in given}
    if SAVE in files:
        path = Path(files[SAVE])
        save(path, command, kept | typed(given, keys))
        say(f"saved {path}; it is run by: tinymed {command} {CONFIG} {path}")
        return None
    arguments_first = [text for name, value in kept.items() if keys[name].argument for text in texts(value)]
    options = [text for name, value in kept.items() if not keys[name].argument for text in written(keys[name], value)]
    apart = ["--"] if "--" not in rest and any(text.startswith("-") for text in arguments_first) else []
    return [command, *options, *rest, *apart, *arguments_first]


def listed(tables: Mapping[str, Any]) -> str:
    """Return the names of tables, for a message."""
    return ", ".join(f"[{name}]" for name in tables) or "none"


def without_files(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return (the other arguments, {"--config": file, "--save-config": file}).  Raises UserError."""
    rest: list[str] = []
    files: dict[str, str] = {}
    words = iter(arguments)
    for word in words:
        flag, equals, value = word.partition("=")
        if flag not in (CONFIG, SAVE):
            rest.append(word)
            continue
        value = value if equals else next(words, "")
        if not value or value.startswith("--"):
            raise UserError(f"{flag}: needs a file, such as {flag} experiment.toml")
        if flag in files:
            raise UserError(f"{flag}: is given twice; name one file")
        files[flag] = value
    return rest, files


def read_arguments(arguments: Sequence[str], keys: Mapping[str, Key]) -> dict[str, list[Any]]:
    """Return what stands on a command line by name: a list of texts, or of true and false of a switch.

    What is no option of the command is left to the command, which refuses it.
    """
    flags = {flag: (key, True) for key in keys.values() for flag in key.flags}
    flags |= {flag: (key, False) for key in keys.values() for flag in key.off}
    found: dict[str, list[Any]] = {}
    places = [key for key in keys.values() if key.argument]
    words, loose = iter(arguments), []
    for word in words:
        if word == "--":
            loose += list(words)
            break
        flag, equals, value = word.partition("=")
        if word[:1] == "-" != word[1:2] and word[2:] and word[:2] in flags:  # -DNAME=4: what follows is the value
            flag, equals, value = word[:2], "=", word[2:]
        if flag in flags:
            key, on = flags[flag]
            given = on if key.kind is bool else value if equals else next(words, "")
            found.setdefault(key.name, []).append(given)
        elif not word.startswith("-"):
            loose.append(word)
    for number, key in enumerate(places):
        taken = loose[number:] if key.several else loose[number : number + 1]
        if taken:
            found[key.name] = list(taken)
    return found


def typed(given: Mapping[str, list[Any]], keys: Mapping[str, Key]) -> Values:
    """Return the texts of a command line as values of a file.  Raises UserError naming the option."""
    values: Values = {}
    for name, items in given.items():
        key = keys[name]
        where = key.flags[0] if key.flags else name.upper()
        made = [number(item, key.kind) for item in items]
        values[name] = made if key.several else made[-1]
        check(values[name], key, where)
    return values


def number(item: Any, kind: type) -> Any:
    """Return a text as the number that it writes, or as it is where it writes none."""
    if kind not in (int, float) or not isinstance(item, str):
        return item
    try:
        return kind(item)
    except ValueError:
        return item


# ---------------------------------------------------------------------------------------------------- reading


def read_config_file(path: Path) -> dict[str, Values]:
    """Return the tables of a configuration file, checked.  Raises UserError naming the file and the key."""
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: is not there; {SAVE} FILE writes one") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is no text in UTF-8; a configuration is a TOML file") from None
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: is no TOML: {str(error)[:1].lower()}{str(error)[1:]}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    commands = command_keys()
    found: dict[str, Values] = {}
    for name, table in content.items():
        if name not in commands:
            kind = "table" if isinstance(table, dict) else "key outside a table"
            raise UserError(
                f"{path}: {name}: is no command's {kind}{nearest(name, commands)}; values stand in a table of their "
                "command, such as [train]"
            )
        if not isinstance(table, dict):
            raise UserError(f"{path}: {name} = {shown(table)}: is a command: write its values below [{name}]")
        found[name] = read_table(path, name, table)
    return found


def read_table(path: Path, command: str, table: Mapping[str, Any]) -> Values:
    """Return the values of a command, by the names of its options.  Raises UserError naming the key."""
    keys, values = command_keys()[command], {}
    for written_name, value in table.items():
        name = written_name.replace("-", "_")
        where = f"{path}: [{command}] {written_name}"
        if name not in keys:
            raise UserError(f"{where}: is no option of {command}{nearest(name, keys)}; see `tinymed {command} --help`")
        if name in values:
            raise UserError(f"{where}: is there twice, with - and with _; leave one out")
        check(value, keys[name], f"{where} = {shown(value)}")
        values[name] = value
    return values


def nearest(name: str, names: Mapping[str, Any]) -> str:
    """Return the name that was most likely meant, as the middle of a sentence."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""


def shown(value: Any) -> str:
    """Return a value as a file has it, shortened."""
    text = toml_text(value) if isinstance(value, bool | int | float | str | list) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def check(value: Any, key: Key, where: str) -> None:
    """Raise UserError unless a value is of the kind of its option, within its limits, one of its choices."""
    if key.several:
        if not isinstance(value, list):
            raise UserError(f"{where}: takes {key.accepted()}")
        for item in value:
            check_one(item, key, where)
    else:
        check_one(value, key, where)


def check_one(value: Any, key: Key, where: str) -> None:
    """Raise UserError unless one value is of the kind of its option, within its limits, one of its choices."""
    kinds = (int, float) if key.kind is float else (key.kind,)
    right = isinstance(value, kinds) and (key.kind is bool or not isinstance(value, bool))
    if right and isinstance(value, float) and not math.isfinite(value):
        right = False
    if right and not all(WITHIN[sign](value, end) for sign, end in key.limits.items()):
        right = False
    if right and key.choices and value not in key.choices:
        near = nearest(str(value), dict.fromkeys(key.choices))
        raise UserError(f"{where}: takes {key.accepted()}{near}")
    if not right:
        raise UserError(f"{where}: takes {key.accepted()}")


# ---------------------------------------------------------------------------------------------------- writing


def texts(value: Any) -> list[str]:
    """Return a value, or each of several, as the command line has it."""
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def written(key: Key, value: Any) -> list[str]:
    """Return an option and its value as arguments."""
    if key.kind is bool:
        return [key.flags[0]] if value else list(key.off[:1])
    return [
        f"{key.flags[0]}={text}" if key.flags[0].startswith("--") else f"{key.flags[0]}{text}" for text in texts(value)
    ]


def toml_text(value: Any) -> str:
    """Return a value as TOML writes it.

    Example:
        >>> toml_text(["a", 2]), toml_text(True), toml_text(1e-7)
        ('["a", 2]', 'true', '1e-07')
    """
    if isinstance(value, list):
        return f"[{', '.join(map(toml_text, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def table_text(command: str, values: Mapping[str, Any]) -> str:
    """Return the table of a command as TOML."""
    lines = [f"{name} = {toml_text(value)}" for name, value in values.items()]
    return "\n".join([f"# tinymed {command} {CONFIG} FILE", f"[{command}]", *lines]) + "\n"


def save(path: Path, command: str, values: Mapping[str, Any]) -> None:
    """Write a command's values as a configuration file.  Raises UserError if a file is there."""
    if path.exists():
        raise UserError(f"{SAVE} {path}: is there already; name a new file, or remove it")
    try:
        write_atomic(path, [table_text(command, values).encode()])
    except OSError as error:
        raise UserError(f"{SAVE} {path}: cannot be written: {error.strerror}") from None
