"""What belongs to a thread stays there: the backend of a block, a recording and its dry runs, a program's arena."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import tinymed
from tinymed import debug, dispatch, nn, optim, precision, tape
from tinymed.nn import functional as F
from tinymed.observers import Observers


def test_a_blocks_backend_is_its_threads():
    inside, leave = threading.Event(), threading.Event()

    def other():
        with tinymed.use_backend("numpy"):
            inside.set()
            leave.wait(10)
            return dispatch.table().name

    with tinymed.use_backend("loops"), ThreadPoolExecutor(1) as pool:
        running = pool.submit(other)
        assert inside.wait(10)
        assert dispatch.table().name == "loops"
        leave.set()
        assert running.result() == "numpy"
        assert dispatch.table().name == "loops"


def test_a_blocks_precision_is_its_threads():
    inside, leave = threading.Event(), threading.Event()

    def other():
        with tinymed.use_precision("exact"):
            inside.set()
            leave.wait(10)
            return precision.in_use()

    before = precision.in_use()
    with tinymed.use_precision("tf32"), ThreadPoolExecutor(1) as pool:
        running = pool.submit(other)
        assert inside.wait(10)
        assert precision.in_use() == "tf32"
        leave.set()
        assert running.result() == "exact"
        assert precision.in_use() == "tf32"
    assert precision.in_use() == before


def test_a_precision_from_here_on_is_that_of_threads_that_choose_none(monkeypatch):
    monkeypatch.setattr(precision, "default", precision.default)
    monkeypatch.setattr(precision.chosen, "name", precision.chosen.name)
    for name in precision.CHOICES:
        tinymed.use_precision(name)
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(precision.in_use).result() == name


def test_a_debugger_sees_its_own_thread_only():
    """Every observer: of kernels, of ops, and those who are told of a read."""
    inside, leave = threading.Event(), threading.Event()
    x, lines, told = tinymed.ones(2, 3), [], []

    def other():
        listening = tape.host_read_listeners.watching(told.append)
        with debug.kernel_log(lines.append, saved=True), debug.validate(), debug.find_nan(), listening:
            inside.set()
            leave.wait(10)
            return tinymed.relu(x).sum().item()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(other)
        assert inside.wait(10)
        assert not any((dispatch.observers, tape.observers, tape.host_read_listeners))
        assert np.isnan(tinymed.log(-x).sum().item())  # which find_nan would refuse
        captured = tinymed.capture(lambda x: tinymed.exp(x))
        captured(x)
        assert captured.program is not None, "a step is captured while another thread is debugged"
        assert not lines
        assert not told
        leave.set()
        assert running.result() == 6
    assert "relu" in " ".join(lines).lower()
    assert told
    assert not any(o.entries for o in (dispatch.observers, tape.observers, tape.host_read_listeners))


def test_an_observer_of_the_process_sees_every_thread():
    watching, seen = Observers(), []
    watching.everywhere("all")
    with watching.watching("mine"):
        with watching.unheard():
            assert list(watching) == ["all"]
        with ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: seen.extend(watching)).result()
        assert (list(watching), seen) == (["mine", "all"], ["all"])
    assert list(watching) == ["all"]


def test_a_choice_from_here_on_is_that_of_threads_that_choose_none():
    tinymed.use_backend("numpy")
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: dispatch.table().name).result() == "numpy"


@pytest.mark.parametrize("used", ["numpy", "numba"])
def test_another_thread_computes_while_a_step_is_recorded(used):
    """A recording plans its calls without computing them: nobody else's may be skipped, or end in the program."""
    tinymed.manual_seed(0)
    model, other = (nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)) for _ in range(2))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    images, labels = tinymed.randn(4, 1, 8, 8, seed=1), tinymed.tensor([0, 1, 0, 1])
    with tinymed.use_backend(used), tinymed.no_grad():
        expected = other(images).numpy().copy()
    recording, predicted = threading.Event(), threading.Event()

    def predict():
        recording.wait(10)
        try:
            with tinymed.use_backend(used), tinymed.no_grad():
                return other(images).numpy().copy()
        finally:
            predicted.set()

    def step(x, y):
        optimizer.zero_grad()
        scores = model(x)
        recording.set()
        predicted.wait(10)  # in the middle of the recording
        loss = F.cross_entropy(scores, y)
        loss.backward()
        optimizer.step()
        return loss

    with ThreadPoolExecutor(1) as pool, tinymed.use_backend(used):
        running = pool.submit(predict)
        captured = tinymed.capture(step)
        captured(images, labels)
        np.testing.assert_allclose(running.result(), expected, rtol=1e-5)
    convolutions = [c for c in captured.program.calls if "conv" in c.dispatcher.name]
    assert convolutions
    own = {id(p.array.base if p.array.base is not None else p.array) for p in other.parameters()}
    touched = {id(r.value.external) for c in captured.program.calls for r in c.reads() if r.value.external is not None}
    assert not own & touched, "another thread's weights are part of the program"


def test_one_program_serves_many_threads():
    """Inputs are copied to the program's own arrays, so one call ends before the next begins."""
    tinymed.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4)).eval()
    captured = tinymed.capture(lambda x: model(x))
    inputs = [tinymed.randn(8, 16, seed=i) for i in range(40)]

    def predict(x):
        with tinymed.no_grad():
            return captured(x).numpy().copy()

    with tinymed.no_grad():
        expected = [model(x).numpy() for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        for found, true in zip(pool.map(predict, inputs), expected, strict=True):
            np.testing.assert_allclose(found, true, rtol=1e-5, atol=1e-6)
