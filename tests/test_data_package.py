"""The front door of tinymed.data."""

import ast
import subprocess
import sys
from pathlib import Path

import tinymed.data


def test_every_public_name_exists_and_is_declared_for_type_checkers() -> None:
    tree = ast.parse(Path(tinymed.data.__file__).read_text())
    typed = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert typed - {"import_module", "TYPE_CHECKING", "Any"} == set(tinymed.data.__all__)
    for name in tinymed.data.__all__:
        assert callable(getattr(tinymed.data, name))


def test_importing_it_imports_nothing_heavy() -> None:
    heavy = ("PIL", "torch", "numba", "tinymed.data.loader")
    code = f"import sys, tinymed.data; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_package_never_draws_from_numpy() -> None:
    for path in Path(tinymed.data.__file__).parent.glob("*.py"):
        assert "np.random" not in path.read_text(), path.name
