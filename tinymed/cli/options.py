"""Commands whose options are the schema's: the signature that typer reads is made from the fields."""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import tasks
from ..tasks.base.options import Option, listed

Given = dict[str, Any]  # what was given, by option name
STEPS_HELP = (
    "Of a segmentation: largest, fill, least=N, grow=P, threshold=P, objects, watershed=P, with commas; auto or "
    "auto-objects chooses on the validation images."
)
CRF_HELP = "Of a segmentation: a dense CRF, such as w=4,d=40,c=15,sw=3,sd=3,n=5; auto chooses on the validation images."


@functools.cache
def all_options() -> dict[str, Option]:
    """Return the options of all tasks by name, in the order of --help; what differs is joined."""
    found: dict[str, Option] = {}
    for name in ordered_tasks():
        for option in tasks.find(name).options.values():
            found[option.name] = joined(found[option.name], option) if option.name in found else option
    return found


def ordered_tasks() -> list[str]:
    """Return the names of the tasks, the default first."""
    return sorted(tasks.available(), key=lambda name: (name != tasks.DEFAULT, name))


def joined(one: Option, other: Option) -> Option:
    """Return an option of two tasks with the choices of both."""
    if one.limits != other.limits:
        one = one._replace(limits=())
    more = [choice for choice in other.choices if choice not in one.choices]
    if not more:
        return one
    choices = (*one.choices, *more)
    text = one.help.replace(listed(one.choices), listed(choices), 1)  # the default, which follows, stays
    return one._replace(help=text, choices=choices)


def parameter(option: Option, help: str = "") -> inspect.Parameter:
    """Return an option as a parameter of a command.  Its default is None: the schema decides what was not given."""
    kind: Any = list[str] if option.repeat else option.kind
    names = [option.switch] if option.switch else [option.flag]
    declared = typer.Option(
        *names,
        help=help or option.help,
        rich_help_panel=option.panel,
        show_default=False,
        autocompletion=among(option.choices) if option.choices else None,
    )
    return keyword(option.name, Annotated[kind | None, declared])


def among(choices: Iterable[str]) -> Callable[[str], list[str]]:
    """Return what a shell asks for completions: the choices that begin as the word does."""

    def complete(incomplete: str) -> list[str]:
        return [choice for choice in choices if choice.startswith(incomplete)]

    return complete


def keyword(name: str, annotation: Any) -> inspect.Parameter:
    """Return a parameter whose default is None."""
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=annotation)


def required(name: str, annotation: Any) -> inspect.Parameter:
    """Return an argument that must be given."""
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=annotation)


def path_option(panel: str | None, help: str) -> Any:
    """Return the annotation of an option that names a file or folder of the command itself."""
    return Annotated[Path | None, typer.Option(help=help, rich_help_panel=panel, show_default=False)]


def with_options(
    body: Callable[[Given], int], before: Mapping[str, Any], options: Iterable[inspect.Parameter]
) -> Callable[..., None]:
    """Return a command that calls body({name: value}) with what was given, and exits with what it returns.

    before: further parameters {name: annotation}, which come first; the docstring is the body's.
    """
    parameters = [*(keyword(name, annotation) for name, annotation in before.items()), *options]

    def command(**given: Any) -> None:
        chosen = {name: value for name, value in given.items() if value is not None and value != []}
        raise typer.Exit(body(chosen))

    command.__doc__ = body.__doc__
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command
