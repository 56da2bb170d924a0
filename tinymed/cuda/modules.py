"""What the build left beside the package: the compiled modules of csrc/, and the record of why one is missing."""

import importlib.util
import json
from pathlib import Path
from typing import Any

from .build import MODULES, RECORD


def record() -> dict[str, Any]:
    """Return {module: {"built", "why", "log"}} as written by setup.py; empty if this package was never built."""
    path = Path(__file__).parent.parent / RECORD
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def why_not_built(module: str) -> str:
    """Why tinymed.<module> is missing, or nothing if it is there."""
    if importlib.util.find_spec(f"tinymed.{module}") is not None:
        return ""
    why = record().get(module, {}).get("why", "")
    how = f"{MODULES[module]}=1 pip install . (or python setup.py build_ext --inplace) builds it or says why not"
    return f"tinymed.{module} was not built{f': {why}' if why else ''}; {how}"
