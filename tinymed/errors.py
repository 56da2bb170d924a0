"""The one error a user can cause and mend; the command line prints it as one line."""

import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

# What hides names that nobody may read, see `data/dicom/privacy.py`; empty until a file has such names.
CONCEAL: list[Callable[[str], str]] = []


def printable(text: object) -> str:
    """Return a text that any output may have.

    Bytes of file names that are not UTF-8 are written as escapes, and names of patients' files are hidden.
    """
    told = str(text)
    for conceal in CONCEAL:
        told = conceal(told)
    return told.encode("utf-8", "backslashreplace").decode("utf-8")


def as_python(argument: str) -> str:
    """Return how Python gives an argument: path_column='NAME' as it stands."""
    return argument


def as_option(argument: str, options: Collection[str]) -> str:
    """Return how a command gives an argument, or nothing where it has no such option.

    Args:
        argument: As Python gives it, such as path_column='NAME' or skip_bad=True.
        options: Names of what the command takes, with underscores.

    Example:
        >>> as_option("path_column='NAME'", ["path_column"]), as_option("skip_bad=True", ["skip_bad", "data"])
        ('--path-column NAME', '--skip-bad')
        >>> as_option("skip_bad=True", ["data"])
        ''
    """
    name, _, value = argument.partition("=")
    if name not in options:
        return ""
    option = f"--{name.replace('_', '-')}"
    return option if value == "True" else f"{option} {value.strip(chr(39))}"


class LeftValidation(Exception):
    """A signal came while a network was validated in a training: what is measured is given up, and no step is lost."""


class Told(Exception):
    """A message, and arguments that mend what it says, told to each reader in its own words.

    Args:
        message: One line, true wherever it is read.
        ways: Arguments as Python gives them -> a sentence with {} in their place.
    """

    def __init__(self, message: object = "", ways: Mapping[str, str] | None = None):
        self.message, self.ways = printable(message), dict(ways or {})
        super().__init__(self.told(as_python))

    def told(self, form: Callable[[str], str]) -> str:
        """Return the message and the ways out that exist where it is read.

        Args:
            form: From an argument as Python gives it to the reader's form, or to nothing where there is none.
        """
        shown = {form(argument): sentence for argument, sentence in self.ways.items()}
        return "; ".join([self.message, *(sentence.replace("{}", way) for way, sentence in shown.items() if way)])


class UserError(Told, ValueError):
    """A wrong file, argument or value: says what was given, what is accepted and what to do.

    Example:
        >>> error = UserError("list.csv: no column of images", {"path_column='NAME'": "name it with {}"})
        >>> str(error)
        "list.csv: no column of images; name it with path_column='NAME'"
        >>> error.told(lambda argument: as_option(argument, ["path_column"]))
        'list.csv: no column of images; name it with --path-column NAME'
    """


class UserAdvice(Told, UserWarning):
    """A warning about the user's data that ends nothing; its ways out are told as a `UserError`'s."""


@contextmanager
def one_line_for_commands() -> Iterator[None]:
    """End a command with one line where an environment variable that is read at import has a wrong value.

    In a program that imports tinymed the ValueError is raised as it is.
    """
    try:
        yield
    except ValueError as error:
        if Path((getattr(sys, "argv", None) or [""])[0]).stem not in ("tinymed", "-m", "__main__"):
            raise
        sys.stderr.write(f"tinymed: {error}\n")
        raise SystemExit(2) from None
