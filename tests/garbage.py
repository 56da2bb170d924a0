"""A pytest plugin: what lives as long as the tests is not searched for garbage again and again.

Some 30,000 collected tests and the syntax trees of their files are a few million objects.  A full collection looks at
each, takes a second, and is asked for by every recorded step and by Python itself.
"""

import gc
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Iterator[Any]:
    """Collect the tests without looking for garbage, and set them apart."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        set_apart()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """At the end of a file set apart what it has left: compiled kernels, imported modules, PyTorch's database."""
    if nextitem is None or nextitem.path != item.path:
        set_apart()


def set_apart() -> None:
    """Free what is garbage, and leave the rest out of later searches."""
    gc.collect()
    gc.freeze()
