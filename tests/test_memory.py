"""The heap: blocks never overlap, holes merge, and an array's order in memory is what was asked."""

import gc
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinymed import dispatch, memory
from tinymed.memory import Heap, canonical_order, dense_order, empty, inverse_order, is_dense


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 50), st.integers(0, 100)), max_size=60))
def test_blocks_never_overlap_and_all_space_comes_back(steps):
    heap, held = Heap(4096), []
    for give, size, pick in steps:
        if give and held:
            heap.freed.append(held.pop(pick % len(held)))
        elif sum(n for _, n in held) + size <= 2048:
            held.append((heap.take(size), size))
        spans = sorted(held)
        assert all(a + n <= b for (a, n), (b, _) in itertools.pairwise(spans))
    heap.freed.extend(held)
    assert heap.take(4096) == 0


def test_a_full_heap_says_so():
    heap = Heap(4096)
    heap.take(4096)
    with pytest.raises(MemoryError, match="no room"):
        heap.take(1)


def test_a_large_array_returns_its_memory():
    gc.collect()
    memory.heap().take(64)  # drains what was freed
    holes = list(memory.heap().holes)
    a = empty((1000, 1000), np.float32)
    view = a[10:20]
    del a
    memory.heap().take(0)
    assert memory.heap().holes != holes
    del view
    memory.heap().take(0)
    assert memory.heap().holes == holes


@given(
    st.lists(st.integers(1, 4), min_size=0, max_size=5), st.sampled_from(["image", "filter", "plain"]), st.booleans()
)
def test_an_array_lies_in_the_order_asked_for(shape, kind, large):
    shape = tuple(shape) if not large or len(shape) < 1 else (4096, *shape[1:])
    order = canonical_order(kind, len(shape))
    a = empty(shape, np.float64, order)
    assert a.shape == shape
    assert is_dense(a, order)
    found = dense_order(a)
    assert found is not None
    assert is_dense(a, found)
    if a.nbytes >= memory.SMALL:
        assert a.ctypes.data % memory.ALIGNMENT == 0


def test_without_mmap_arrays_come_from_malloc(monkeypatch):
    monkeypatch.setattr(memory, "RESERVABLE", False)
    monkeypatch.setattr(memory, "heap", lambda: pytest.fail("the heap was asked"))
    assert empty((300, 200), np.float32, (1, 0)).strides == (4, 1200)


def test_orders():
    assert canonical_order("image", 4) == (0, 2, 3, 1)
    assert canonical_order("image", 5) == (0, 2, 3, 4, 1)
    assert canonical_order("filter", 4) == (2, 3, 1, 0)
    assert canonical_order("image", 2) == (0, 1)
    assert inverse_order((2, 3, 1, 0)) == (3, 2, 0, 1)
    assert dense_order(np.ones((4, 6))[:, ::2]) is None


def test_trimmed_memory_is_usable_and_what_is_held_stays():
    held, freed = empty((300, 1000), np.float32), empty((300, 1000), np.float32)
    held[...], freed[...] = 1, 2
    del freed
    memory.trim()
    again = empty((300, 1000), np.float32)
    again[...] = 3
    assert (held == 1).all()
    assert (again == 3).all()


@pytest.mark.parametrize(
    "shape",
    [
        (2, 3, 5, 7),
        (1, 1, 4, 4),
        (3, 17, 4, 5),
        (2, 16, 1, 33),
        (2, 3, 70, 61),
        (2, 5),
        (3, 3, 2, 2, 2),
        (0, 3, 4, 4),
        (1, 40, 37),
    ],
    ids=str,
)
def test_any_order_becomes_any_other(shape, backend_name):
    canonical = dispatch.table(backend_name).canonical
    orders = list(itertools.permutations(range(len(shape))))[:: 5 if len(shape) > 4 else 1]
    for now, order in itertools.product(orders, orders):
        x = np.arange(math.prod(shape), dtype=np.float32).reshape([shape[a] for a in now])
        x = x.transpose(inverse_order(now))
        y = canonical(x, order)
        assert np.array_equal(x, y)
        assert y.transpose(order).flags.c_contiguous


def test_what_was_freed_last_is_taken_again_by_an_array_of_its_size():
    """Not the lowest hole, whose pages may have left the cache; one of another size takes that."""
    low, last = (empty((50_000,), np.float32) for _ in range(2))
    at = [a.ctypes.data for a in (low, last)]
    del low
    del last
    again, other = empty((50_000,), np.float32), empty((20_000,), np.float32)
    assert again.ctypes.data == at[1]
    assert other.ctypes.data != at[1]
