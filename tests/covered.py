"""What a slice of the tests covers, measured while all of them run: the tracer is on for one test in N.

    pytest -n 2 --cover-every 9
    coverage run -p tests/covered.py    # the lines that run on importing, which happens before any test
    coverage combine && coverage report

A tracer that is on all the time makes the quick tests slow, and a second run for it costs as much as the first.
"""

import contextlib
import importlib
import pkgutil
import warnings
import zlib
from collections.abc import Iterator
from typing import Any

import pytest


class CoveredTests:
    """Turns the tracer on for one test in `every`, chosen by its name: the same ones in each run."""

    def __init__(self, every: int):
        import coverage

        self.every = every
        self.coverage = coverage.Coverage(data_suffix=True)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[Any]:
        if zlib.crc32(item.nodeid.encode()) % self.every:
            return (yield)
        self.coverage.start()
        try:
            return (yield)
        finally:
            self.coverage.stop()

    def pytest_sessionfinish(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a process that ran none of these tests has nothing to tell
            self.coverage.save()


def import_all(package: str) -> None:
    """Import every module of a package but its command and those whose libraries are absent."""
    module = importlib.import_module(package)
    for found in pkgutil.walk_packages(module.__path__, f"{package}.", onerror=lambda name: None):
        if found.name != f"{package}.__main__":
            with contextlib.suppress(ImportError):
                importlib.import_module(found.name)


if __name__ == "__main__":
    import_all("tinymed")
