"""Fixtures and the report: which backends were tested, how many kernel calls were native and how many fell back."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # BLAS threads spin beside Numba's

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from tinymed import backend

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
    parser.addoption("--require", default=os.environ.get("TINYMED_REQUIRE", ""),
                     help="backends whose absence is a failure instead of a skip, separated by commas")  # fmt: skip


@pytest.fixture(params=list(backend.BACKENDS))
def backend_name(request: pytest.FixtureRequest) -> str:
    """Each backend in turn; one that cannot work here is skipped with its reason, or fails under --require."""
    name = request.param
    try:
        backend.table(name)
    except (backend.BackendError, ImportError) as reason:
        if name in request.config.getoption("--require").split(","):
            pytest.fail(f"backend {name} is required but absent: {reason}")
        pytest.skip(f"backend {name}: {reason}")
    with backend.use_backend(name):
        yield name


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded NumPy generator for test inputs."""
    return np.random.default_rng(0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for name in backend.tables:
        counts = backend.record(name).values()
        native, fallback = sum(c[0] for c in counts), sum(c[1] for c in counts)
        if native + fallback:
            terminalreporter.write_line(
                f"backend {name}: {native} native kernel calls, {fallback} fell back to the reference"
            )
