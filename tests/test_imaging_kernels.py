"""Every kernel of image processing x backend x dtype x memory order, held to its reference.  Derived: see CASES."""

from typing import Any

import numpy as np
import pytest
from conftest import USABLE, absence
from derived import LAYOUTS, EachItsOwn, Signatures
from imaging_cases import CASES, Cases

from tinymed import dispatch
from tinymed.dispatch import LOOPS, REFERENCE
from tinymed.imaging.arrays import white

SEEDS = range(7)
EXACT = {  # what chooses or counts
    *("mean_filter", "median_filter", "extreme_box", "opened_box", "extreme_filter"),
    *("count_values", "count_bins", "count_tiles", "apply_table", "luma"),
}
TYPED = [(name, dtype) for name, (dtypes, _) in CASES.items() for dtype in dtypes]
# 16 bits are another compilation of the same text; on the CPU, so is each further dtype.
FIRST = {"loops": sorted, "numba": lambda dtypes: sorted(dtypes, reverse=True)}  # float32 there, uint8 here
EACH = [pytest.param(name, dtype, marks=[pytest.mark.full] if dtype == "uint16" else []) for name, dtype in TYPED]


def every_time(name: str, dtype: str, used: str) -> bool:
    """Whether a case is no matter of `-m full` alone."""
    wanted = [d for d in CASES[name][0] if d != "uint16"]
    return dtype in (FIRST[used](wanted)[:1] if used in FIRST else wanted)


EVERYWHERE = [
    pytest.param(
        *(name, dtype, used),
        marks=[] if every_time(name, dtype, used) else [pytest.mark.full],
    )
    for name, dtype in TYPED
    for used in USABLE
]


@pytest.fixture(autouse=True)
def bytes_alone_on_a_gpu(monkeypatch):
    """On a GPU a table of bytes looks up bytes, and the reference looks up the others: strict mode is for the first."""
    monkeypatch.setattr(dispatch.call, "strict", False)


def arguments(name: str, seed: int, dtype: str) -> tuple[Any, ...]:
    return CASES[name][1](Cases(seed, dtype))


def reference(name: str, args: tuple[Any, ...]) -> Any:
    """The reference's results: in float64 before whole numbers are rounded, and as they come."""
    given = tuple(wide(a) for a in args)
    with dispatch.use_backend("numpy") as k:
        if args[-1] is True and name not in ("extreme_box", "opened_box", "extreme_filter"):  # whole numbers
            given = args[0].astype(np.float64), *given[1:-1], False
            exact = np.clip(getattr(k, name)(*given), 0, white(args[0].dtype))
        else:
            exact = getattr(k, name)(*given)
        return exact, getattr(k, name)(*args)


def wide(a: Any) -> Any:
    return a.astype(np.float64) if isinstance(a, np.ndarray) and a.dtype == np.float32 else a


def compare(name: str, ours: Any, exact: Any, same_type: Any, what: str) -> None:
    """Whole numbers are the nearest to the exact value, up to the rounding of float32."""
    assert (ours.shape, ours.dtype) == (same_type.shape, same_type.dtype), what
    if name in EXACT and not (name == "luma" and ours.dtype.kind == "f"):  # a sum of floats may be fused
        assert np.array_equal(ours, same_type, equal_nan=ours.dtype.kind == "f"), what
        return
    if ours.dtype.kind == "u":
        slack = 1 if exact.dtype.kind == "u" else 0.5 + 4e-6 * white(ours.dtype)
        assert np.abs(ours.astype(np.float64) - exact).max(initial=0) <= slack, what
        return
    assert np.array_equal(np.isnan(ours), np.isnan(exact)), what
    scale = np.nanmax(np.abs(exact), initial=1e-30)
    assert np.nanmax(np.abs(ours - exact), initial=0) <= 2e-5 * scale, what


@pytest.mark.parametrize(("name", "dtype", "backend_name"), EVERYWHERE, indirect=["backend_name"])
def test_every_backend_gives_what_the_reference_gives(name, dtype, backend_name):
    """Of awkward shapes, twice the same bits."""
    for seed in SEEDS:
        args = arguments(name, seed, dtype)
        call = getattr(dispatch.table(), name)
        ours = call(*args)
        compare(name, ours, *reference(name, args), f"{name} of {dtype}, case {seed}, on {backend_name}")
        assert np.array_equal(call(*args), ours, equal_nan=ours.dtype.kind == "f")


@pytest.mark.parametrize("layout", [*LAYOUTS, "each its own"])
@pytest.mark.parametrize(("name", "dtype"), [(name, sorted(dtypes)[0]) for name, (dtypes, _) in CASES.items()])
def test_memory_order(name, dtype, layout, backend_name):
    """The values do not depend on how an argument lies in memory."""
    for seed in SEEDS[:3]:
        args = arguments(name, seed, dtype)
        arrange = EachItsOwn(seed) if layout == "each its own" else LAYOUTS[layout]
        given = tuple(
            arrange(a) if isinstance(a, np.ndarray) and (a.ndim > 1 or layout != "each its own") else a for a in args
        )
        plain = tuple(np.array(a, order="C") if isinstance(a, np.ndarray) else a for a in given)
        ours = getattr(dispatch.table(), name)(*given)
        compare(name, ours, *reference(name, plain), f"{name}, {layout}, case {seed}, on {backend_name}")


@pytest.mark.parametrize("name", [name for name, (dtypes, _) in CASES.items() if "float32" in dtypes])
def test_a_nan_comes_out_where_the_reference_has_one(name, backend_name):
    for seed in SEEDS[:4]:
        args = arguments(name, seed, "float32")
        x = args[0].copy()
        x.reshape(-1)[x.size // 2] = np.nan
        args = (x, *args[1:])
        ours = getattr(dispatch.table(), name)(*args)
        compare(name, ours, *reference(name, args), f"{name} with a NaN, case {seed}, on {backend_name}")


def test_every_kernel_has_cases():
    declared = {
        name
        for (where, name), kernel in dispatch.implementations.items()
        if where == REFERENCE and kernel.fn.__module__.startswith("tinymed.imaging")
    }
    assert declared == CASES.keys()
    dispatch.table(LOOPS)
    assert all((LOOPS, name) in dispatch.implementations for name in declared), "every kernel has a loop"


def test_kernels_return_what_they_declare():
    for name, (dtypes, _) in CASES.items():
        for dtype in dtypes:
            args = arguments(name, 0, dtype)
            kernel = dispatch.implementations[REFERENCE, name]
            result = getattr(dispatch.table("numpy"), name)(*args)
            assert [(result.shape, result.dtype)] == kernel.specs(args), name
            assert 0 <= kernel.rule.flops(*args) < np.inf, name


@pytest.mark.full
def test_every_compiled_kernel_is_entered():
    """The cases reach every loop, every kernel of the CPU and every launcher."""
    seen = Signatures()
    for used in (LOOPS, "numba", *([] if absence("emulated") else ["emulated"])):
        with dispatch.use_backend(used) as k, dispatch.observing(seen):
            for name, (dtypes, _) in CASES.items():
                for seed in SEEDS:
                    getattr(k, name)(*arguments(name, seed, dtypes[0]))
                    getattr(k, name)(*arguments(name, seed, dtypes[-1]))
    entered = {(kernel.backend, kernel.name) for kernel, _, _ in seen.seen}
    declared = {key for key, kernel in dispatch.implementations.items() if ".imaging" in kernel.fn.__module__}
    if absence("emulated"):
        declared = {key for key in declared if key[0] != "csrc"}
    assert {key for key in declared - entered if key[0] != REFERENCE} == set()


@pytest.mark.full
@pytest.mark.parametrize("backend", [LOOPS, "numba"])
def test_kernels_compile_for_several_threads(backend, monkeypatch):
    """What large images run, with the same bits."""
    with dispatch.use_backend(backend) as k:
        for name, (dtypes, _) in CASES.items():
            args = arguments(name, 6, dtypes[0])
            alone = getattr(k, name)(*args)
            with monkeypatch.context() as m:
                m.setattr(dispatch.select, "SMALL", 0)
                k.forget()
                assert np.array_equal(getattr(k, name)(*args), alone), name
            k.forget()


@pytest.mark.skipif(bool(absence("emulated")), reason=f"backend emulated: {absence('emulated')}")
@pytest.mark.parametrize(("name", "dtype"), EACH)
def test_cuda_kernels_are_silent_under_the_checker(name, dtype):
    """No race, no access out of bounds, every output complete; the same bits in another order of threads."""
    from tinymed.cuda import emulated

    with dispatch.use_backend("emulated") as k:
        if ("csrc", name) not in dispatch.implementations:
            return
        for seed in SEEDS[:4]:
            args = arguments(name, seed, dtype)
            with emulated.checking():
                ours = getattr(k, name)(*args)
            compare(name, ours, *reference(name, args), f"{name}, checked")
            for schedule in (1, 2):
                with emulated.scheduled(schedule):
                    assert np.array_equal(getattr(k, name)(*args), ours), f"schedule {schedule}"
