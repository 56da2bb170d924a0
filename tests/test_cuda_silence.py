"""The checker is silent on every kernel of csrc/ at drawn sizes; no kernel is without a case.

tests/test_cuda_kernels.py compares with the reference what ops launch; here each launcher is called by itself, with
arrays that do and do not begin at 16 bytes, and whatever the order of threads the same bits come out.
"""

import re
from typing import Any

import numpy as np
import pytest
from conftest import absence
from cuda_cases import CASES, Cases
from hypothesis import given, settings
from hypothesis import strategies as st

import tinymed.optim  # noqa: F401  declares the optimisers' kernels
from tinymed import dispatch
from tinymed.cuda import emulated
from tinymed.cuda.build import CSRC, kernels
from tinymed.cuda.ladders import ready
from tinymed.memory import dense_order

pytestmark = pytest.mark.skipif(bool(absence("emulated")), reason=f"backend emulated: {absence('emulated')}")
OF = {name: case for names, case in CASES.items() for name in names.split()}


def placed(a: Any, aligned: bool) -> Any:
    """A copy of an array that begins at 256 bytes, or 4 after that; anything else as it is.

    What is packed for products of bfloat16 always begins at 16 bytes: the kernels refuse what does not.
    """
    if not isinstance(a, np.ndarray):
        return a
    aligned = aligned or a.dtype == np.uint16
    order = dense_order(a) or tuple(range(a.ndim))
    count = a.size + (0 if aligned else 1)
    line = emulated.empty((count,), a.dtype)[count - a.size :]
    copied = line.reshape([a.shape[i] for i in order]).transpose(np.argsort(order))
    copied[...] = a
    return copied


def outcome(dispatcher: Any, args: tuple[Any, ...], aligned: bool) -> list[Any]:
    """What a kernel returns and leaves in its arguments."""
    given = [placed(a, aligned) for a in args]
    made = dispatcher(*given)
    return [a for a in (*(made if isinstance(made, tuple) else (made,)), *given) if isinstance(a, np.ndarray)]


def silent(name: str, data: st.DataObject) -> None:
    """One example of one launcher."""
    cases = Cases(data)
    dispatcher, aligned = getattr(dispatch.table("emulated"), name), cases.flag()
    args = ready(dispatcher, OF[name](cases))
    with emulated.checking():
        checked = outcome(dispatcher, args, aligned)
    with emulated.scheduled(cases.pick((1, 5))):
        shuffled = outcome(dispatcher, args, aligned)
    for a, b in zip(checked, shuffled, strict=True):
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("name", OF)
def test_the_checker_is_silent(name):
    settings(max_examples=20)(given(st.data())(lambda data: silent(name, data)))()


@pytest.mark.full
@pytest.mark.parametrize("name", OF)
def test_the_checker_is_silent_on_many_sizes(name):
    settings(max_examples=150)(given(st.data())(lambda data: silent(name, data)))()


def test_every_kernel_has_a_case():
    """Every BIND of csrc/; its ladders have theirs in tests/test_cuda_ladders.py."""
    bound = {name for path in kernels(CSRC) for name in re.findall(r"^BIND\((\w+),", path.read_text(), re.MULTILINE)}
    assert bound == set(OF)
    rungs = {path.stem for path in (CSRC / "ladders").glob("*.cu")}
    assert bound == set(emulated.module.parameters) - rungs
    assert sum(len(names.split()) for names in CASES) == len(OF)
