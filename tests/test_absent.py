"""What is left out of PyTorch's vocabulary: one list, from which errors and the page of the documentation come."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import tinymed
from tinymed import absent

PAGE = Path(__file__).parents[1] / "docs" / "vocabulary.md"
PLACES = {"tinymed.Tensor": tinymed.Tensor}


def place(name):
    """The module or class that a table is about."""
    return PLACES.get(name) or importlib.import_module(name)


def test_the_page_is_written_from_the_list():
    assert PAGE.read_text() == absent.page(), "write tinymed.absent.page() to docs/vocabulary.md"


@pytest.mark.parametrize("where", absent.ABSENT)
def test_what_is_listed_is_absent_and_says_so(where):
    """Nothing on the list exists, and asking for it gives its sentence."""
    for name, sentence in absent.ABSENT[where].items():
        target = place(where)
        found = target.__dict__.get(name) if isinstance(target, type) else vars(target).get(name)
        assert found is None, f"{where}.{name} exists: take it off the list"
        with pytest.raises(AttributeError) as error:
            getattr(target(tinymed.ones(1).array) if isinstance(target, type) else target, name)
        assert sentence in str(error.value)
        assert name in str(error.value)


@pytest.mark.parametrize("where", absent.ABSENT)
def test_what_is_listed_is_pytorchs(where):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")
    theirs = torch
    for part in where.split(".")[1:]:
        theirs = getattr(theirs, part)
    unknown = [n for n in absent.ABSENT[where] if not hasattr(theirs, n)]
    gone = {"solve", "lstsq", "hessian", "jacobian"}  # of older versions of PyTorch, which programs still name
    assert not [n for n in unknown if n not in gone]


def test_an_unknown_name_is_an_ordinary_error():
    with pytest.raises(AttributeError, match=r"tinymed has no 'nonsense'$"):
        tinymed.nonsense  # noqa: B018
    with pytest.raises(AttributeError, match=r"tinymed.Tensor has no 'nonsense'$"):
        tinymed.ones(1).nonsense  # noqa: B018


@pytest.mark.parametrize("name", sorted(tinymed.ON_DEMAND))
def test_packages_come_when_they_are_asked_for(name):
    """In a process of its own, where nothing else has imported them."""
    code = (
        f"import tinymed, types; assert isinstance(tinymed.{name}, types.ModuleType); assert '{name}' in dir(tinymed)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
