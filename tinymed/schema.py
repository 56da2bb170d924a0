"""The schema of a configuration: fields that are options of the command line too, checked, unknown keys refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import UserError

PositiveRate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Result = TypeVar("Result")
EXTRA = ("option", "shown", "panel", "repeat", "switch")  # what a field says of its option beside help and check


def setting(default: Any, help: str, **more: Any) -> Any:
    """Return a field of the schema that is an option of the command line.

    Args:
        default: its default, `...` where there is none; or a function that returns it when a configuration is made.
        help: one sentence for `--help`.
        more: option (its name there, by default the field's), shown (the default as help names it), panel, repeat
            (whether it may be given several times), switch ("--on/--off" of a bool), or a constraint of pydantic.
    """
    extra: dict[str, Any] = {key: more.pop(key) for key in EXTRA if key in more}
    of_field: dict[str, Any] = {"default_factory": default} if callable(default) else {"default": default}
    return Field(**of_field, description=help, json_schema_extra=extra, **more)


class Strict(BaseModel):
    """A part of the configuration.  Unknown keys are errors: a mistyped one would otherwise be ignored."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)
    panel: ClassVar[str] = ""  # the heading of its options in --help


def checked(make: Callable[[], Result], source: Path | None = None) -> Result:
    """Return what make() returns; a value that the schema refuses becomes one line naming the key or the option."""
    try:
        return make()
    except ValidationError as error:
        first = error.errors()[0]
        told = first.get("ctx", {}).get("error")
        if isinstance(told, UserError):  # a validator of ours has said it already
            raise told from None
        key = ".".join(str(part) for part in first["loc"]) or "configuration"
        shown = f", got {first['input']!r}" if first["loc"] and not isinstance(first["input"], dict) else ""
        where = f"{source}: {key}" if source else f"--{key.rpartition('.')[2].replace('_', '-')}"
        raise UserError(f"{where}: {first['msg'][:1].lower()}{first['msg'][1:]}{shown}") from None
