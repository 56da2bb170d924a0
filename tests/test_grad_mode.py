"""Grad mode belongs to a thread; contexts, decorators with and without a call, plain calls; hooks and their handles."""

import threading

import pytest

import tinymed
from tinymed import tape

MODES = {"no_grad": False, "enable_grad": True, "inference_mode": False}


def in_a_thread(function):
    """What a function returns when another thread calls it."""
    found = []
    other = threading.Thread(target=lambda: found.append(function()))
    other.start()
    other.join()
    return found[0]


def test_a_mode_belongs_to_its_thread():
    """Two threads whose blocks overlap: each has its own mode, and none is left behind."""
    inside, leave = threading.Event(), threading.Event()
    seen = []

    def other():
        with tinymed.no_grad():
            inside.set()
            leave.wait(10)
            seen.append(tinymed.is_grad_enabled())
        seen.append(tinymed.is_grad_enabled())

    worker = threading.Thread(target=other)
    with tinymed.no_grad():
        worker.start()
        inside.wait(10)
    assert tinymed.is_grad_enabled()
    x = tinymed.ones(2, requires_grad=True)
    assert (x * 2).requires_grad
    leave.set()
    worker.join()
    assert seen == [False, True]
    assert tinymed.is_grad_enabled()


def test_a_thread_starts_with_the_tape_on():
    with tinymed.no_grad():
        assert in_a_thread(tinymed.is_grad_enabled)


def test_the_modules_being_called_belong_to_a_thread():
    tape.thread.scope.append("features.3")
    try:
        assert in_a_thread(lambda: list(tape.thread.scope)) == []
    finally:
        tape.thread.scope.pop()


@pytest.mark.parametrize("outside", [True, False])
@pytest.mark.parametrize("name", MODES)
def test_context_and_decorators(name, outside):
    mode, wanted = getattr(tinymed, name), MODES[name]
    with tinymed.set_grad_enabled(outside):
        with mode():
            assert tinymed.is_grad_enabled() is wanted
            with tinymed.set_grad_enabled(not wanted):
                assert tinymed.is_grad_enabled() is not wanted
            assert tinymed.is_grad_enabled() is wanted
        assert tinymed.is_grad_enabled() is outside

        @mode
        def bare(a, b=1):
            """Said."""
            return tinymed.is_grad_enabled(), a, b

        called = mode()(lambda: tinymed.is_grad_enabled())
        assert bare(2, b=3) == (wanted, 2, 3)
        assert bare.__doc__ == "Said."
        assert called() is wanted
        assert tinymed.is_grad_enabled() is outside


def test_an_error_leaves_the_mode_as_it_was():
    with pytest.raises(KeyError), tinymed.no_grad():
        raise KeyError
    assert tinymed.is_grad_enabled()

    @tinymed.no_grad
    def fails():
        raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert tinymed.is_grad_enabled()


def test_set_grad_enabled_is_a_call_a_context_and_a_decorator():
    try:
        tinymed.set_grad_enabled(False)
        assert not tinymed.is_grad_enabled()
    finally:
        tinymed.set_grad_enabled(True)
    with tinymed.set_grad_enabled(False):
        assert not tinymed.is_grad_enabled()
    assert tinymed.is_grad_enabled()

    @tinymed.set_grad_enabled(False)
    def off():
        return tinymed.is_grad_enabled()

    assert tinymed.is_grad_enabled()
    assert not off()
    assert tinymed.is_grad_enabled()


def test_inference_mode_takes_its_mode():
    with tinymed.no_grad(), tinymed.inference_mode(False):
        assert tinymed.is_grad_enabled()
    with tinymed.inference_mode(mode=True):
        assert not tinymed.is_grad_enabled()


def test_a_decorated_generator_keeps_its_mode_to_itself():
    @tinymed.no_grad()
    def numbers():
        given = yield tinymed.is_grad_enabled()
        yield given, tinymed.is_grad_enabled()
        return "end"

    generator = numbers()
    assert next(generator) is False
    assert tinymed.is_grad_enabled()
    assert generator.send(5) == (5, False)
    with pytest.raises(StopIteration) as end:
        next(generator)
    assert end.value.value == "end"
    assert tinymed.is_grad_enabled()


def test_a_mode_that_is_no_mode_is_refused():
    with pytest.raises(TypeError, match="takes nothing"):
        tinymed.no_grad(False)


@pytest.mark.parametrize("leaf", [True, False])
def test_a_handle_takes_off_its_own_hook_only(leaf):
    seen = []

    def run(removed):
        x = tinymed.ones(2, requires_grad=True)
        y = x if leaf else x * 1
        handles = [y.register_hook(lambda g, i=i: seen.append(i)) for i in range(3)]
        for i in removed:
            handles[i].remove()
            handles[i].remove()  # a second time does nothing
        handles.append(y.register_hook(lambda g: seen.append("last")))
        (y * 3).sum().backward()
        found, seen[:] = list(seen), []
        return found

    assert run([]) == [0, 1, 2, "last"]
    assert run([1]) == [0, 2, "last"]
    assert run([2, 0]) == [1, "last"]


def test_a_handle_is_a_context():
    x = tinymed.ones(2, requires_grad=True)
    with x.register_hook(lambda g: g * 10):
        x.sum().backward()
    assert x.grad.tolist() == [10, 10]
    x.sum().backward()
    assert x.grad.tolist() == [11, 11]


def test_a_hook_is_a_function():
    with pytest.raises(TypeError, match="a hook is a function"):
        tinymed.ones(1, requires_grad=True).register_hook(3)
