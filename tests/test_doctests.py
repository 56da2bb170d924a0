"""Examples in docstrings: each one runs, and every public name of the rooms listed here has one."""

import doctest
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinymed

PACKAGE = Path(tinymed.__file__).parent
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

# Modules whose `__all__` is documented in full: Args, Returns and an Example.  A room is added by one line.
DOCUMENTED = (
    "tinymed.baselines",
    "tinymed.data",
    "tinymed.explain",
    "tinymed.features",
    "tinymed.imaging",
    "tinymed.metrics",
    "tinymed.metrics.agreement",
    "tinymed.metrics.findings",
    "tinymed.metrics.grades",
    "tinymed.metrics.boxes",
    "tinymed.metrics.classification",
    "tinymed.metrics.detection",
    "tinymed.metrics.distance_transform",
    "tinymed.metrics.intervals",
    "tinymed.metrics.mask_cases",
    "tinymed.metrics.paired",
    "tinymed.metrics.paired_differences",
    "tinymed.metrics.positive_class",
    "tinymed.metrics.reconstruction",
    "tinymed.metrics.segmentation",
    "tinymed.models",
    "tinymed.report.agreement",
    "tinymed.report.boxes",
    "tinymed.report.overlays",
    "tinymed.report.plots",
    "tinymed.random",
    "tinymed.debug",
    "tinymed.check",
    "tinymed.weights",
    "tinymed.grad_mode",
)


def modules_with_examples() -> list[str]:
    """Return the names of the package's modules whose source holds an example; the files alone decide it."""
    found = []
    for info in pkgutil.walk_packages([str(PACKAGE)], "tinymed.", onerror=lambda name: None):
        file = PACKAGE.joinpath(*info.name.split(".")[1:])
        source = file / "__init__.py" if info.ispkg else file.with_suffix(".py")
        if source.is_file() and re.search(r"^\s*(?:r?\"\"\")?\s*>>> ", source.read_text("utf-8"), re.MULTILINE):
            found.append(info.name)
    return found


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_print_what_they_say(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a module's examples on the reference kernels, each from seed 0 and in an empty folder."""
    module = importlib.import_module(name)
    tests = [t for t in doctest.DocTestFinder().find(module, extraglobs={"np": np, "tinymed": tinymed}) if t.examples]
    assert tests, f"{name}: its examples stand in no docstring of a public object, so nothing would run them"
    runner = doctest.DocTestRunner(verbose=False, optionflags=FLAGS)
    failures: list[str] = []
    for number, test in enumerate(tests):
        folder = tmp_path / str(number)
        folder.mkdir()
        monkeypatch.chdir(folder)
        tinymed.manual_seed(0)
        with tinymed.use_backend("numpy"):
            runner.run(test, out=failures.append)
    assert not failures, "".join(failures)


def public(module_name: str) -> Iterator[tuple[str, Any]]:
    """Yield the name and the object of every function and class in a module's `__all__`."""
    module = importlib.import_module(module_name)
    for name in module.__all__:
        thing = getattr(module, name)
        if inspect.isclass(thing) or inspect.isroutine(thing):
            yield name, thing


def signature_of(thing: Any) -> inspect.Signature:
    """Return an object's signature; an exception that takes a message has none of its own."""
    plain_exception = inspect.isclass(thing) and issubclass(thing, Exception) and "__init__" not in vars(thing)
    return inspect.Signature() if plain_exception else inspect.signature(thing)


def missing_sections(thing: Any) -> list[str]:
    """Return the sections that an object's docstring should have and lacks."""
    text = inspect.getdoc(thing) or ""
    signature = signature_of(thing)
    wanted = ["Example"]
    if signature.parameters:
        wanted.append("Args|Attributes")
    if inspect.isroutine(thing) and signature.return_annotation not in (None, "None"):
        wanted.append("Returns|Yields")
    return [section for section in wanted if not re.search(rf"^(?:{section}):$", text, re.MULTILINE)]


@pytest.mark.parametrize("module_name", DOCUMENTED)
def test_public_names_are_documented(module_name: str) -> None:
    """Each public function and class says what it takes and returns, names every parameter, and shows a call."""
    wrong = {}
    for name, thing in public(module_name):
        lacking = missing_sections(thing)
        text = inspect.getdoc(thing) or ""
        lacking += [f"Args: {p}" for p in signature_of(thing).parameters if not re.search(rf"\b{p}\b", text)]
        if lacking:
            wrong[name] = lacking
    assert not wrong


def test_a_thin_docstring_is_found() -> None:
    """The check of documentation can fail."""

    def thin(size: int) -> int:
        """Return the size."""
        return size

    assert missing_sections(thin) == ["Example", "Args|Attributes", "Returns|Yields"]
