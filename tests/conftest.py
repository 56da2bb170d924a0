"""Fixtures and the report: which backends were tested, how many kernel calls were native and how many fell back."""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # BLAS threads spin beside Numba's
os.environ.setdefault("OMP_NUM_THREADS", "1")  # and so do PyTorch's, beside those of another process of tests
os.environ.setdefault("TINYMED_PRECISION", "exact")  # tests of `tf32` ask for it
os.environ.setdefault("TINYMED_VERIFY", "1")  # every captured program is checked to read only what it wrote

import garbage
import numpy as np
import pytest
from covered import CoveredTests
from datasets import SHARED
from hypothesis import HealthCheck, settings

from tinymed import dispatch, precision

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""  # the system's, for the pages

settings.register_profile(
    "tinymed",
    deadline=None,
    derandomize=True,
    max_examples=25,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
settings.load_profile("tinymed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require",
        default=os.environ.get("TINYMED_REQUIRE", ""),
        help="what may not be missing, with commas: backends, torch, data, chromium; by default TINYMED_REQUIRE",
    )
    parser.addoption(
        "--cover-every", type=int, metavar="N", help="measure what one test in N covers: see tests/covered.py"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(garbage)
    if config.getoption("--cover-every"):
        config.pluginmanager.register(CoveredTests(config.getoption("--cover-every")))


def absence(name: str) -> str:
    """Why a backend, PyTorch ("torch"), the real data sets ("data") or a browser ("chromium") cannot be had, or ""."""
    if name == "torch":
        return "" if importlib.util.find_spec("torch") else "PyTorch is not installed: pip install '.[test]'"
    if name == "data":
        return "" if SHARED.is_dir() else "no real data sets beside the repository, in ../shared/data"
    if name == "chromium" and not CHROMIUM:
        return "no browser to look at pages: apt-get install chromium"
    if name == "chromium":
        driver = importlib.util.find_spec("playwright")
        return "" if driver else "playwright, which drives Chromium, is not installed: pip install '.[test]'"
    return dispatch.absence(name) if name in dispatch.BACKENDS else f"no backend is called {name}"


def pytest_sessionstart(session: pytest.Session) -> None:
    """Stop before the first test if something required is missing: a run must not pass by skipping."""
    missing = {name: absence(name) for name in session.config.getoption("--require").split(",") if name}
    if any(missing.values()):
        pytest.exit("; ".join(f"{name} is required but absent: {why}" for name, why in missing.items() if why), 3)


# Without a GPU a thousand tests would be skipped twice; test_backend.py says once why these are absent.
USABLE = [name for name, entry in dispatch.BACKENDS.items() if entry.device == "cpu" or not absence(name)]


@pytest.fixture(scope="session", autouse=True)
def own_configuration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let keys of pseudonyms and lists of files' numbers lie in a folder of the tests, not in the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("configuration")))
        yield


@pytest.fixture(scope="session", autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail where a test wrote a file into the folder that the tests were started in."""
    before = set(os.listdir())
    yield
    left = {name for name in set(os.listdir()) - before if not name.startswith(".")}
    assert not left, f"tests wrote into {Path.cwd()}, not into a folder of their own: {sorted(left)}"


@pytest.fixture(params=USABLE)
def backend_name(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each backend in turn; one that cannot work here is skipped with its reason."""
    why = absence(request.param)
    if why:
        pytest.skip(f"backend {request.param}: {why}")
    with dispatch.use_backend(request.param):
        yield request.param


@pytest.fixture(autouse=True)
def backend_and_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin each test with the default backend and precision: what a command chose before, in a test or in a fixture
    that several share, is forgotten.  With `--backend numpy` left in use, later tests would try no kernel.
    """
    monkeypatch.setattr(precision, "default", precision.INITIAL)
    monkeypatch.setattr(precision.chosen, "name", None)
    monkeypatch.setattr(dispatch.tables, "default", None)
    monkeypatch.setattr(dispatch.tables.chosen, "table", None)


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A fake GPU under the `cuda` and `cupy` backends; gives the module of kernels, which knows its launches."""
    import fake_gpu

    return fake_gpu.install(monkeypatch)


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded NumPy generator for test inputs."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where tests compile kernels for the emulator, whose own objects lie in the cache of the run."""
    from tinymed.cuda import build

    try:
        build.find_gxx()
        build.includes()
    except build.Absent as reason:
        pytest.skip(f"kernels cannot be compiled: {reason}")
    return tmp_path_factory.mktemp("kernels") / "objects"


@pytest.fixture(scope="session")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images in class folders without splits; the class that sorts second is the finding.  Not to be changed."""
    from commands import write_images

    return write_images(tmp_path_factory.mktemp("cells"), ["clear", "parasite"], 20)


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory, cells: Path) -> Path:
    """The folder of a finished run on `cells`.  Not to be changed."""
    from commands import QUICK

    from tinymed.cli import main

    folder = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", "--data", str(cells), "--out", str(folder), "--recipe", "paper", "--flip", *QUICK]) == 0
    return folder


Counts = dict[str, tuple[int, int]]  # backend -> (native, fallback) calls
elsewhere: list[Counts] = []  # what the processes of pytest-xdist counted


def counted() -> Counts:
    """The kernel calls of this process."""
    counts = {name: dispatch.record(name).values() for name in dispatch.tables.opened}
    return {name: (sum(c[0] for c in found), sum(c[1] for c in found)) for name, found in counts.items()}


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process of pytest-xdist tells the one that reports."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["calls"] = counted()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: Any) -> None:
    """Take down what a process of pytest-xdist tells."""
    elsewhere.append(getattr(node, "workeroutput", {}).get("calls", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    everywhere = [counted(), *elsewhere]
    for name in dict.fromkeys(name for counts in everywhere for name in counts):
        native, fallback = (sum(counts.get(name, (0, 0))[i] for counts in everywhere) for i in (0, 1))
        if native + fallback:
            terminalreporter.write_line(
                f"backend {name}: {native} native kernel calls, {fallback} fell back to the reference"
            )
