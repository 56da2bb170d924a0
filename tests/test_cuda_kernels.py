"""Every kernel of csrc/ that an op enters, under the checker, at awkward sizes, and in other orders of threads."""

from collections.abc import Iterator

import numpy as np
import pytest
from derived import OPS, HypothesisDraw, Signatures, command, sample, tolerance
from hypothesis import given, settings
from hypothesis import strategies as st

from tinymed import check, dispatch
from tinymed.cuda import emulated
from tinymed.dispatch import BackendError
from tinymed.tape import Op

try:
    dispatch.table("emulated")
    with emulated.checking():
        pass
except BackendError as reason:
    pytest.skip(f"backend emulated: {reason}", allow_module_level=True)


def native() -> list[type[Op]]:
    """The ops whose first samples enter a kernel of csrc/."""
    found = []
    for op in OPS:
        with dispatch.use_backend("emulated"), dispatch.observing(Signatures()) as calls:
            for seed in range(3):
                check.results(op.apply, sample(op, seed), np.float32)
        if any(kernel.backend == "csrc" for kernel, _, _ in calls.seen):
            found.append(op)
    return found


NATIVE = native()


@pytest.fixture(autouse=True)
def on_the_emulator() -> Iterator[None]:
    with dispatch.use_backend("emulated"):
        yield


def reference(op, args):
    with dispatch.use_backend("numpy"):
        return check.results(op.apply, args, np.float64)


@pytest.mark.parametrize("op", NATIVE, ids=lambda op: op.__name__)
def test_the_checker_is_silent(op):
    """No access out of bounds, no race, nothing read before it is written, every output complete, and right."""

    @settings(max_examples=12)
    @given(st.data())
    def checked(data):
        args = op.samples(HypothesisDraw(data))
        with emulated.checking():
            ours = check.results(op.apply, args, np.float32)
        check.compare(ours, reference(op, args), tolerance(op), f"{op.__name__}, checked")

    checked()


@pytest.mark.parametrize("op", NATIVE, ids=lambda op: op.__name__)
def test_the_order_of_threads_does_not_matter(op):
    """The same bits whether threads and blocks run as numbered, backwards or shuffled."""
    for seed in range(3):
        args = sample(op, seed)
        ours = check.results(op.apply, args, np.float32)
        for schedule in (1, 2):
            with emulated.scheduled(schedule):
                again = check.results(op.apply, args, np.float32)
            check.compare(again, ours, 0.0, f"schedule {schedule}: {command(op, seed)}")


def test_every_launcher_is_declared_and_every_declaration_launched():
    """csrc/ and tinymed/cuda/ agree: same names, same parameters in the same order."""
    launchers = emulated.module.parameters
    declared = {
        name: " ".join(k.parameters)
        for (where, name), k in dispatch.implementations.items()
        if where == "csrc" and not k.composite
    }
    assert {k: v for k, v in launchers.items() if k in declared} == declared
    assert not {k for k in launchers if k not in declared}, "launchers that no kernel of tinymed/cuda declares"
