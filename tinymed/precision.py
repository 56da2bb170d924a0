"""One switch for arithmetic that trades accuracy for speed: `exact`, or `tf32` (the default).

`tf32` allows Winograd F(4x4) for convolutions on the CPU and tensor cores in tf32 on the GPU, as PyTorch does for
convolutions.  `exact` allows neither: every product is a float32 product.
"""

import os
import threading

from .errors import one_line_for_commands

CHOICES = ("exact", "tf32")


def checked(name: str) -> str:
    """Return the name of a precision; raise ValueError for any other."""
    if name not in CHOICES:
        raise ValueError(
            f"precision {name!r} is unknown; choose one of {', '.join(CHOICES)} (TINYMED_PRECISION or use_precision)"
        )
    return name


with one_line_for_commands():
    default = checked(os.environ.get("TINYMED_PRECISION") or "tf32")  # of threads that have chosen none


class Chosen(threading.local):
    """The precision that a thread has chosen, if it has."""

    name: str | None = None


chosen = Chosen()


def in_use() -> str:
    """Return the precision of this thread."""
    return chosen.name or default


class use_precision:
    """Choose the precision of products: from the call on, or for the block of a `with`.

    A block is its thread's alone; from the call on means this thread, and all that choose none.

    As `torch.set_float32_matmul_precision`, of convolutions too.

    Args:
        name: "exact" or "tf32".

    Raises:
        ValueError: The name is unknown.

    Example:
        >>> with use_precision("exact") as name:
        ...     name
        'exact'
    """

    def __init__(self, name: str):
        global default
        self.before, self.default = chosen.name, default
        chosen.name = default = checked(name)

    def __enter__(self) -> str:
        global default
        default = self.default
        return in_use()

    def __exit__(self, *_: object) -> None:
        chosen.name = self.before
