"""The kernel table: choice of implementation, memory order at the edge, the record of fallbacks, strict mode."""

import itertools
import re

import numpy as np
import pytest
from conftest import absence
from derived import EachItsOwn
from docstrings import run, shown

import tinymed
from tinymed import check, dispatch
from tinymed.dispatch import BackendError, kernel
from tinymed.draw import Draw
from tinymed.memory import canonical_order, inverse_order, is_dense
from tinymed.tape import Op


@pytest.fixture
def scratch(monkeypatch):
    """A table in which a test may declare kernels."""
    for name in ("numba", "loops"):  # a backend registers its kernels when first imported
        dispatch.table(name)
    monkeypatch.setattr(dispatch.tables, "opened", {})
    monkeypatch.setattr(dispatch.tables, "default", None)
    monkeypatch.setattr(dispatch.tables.chosen, "table", None)
    declared = [dispatch.declare.rules, dispatch.implementations]
    before = [dict(d) for d in declared]
    yield
    for d, b in zip(declared, before, strict=True):
        d.clear()
        d.update(b)


def doubling(seen=None, **options):
    """A reference and a compiled kernel named twice; the compiled one runs as Python."""

    @kernel(flops=lambda x: x.size)
    def twice(xp, x):
        return x * 2

    @kernel(backend="numba", **options)
    def twice(y, x):  # noqa: F811  one name, two implementations
        if seen is not None:
            seen.append((y.flags.c_contiguous, x.flags.c_contiguous, x.shape))
        y[...] = x * 2

    implementation = dispatch.implementations["numba", "twice"]
    implementation.codes = dict.fromkeys(itertools.product((True, False), repeat=2), implementation.fn)


def test_the_chain_ends_at_the_reference(scratch):
    doubling(when=lambda x: x.ndim == 1)
    table = dispatch.table("numba")
    assert table.twice(np.ones(3, np.float32)).tolist() == [2, 2, 2]
    assert table.twice(np.ones((1, 3), np.float32)).tolist() == [[2, 2, 2]]
    assert table.twice(np.ones(3)).dtype == np.float64
    assert dispatch.record("numba")["twice"] == (1, 2)


def test_strict_mode_refuses_a_listed_fallback(scratch, monkeypatch):
    doubling(when=lambda x: False)
    monkeypatch.setattr(dispatch.call, "strict", True)
    table = dispatch.table("numba")
    assert table.twice(np.ones(3, np.float32)) is not None  # not listed
    monkeypatch.setattr(table, "native", frozenset({"twice"}))
    assert table.twice(np.ones(3)) is not None  # float64 is not promised
    with pytest.raises(
        BackendError, match=r"twice must be native on 'numba' but fell back to the reference for float32\[3\]"
    ):
        table.twice(np.ones(3, np.float32))


def test_strict_mode_refuses_a_fallback_of_float64_where_it_was_declared(scratch, monkeypatch):
    doubling(when=lambda x: x.ndim == 1, double="numba")
    monkeypatch.setattr(dispatch.call, "strict", True)
    table = dispatch.table("numba")
    monkeypatch.setattr(table, "native", frozenset({"twice"}))
    assert table.twice(np.ones(3)).dtype == np.float64
    with pytest.raises(BackendError, match=r"twice must be native .* for float64\[1, 3\]"):
        table.twice(np.ones((1, 3)))
    assert dispatch.record("numba")["twice"] == (1, 1)


@pytest.mark.parametrize("kind", ["image", "filter", "flat", "plain"])
@pytest.mark.parametrize("given", ["image", "filter", "plain"])
def test_a_compiled_kernel_sees_its_own_memory_order(scratch, kind, given, rng):
    seen = []
    doubling(seen, **({kind: "y x"} if kind != "plain" else {}))
    x = rng.normal(size=(2, 3, 4, 5)).astype(np.float32)
    order = canonical_order(given, 4)
    laid = np.ascontiguousarray(x.transpose(order)).transpose(inverse_order(order))
    y = dispatch.table("numba").twice(laid)
    assert np.array_equal(y, 2 * x)
    out_contiguous, in_contiguous, shape = seen[0]
    assert out_contiguous
    assert in_contiguous
    expected = (x.size,) if kind == "flat" else tuple(x.shape[i] for i in canonical_order(kind, 4))
    assert shape == expected
    converted = "canonical" in dispatch.record("numba")
    assert converted == (kind != "flat" and kind != given)


@pytest.mark.parametrize("shape", [(2, 40, 5, 6), (1, 7, 3, 3), (3, 4, 1, 2), (5, 6), (2, 6, 7), (2, 6, 3, 3, 2)])
def test_some_channels_of_an_image_are_made_dense_by_a_kernel(shape, rng):
    """What concatenation's gradient leaves: windows on channels, with gaps between pixels; others are copied too."""
    k, order = dispatch.table("numba"), canonical_order("rows", len(shape))
    x = k.canonical(rng.normal(size=shape).astype(np.float32), order)
    for first, last in ((0, 3), (2, 4), (1, 2)):
        before = k.take_channels.native
        for dense in (k.canonical(x[:, first:last], order), k.copy(x[:, first:last])):
            assert np.array_equal(dense, x[:, first:last])
            assert is_dense(dense, order)
        assert k.take_channels.native == before + 2
    for window in (x[::2], x[:, ::2], x[..., ::2], x[:, ::-1], x[:1, :1]):
        dense = k.canonical(window, order)
        assert np.array_equal(dense, window)
        assert np.array_equal(k.copy(window), window)
        assert is_dense(dense, order)


def test_large_arrays_are_joined_and_taken_apart_past_the_caches(rng):
    """Whole vectors go past them; runs that begin inside a vector do not."""
    k, order = dispatch.table("numba"), canonical_order("rows", 2)
    for first, second in ((32, 48), (31, 49)):
        a, b = (np.repeat(rng.normal(size=(64, c)).astype(np.float32), 900, axis=0) for c in (first, second))
        y = k.concat(1, a, b)
        assert 4 * y.size > 1 << 24
        assert np.array_equal(y, np.concatenate([a, b], 1))
        assert np.array_equal(k.canonical(y[:, first:], order), b)


def test_flat_operands_in_different_orders_are_brought_together(scratch, rng):
    @kernel(flops=lambda a, b: a.size)
    def plus(xp, a, b):
        return a + b

    @kernel(backend="numba", flat="y a b")
    def plus(y, a, b):  # noqa: F811  one name, two implementations
        y[:] = a + b

    implementation = dispatch.implementations["numba", "plus"]
    implementation.codes = dict.fromkeys(itertools.product((True, False), repeat=2), implementation.fn)
    a = rng.normal(size=(2, 3, 4, 5)).astype(np.float32)
    last = np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    for x, y in ((a, last), (last, a), (last, last), (a[:, :, ::2], last[:, :, ::2]), (a[::-1], last[::-1])):
        assert np.array_equal(dispatch.table("numba").plus(x, y), x + y)
    assert dispatch.table("numba").plus(last, last).transpose(0, 2, 3, 1).flags.c_contiguous


def test_what_is_written_in_place_is_written_whatever_its_order(scratch, rng):
    @kernel(out=lambda p, g: [], writes="p")
    def shift(xp, p, g):
        p += g
        return ()

    @kernel(backend="numba", flat="p g")
    def shift(p, g):  # noqa: F811  one name, two implementations
        p += g

    implementation = dispatch.implementations["numba", "shift"]
    implementation.codes = dict.fromkeys(itertools.product((True, False), repeat=2), implementation.fn)
    a = rng.normal(size=(2, 3, 4, 5)).astype(np.float32)
    last = np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    for p, g in ((a.copy(), last), (last.copy("K"), a), (np.repeat(a, 2, 3)[..., ::2], last)):
        dispatch.table("numba").shift(p, g)
        assert np.array_equal(p, 2 * a)


class Names(dispatch.Observer):
    """The kernels called, the parts of a composite before it."""

    def __init__(self):
        self.seen = []

    def after(self, dispatcher, kernel, args, outs):
        self.seen.append(dispatcher.name)


def test_a_choice_is_made_once_for_a_signature(scratch):
    asked = []
    doubling()

    @kernel(out=lambda times, x: [x.shape], flops=lambda times, x: x.size)
    def grow(xp, times, x):
        return times * x

    @kernel(backend="numba", choice=True, when=lambda times, x: times == 2)
    def grow(k, times, x):  # noqa: F811  one name, two implementations
        asked.append(times)
        return k.twice(x)

    table, x = dispatch.table("numba"), np.arange(6, dtype=np.float32).reshape(2, 3)
    assert [table.grow(2, x + i).sum() for i in range(4)] == [30, 42, 54, 66]
    assert len(asked) == 2  # when planned, and by the call that planned it
    assert dispatch.record("numba")["twice"] == (4, 0)
    assert np.array_equal(table.grow(2, x.T), 2 * x.T)  # in another memory order
    assert np.array_equal(table.grow(3, x), 3 * x)  # the reference
    with dispatch.observing(Names()) as names:
        table.grow(2, x)
    assert names.seen == ["twice", "grow"]


def test_arguments_of_one_signature_may_be_read_only(rng):
    """The first call looks at types, the next ones do not."""
    table, x = dispatch.table("numba"), rng.normal(size=(5, 7)).astype(np.float32)
    fixed = x.copy()
    fixed.flags.writeable = False
    for a in (x, fixed, x, fixed):
        assert np.array_equal(table.relu_forward(a), np.maximum(x, 0))
        assert np.array_equal(table.add(fixed, a), x + x)


@pytest.mark.parametrize("name", dispatch.BACKENDS)
def test_a_backend_works_or_says_what_is_missing(name):
    if why := absence(name):
        assert re.search("install|built|sees no GPU|cannot use", why), why
        pytest.skip(f"backend {name}: {why}")
    assert dispatch.table(name).relu_forward(dispatch.table(name).xp.ones(3, np.float32)).sum() == 3


def test_a_missing_kernel_and_an_unknown_backend_are_named():
    with pytest.raises(AttributeError, match="no kernel 'nonsense' on backend 'numpy'"):
        dispatch.table("numpy").nonsense()
    with pytest.raises(ValueError, match="'metal' is unknown; choose one of numpy, loops, numba"):
        tinymed.use_backend("metal")


def test_use_backend_as_a_block_restores():
    before = dispatch.table().name
    with tinymed.use_backend("numpy"):
        assert dispatch.table().name == "numpy"
        with tinymed.use_backend("numba"):
            assert dispatch.table().name == "numba"
        assert dispatch.table().name == "numpy"
    assert dispatch.table().name == before


def test_a_declaration_is_shared_by_all_implementations(scratch):
    doubling()
    reference, compiled = (dispatch.implementations[b, "twice"] for b in ("reference", "numba"))
    assert reference.rule is compiled.rule
    assert compiled.specs([np.ones((2, 3), np.float32)]) == [((2, 3), np.float32)]


@pytest.mark.parametrize("name", ["numpy", "numba"])
@pytest.mark.parametrize("op", ["ReLU", "LeakyReLU", "Conv", "BatchNorm", "MaxPool", "Linear", "Softmax"])
def test_the_table_that_the_docstring_shows_gives_the_bits_of_the_real_one(op, name):
    """Forward and backward, in memory orders of all kinds, on real kernels."""
    code = shown(dispatch, "class SimpleTable")
    assert len([line for line in code.splitlines() if line]) <= 40
    scope = {n: getattr(dispatch.select, n) for n in ("accepts", "memory_orders", "native_view", "order_of")}
    names = {n: getattr(dispatch, n) for n in ("BACKENDS", "BackendError", "implementations")}
    simple = run(code, np=np, inverse_order=inverse_order, **scope, **names)["SimpleTable"](name)
    kind = Op.registry[op]
    for seed in range(4):
        args = kind.samples(Draw(seed))
        with dispatch.use_backend(name):
            real = check.results(kind.apply, args, np.float32, seed, EachItsOwn(seed))
            with dispatch.use_table(simple):
                same = check.results(kind.apply, args, np.float32, seed, EachItsOwn(seed))
        for a, b in zip([*real[0], *real[1]], [*same[0], *same[1]], strict=True):
            assert (a is None) == (b is None)
            assert a is None or (np.array_equal(a, b, equal_nan=True) and a.dtype == b.dtype)
