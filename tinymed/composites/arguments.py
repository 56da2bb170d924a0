"""What composites do with their arguments."""

from typing import Any


def all_float32(*args: Any) -> bool:
    """Return whether every floating-point array is float32."""
    for a in args:  # noqa: SIM110  asked at every call, for which a generator is slow
        if hasattr(a, "dtype") and a.dtype.char != "f" and a.dtype.kind == "f":
            return False
    return True


def all_alike(*args: Any) -> bool:
    """Return whether all floating-point arrays are float32, or all float64."""
    return all_float32(*args) or all(a.dtype.char == "d" for a in args if hasattr(a, "dtype") and a.dtype.kind == "f")


def in_order(k: Any, a: Any, order: tuple[int, ...]) -> Any:
    """Return the array with its axes in this order, in C order."""
    t = a.transpose(order)
    return t if t.flags.c_contiguous else k.canonical(a, order).transpose(order)
