"""One switch for arithmetic that trades accuracy for speed: `exact`, or `tf32` (the default).

`tf32` allows Winograd F(4x4) for convolutions on the CPU and tensor cores in tf32 on the GPU, as PyTorch does for
convolutions.  `exact` allows neither: every product is a float32 product.
"""

import os

from .errors import one_line_for_commands

CHOICES = ("exact", "tf32")


def checked(name: str) -> str:
    """The name of a precision, or ValueError."""
    if name not in CHOICES:
        raise ValueError(
            f"precision {name!r} is unknown; choose one of {', '.join(CHOICES)} (TINYMED_PRECISION or use_precision)"
        )
    return name


with one_line_for_commands():
    current = checked(os.environ.get("TINYMED_PRECISION") or "tf32")


class use_precision:
    """Choose the precision: `use_precision("exact")` from here on, or `with use_precision("exact"):` for a block."""

    def __init__(self, name: str):
        global current
        self.before, current = current, checked(name)

    def __enter__(self) -> str:
        return current

    def __exit__(self, *_: object) -> None:
        global current
        current = self.before
