"""Paths as results name them."""

from pathlib import Path


def below(name: str, root: str | None) -> str:
    """Return a path below the folder of the data, as its lists name it; elsewhere the path itself."""
    path, base = Path(name), Path(root or ".")
    base = base if base.is_dir() else base.parent
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else name
