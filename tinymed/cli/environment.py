"""What a run was trained with, kept beside it: versions and processor, never the name of a machine or user.

environment.json: {"sittings": [{"tinymed": "0.1.0", ..., "backend": "numba"}, ...]}, one more where a run went on
elsewhere
"""

import os
import platform
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files import read_json, write_json
from .doctor import versions

BF16 = "bf16"  # the path of its products, of a run in this precision

FILE = "environment.json"


def environment(backend: str, precision: str = "") -> dict[str, Any]:
    """Return versions, system and processor of this process, and what multiplies bfloat16 in a run of it."""
    found: dict[str, Any] = {name: value for name, value in versions().items() if value != "absent"}
    found |= {"system": platform.system(), "machine": platform.machine(), "processors": os.cpu_count() or 0}
    return found | {"backend": backend} | bf16_path(backend, precision)


def bf16_path(backend: str, precision: str) -> dict[str, str]:
    """Return {"bf16": the path of products} of a run in mixed precision on the processor, else nothing."""
    if precision != BF16 or backend != "numba":
        return {}
    from ..cpu.compiler import isa

    return {BF16: isa.path()}


def other_path(folder: Path, backend: str, precision: str) -> str:
    """Return what to say where a run in mixed precision goes on with other instructions than it has used, or ""."""
    here, before = bf16_path(backend, precision).get(BF16), sittings(folder)
    path = before[-1].get(BF16) if before else None
    if not here or not path or here == path:
        return ""
    return (
        f"WARNING: this run multiplied bfloat16 with {path}, and goes on with {here}: sums run in another order, so "
        f"its numbers will differ in the last digits from those of a run that stayed; TINYMED_ISA={path} forces that "
        "path where the processor has it"
    )


def note_environment(folder: Path, backend: str, precision: str = "") -> None:
    """Write down what a run is trained with, unless it is what was written last."""
    here, before = environment(backend, precision), sittings(folder)
    if not before or before[-1] != here:
        write_json(folder / FILE, {"sittings": [*before, here]})


def sittings(folder: Path) -> list[dict[str, Any]]:
    """Return what a run was trained with, one after the other; [] of runs that did not keep it.

    Raises UserError where the file is damaged.
    """
    try:
        found = read_json(folder / FILE).get("sittings")
    except FileNotFoundError:
        return []
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise UserError(f"{folder / FILE}: does not hold what a run writes there; move the file away")
    return found
