"""What the tests of `tinymed emulate` share: a folder for the compiled runtime, and a compiled program."""

import pytest

from tinymed.cuda import build, emulate

folder = None


@pytest.fixture(scope="session")
def kept(tmp_path_factory):
    """A folder for the compiled runtime, which all tests share."""
    try:
        build.find_gxx()
    except build.Absent as reason:
        pytest.skip(f"kernels cannot be compiled: {reason}")
    global folder  # one for all modules
    folder = folder or tmp_path_factory.mktemp("emulate")
    return folder


@pytest.fixture
def cached(kept, monkeypatch):
    monkeypatch.setenv("TINYMED_CACHE", str(kept))


def program(path, check, **more):
    options = emulate.Options(check=check, patience=2, **more)
    return emulate.compiled(path, options)[0], options
