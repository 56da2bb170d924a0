"""Image processing that is made of other kernels."""

from typing import Any

from ..dispatch import kernel


@kernel(backend="loops csrc", composite=True, when=lambda *_: True)
def opened_box(k: Any, x: Any, sizes: Any, at0: Any, at1: Any, at2: Any, closed: Any) -> Any:
    """Erode, then dilate; if closed, dilate, then erode."""
    inner = k.extreme_box(x, sizes, at0, at1, at2, closed)
    return k.extreme_box(inner, sizes, at0, at1, at2, not closed)
