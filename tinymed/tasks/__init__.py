"""The tasks that a network can be trained for, by name.  One file of this folder is one task; see `base/task.py`.

from tinymed import tasks
task = tasks.find("segmentation")
"""

from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import UserError

DEFAULT = "classification"  # of a run whose task is not said
registered: dict[str, Any] = {}  # tasks from outside the package


def register(task: Any) -> None:
    """Let runs use a task that is not a file of this folder.  Raises ValueError for a name that is taken."""
    if task.name in available():
        raise ValueError(f"tasks: the name {task.name!r} is taken")
    registered[task.name] = task


def available() -> list[str]:
    """Return the names of the tasks: the files of this folder, and what was registered."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem != "__init__") + list(
        registered
    )


@cache
def load(name: str) -> Any:
    """Import the task of a file of this folder."""
    return import_module(f"{__name__}.{name}").TASK


def find(name: str) -> Any:
    """Return the task of this name.  Raises UserError for an unknown one."""
    if name in registered:
        return registered[name]
    if name not in available():
        raise UserError(f"--task {name!r} is unknown; choose one of {', '.join(available())}")
    return load(name)


def suggested(path: Path, but: str) -> list[str]:
    """Return the tasks that data speak for by the columns of their list, or what lies in their folder.

    Args:
        path: the data: a list, or a folder that may have a splits.csv.
        but: a task to leave out.
    """
    from ..data.lists import canonical_name, read_table

    names = {entry.name.lower() for entry in path.iterdir()} if path.is_dir() else set()
    listed = path / "splits.csv" if path.is_dir() else path
    if listed.suffix.lower() == ".csv" and listed.is_file():
        with suppress(UserError):  # a damaged list has been named already
            names |= {canonical_name(name) for name in read_table(listed).header}
    return [name for name in available() if name != but and names & set(find(name).marks)]


def read_config(path: Path) -> Any:
    """Return the configuration in a run's config.json.  Raises UserError naming file and key."""
    from .base.config import read_run_config

    return config_from_json(read_run_config(path), path)


def config_from_json(content: dict[str, Any], source: Path | None = None) -> Any:
    """Return the configuration that a config.json of any version holds.  Raises UserError naming file and key."""
    from .base.config import parse_config

    name = content.get("task", DEFAULT)
    if not isinstance(name, str) or name not in available():
        raise UserError(f"{source or 'configuration'}: task: {name!r} is unknown; there are {', '.join(available())}")
    return parse_config(find(name).Config, content, source)
