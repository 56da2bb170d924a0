"""Which class sensitivity speaks of.  It is never guessed silently: a wrong guess swaps sensitivity and specificity."""

import re
from collections.abc import Callable, Sequence

from ..errors import UserError

__all__ = ["choose_positive", "looks_negative"]

NEGATIVE = re.compile(r"no.*|un.*|healthy.*|negative.*|benign.*|control.*", re.IGNORECASE)


def looks_negative(name: str) -> bool:
    """Return whether a class's name suggests absence: normal, no..., non_..., un..., healthy, ...

    Args:
        name: Name of a class.

    Returns:
        Whether it reads like the negative class.

    Example:
        >>> looks_negative("uninfected"), looks_negative("parasitized")
        (True, False)
    """
    return NEGATIVE.fullmatch(name.strip()) is not None


def choose_positive(classes: Sequence[str], asked_for: str | None, ask: Callable[[str], str] | None = None) -> str:
    """Choose the positive class: the one asked for, or the second class unless its name looks negative.

    Args:
        classes: Names in class order, two or more.
        asked_for: The class that the user names, or None.
        ask: Puts a question to the user and returns the answer; None when nobody is there to answer.

    Returns:
        One of the classes.

    Raises:
        UserError: The class does not exist, or the default looks negative and nobody can be asked.

    Example:
        >>> choose_positive(["uninfected", "parasitized"], None)
        'parasitized'
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
