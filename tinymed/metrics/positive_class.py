"""Which class sensitivity speaks of.  It is never guessed silently: a wrong guess swaps sensitivity and specificity."""

import re
from collections.abc import Callable, Sequence

from ..errors import UserError

NEGATIVE = re.compile(r"no.*|un.*|healthy.*|negative.*|benign.*|control.*", re.IGNORECASE)


def looks_negative(name: str) -> bool:
    """Say whether a class's name suggests the absence of what is looked for: normal, no..., non_..., un..., healthy,
    ...
    """
    return NEGATIVE.fullmatch(name.strip()) is not None


def choose_positive(classes: Sequence[str], asked_for: str | None, ask: Callable[[str], str] | None = None) -> str:
    """Return the positive class: the one asked for, or the second class unless its name looks negative.

    ask: puts a question to the user and returns the answer; None when nobody is there to answer.  Raises UserError for
    a class that does not exist, or when the default looks negative and nobody can be asked.
    """
    names = ", ".join(classes)
    if asked_for is not None:
        if asked_for not in classes:
            raise UserError(f"--positive {asked_for!r} is not one of the classes: {names}")
        return asked_for
    default = classes[1]
    if not looks_negative(default):
        return default
    if ask is None:
        raise UserError(
            f"which class is the positive one (the finding that sensitivity speaks of)? By default it is the second "
            f"class, but {default!r} reads like the negative; say --positive CLASS with one of: {names}"
        )
    answer = ask(f"Which class is the positive one, that sensitivity speaks of? ({names})").strip()
    if answer not in classes:
        raise UserError(f"{answer!r} is not one of the classes: {names}")
    return answer
