"""The microkernel, convolution and matrix products of the numba backend against float64 NumPy over awkward shapes.

Every array, input, output or scratch, lies between guard bands of NaN and starts as NaN: a read outside an input, a
read of something never written and a write outside an output all fail.
"""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from instruments import Conv, close, guarded, machine_code, normal

import tinymed.cpu.conv
import tinymed.cpu.convolution.depthwise
import tinymed.cpu.matmul  # noqa: F401
from tinymed import dispatch
from tinymed.cpu.convolution import choose
from tinymed.cpu.simd import vectors
from tinymed.cpu.simd.tile import AHEAD, PARAMETERS, emit_tile

few = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


# ------------------------------------------------------------------------------------------------- the microkernel


@pytest.mark.parametrize(
    "shape",
    [
        vectors.Shape(6, 2, 8, True),
        vectors.Shape(4, 2, 4, False),
        vectors.Shape(4, 1, 4, True),
        vectors.SHAPE,
        vectors.DOUBLE,
    ],
    ids=str,
)
def test_tile_of_every_instruction_set(shape):
    """Tiles for AVX2, SSE and NEON run here too: LLVM emulates the vectors that this processor lacks or has not."""
    tile = machine_code([*PARAMETERS, *AHEAD], lambda builder, arguments: emit_tile(builder, arguments, shape))
    rng, rows, dtype = np.random.default_rng(0), shape.rows, np.dtype(np.float64 if shape.double else np.float32)
    size = dtype.itemsize
    for tail in {1, shape.lanes - 1, shape.lanes}:
        columns = (shape.vectors - 1) * shape.lanes + tail
        for mode in ("zero", "bias", "accumulate"):
            with guarded() as guards:
                sizes = (rows, 2, 3, 5), (2, 3, 5, columns), (columns,), (rows, columns)
                x, w, bias, y = (rng.standard_normal(s, dtype=dtype) for s in sizes)
                y = guards.place(y)
                start = {"zero": 0, "bias": bias, "accumulate": y}[mode] + np.zeros((rows, columns))
                order = rng.permutation(rows)  # any row may go anywhere
                tables = np.array([np.arange(rows) * 30 * size, order * size * columns])
                address = {"zero": 0, "bias": guards.place(bias).ctypes.data, "accumulate": 1}[mode]
                steps = (15, 5, 1, 15 * columns, 5 * columns, columns)
                loops = (2, 3, 5, *(size * step for step in steps))
                tile(
                    tables[0].ctypes.data,
                    guards.place(x).ctypes.data,
                    tables[1].ctypes.data,
                    y.ctypes.data,
                    guards.place(w).ctypes.data,
                    address,
                    tail,
                    *loops,
                    tables.ctypes.data,
                    64,
                )
                expected = np.einsum("mijl,ijln->mn", x.astype(float), w.astype(float))
                close(y[order], expected + start[order], 30)


# ------------------------------------------------------------------------------------------------------ convolution


SIZES = st.sampled_from([1, 2, 3, 5, 6, 16, 17, 31, 32, 33, 64, 100])
pair = lambda values: st.tuples(st.sampled_from(values), st.sampled_from(values))  # noqa: E731


@st.composite
def convolutions(draw):
    """(n, channels, filters, (h, w), kernel, stride, padding, dilation, groups)"""
    n, h, w = draw(st.integers(1, 3)), draw(st.integers(1, 14)), draw(st.integers(1, 14))
    c, k = draw(SIZES), draw(SIZES)
    groups = draw(st.sampled_from(["1", "1", "2", "depthwise"]))
    if groups != "1":
        c += c % 2
        k = c if groups == "depthwise" else k + k % 2
    kernel = draw(st.sampled_from([(1, 1), (2, 2), (3, 3), (5, 5), (7, 7), (3, 1), (1, 4), (2, 3)]))
    stride, dilation = draw(pair([1, 1, 2, 3])), draw(pair([1, 1, 2]))
    padding = draw(st.tuples(pair([0, 1, 2, 4]), pair([0, 1, 3])))
    for size, kk, d, p in zip((h, w), kernel, dilation, padding, strict=True):
        assume(size + sum(p) >= d * (kk - 1) + 1)
    assume(n * c * k * h * w * kernel[0] * kernel[1] < 3e7)
    return n, c, k, (h, w), kernel, stride, padding, dilation, {"1": 1, "2": 2, "depthwise": c}[groups]


NONE, ONE, SAME = ((0, 0), (0, 0)), (1, 1), ((1, 1), (1, 1))


@few
@given(case=convolutions())
@example(case=(8, 3, 32, (64, 64), (3, 3), ONE, SAME, ONE, 1))  # many blocks
@example(case=(2, 64, 96, (14, 14), (3, 3), ONE, SAME, ONE, 1))
@example(case=(40, 33, 65, (3, 2), (1, 1), ONE, NONE, ONE, 1))  # units of several images, loops that fold
@example(case=(3, 4, 4, (2, 2), (2, 2), ONE, ((0, 1), (1, 0)), ONE, 1))
@example(case=(1, 16, 40, (9, 9), (3, 3), (2, 2), SAME, ONE, 2))
@example(case=(2, 6, 3, (5, 4), (3, 3), ONE, SAME, ONE, 3))  # a filter to a group, yet two channels: not depthwise
@example(case=(2, 3, 6, (5, 4), (3, 3), (2, 1), SAME, ONE, 3))  # a channel to a group, yet two filters
@example(case=(1, 2, 3, (1, 1), (1, 1), ONE, ((2, 2), (2, 2)), ONE, 1))  # more padding than filter: dx is cut out
@pytest.mark.parametrize("algorithm", ["direct", "naive"])
def test_convolution_and_its_gradients(algorithm, case):
    n, c, k, size, kernel, *how = case
    rng, groups = np.random.default_rng(1), how[-1]
    x, weight, bias = normal(rng, n, c, *size), normal(rng, k, c // groups, *kernel), normal(rng, k)
    expected = Conv(x, weight, *how)
    numba = dispatch.table("numba")
    with guarded() as guards, choose.use_algorithm(algorithm):
        dy = guards.place(normal(rng, n, k, *expected.out), "image")
        xs, ws, bs = guards.place(x, "image"), guards.place(weight, "filter"), guards.place(bias)
        terms = c // groups * kernel[0] * kernel[1]
        close(numba.conv2d_forward(xs, ws, bs, *how), expected.forward(bias), terms)
        close(numba.conv2d_forward(xs, ws, None, *how), expected.forward(0 * bias), terms)
        dx, dw = expected.backward(dy)
        close(numba.conv2d_backward_input(dy, ws, x.shape, *how), dx, k // groups * kernel[0] * kernel[1])
        close(numba.conv2d_backward_weight(dy, xs, weight.shape, *how), dw, n * expected.out[0] * expected.out[1])
        close(numba.channel_sum(dy), dy.astype(float).sum((0, 2, 3)), n * expected.out[0] * expected.out[1])


def test_empty_batch():
    numba, how = dispatch.table("numba"), (ONE, SAME, ONE, 1)
    x, w = np.zeros((0, 3, 5, 5), np.float32), np.ones((4, 3, 3, 3), np.float32)
    y = numba.conv2d_forward(x, w, None, *how)
    assert y.shape == (0, 4, 5, 5)
    assert numba.conv2d_backward_input(y, w, x.shape, *how).shape == x.shape
    assert (numba.conv2d_backward_weight(y, x, w.shape, *how) == 0).all()
    assert (numba.channel_sum(y) == 0).all()


# -------------------------------------------------------------------------------------------------------- matrices


LENGTHS = st.sampled_from([1, 2, 3, 5, 7, 8, 9, 16, 17, 31, 33, 64, 100, 131])


@few
@given(m=LENGTHS, n=LENGTHS, depth=st.sampled_from([0, 1, 2, 5, 16, 33, 300, 511, 512, 513, 1100]))
@example(m=300, n=200, depth=40)
@example(m=2, n=3000, depth=9)
def test_matrix_products(m, n, depth):
    rng, numba = np.random.default_rng(2), dispatch.table("numba")
    a, b, bias = normal(rng, m, depth), normal(rng, depth, n), normal(rng, n)
    expected = a.astype(float) @ b.astype(float)
    with guarded() as guards:
        place = guards.place
        close(numba.matmul(place(a), place(b)), expected, depth + 1)
        close(numba.matmul_ta(place(a.T), place(b)), expected, depth + 1)
        close(numba.matmul_tb(place(a), place(b.T)), expected, depth + 1)
        close(numba.linear_forward(place(a), place(b.T), place(bias)), expected + bias, depth + 1)
        close(numba.linear_forward(place(a), place(b.T), None), expected, depth + 1)
        close(numba.channel_sum(place(a)), a.astype(float).sum(0), m)


# --------------------------------------------------------------------------------------------------------- threads


PROGRAM = """
import hashlib, numba, numpy as np
import tinymed.cpu.conv, tinymed.cpu.convolution.depthwise, tinymed.cpu.matmul
from tinymed import dispatch
k, rng = dispatch.table("numba"), np.random.default_rng(0)
normal = lambda *s: rng.standard_normal(s, dtype=np.float32)
jobs = []
for groups, stride in ((1, 1), (1, 2), (2, 1), (24, 1), (24, 2)):
    how = ((stride, stride), ((1, 1), (1, 0)), (1, 1), groups)
    x, w = normal(9, 24, 17, 18), normal(24 if groups == 24 else 40, 24 // groups, 3, 3)
    dy = normal(*k.conv2d_forward(x, w, None, *how).shape)
    jobs += [lambda x=x, w=w, how=how: k.conv2d_forward(x, w, None, *how),
             lambda x=x, w=w, dy=dy, how=how: k.conv2d_backward_input(dy, w, x.shape, *how),
             lambda x=x, w=w, dy=dy, how=how: k.conv2d_backward_weight(dy, x, w.shape, *how),
             lambda dy=dy: k.channel_sum(dy)]
a, b = normal(300, 700), normal(700, 210)
jobs += [lambda: k.matmul(a, b), lambda: k.matmul_ta(b, b), lambda: k.matmul_tb(a, a)]
for threads in (1, 2):
    numba.set_num_threads(threads)
    digest = hashlib.sha256()
    for job in jobs:
        digest.update(np.ascontiguousarray(job()).tobytes())
    print(digest.hexdigest())
"""


def test_one_and_two_threads_give_the_same_bits():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "NUMBA_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    one, two = done.stdout.split()
    assert one == two


def test_a_small_kernel_may_be_the_first_of_a_process():
    """Kernels that run without threads ask for their thread's number too, before any thread was started."""
    script = """
import numpy as np
from tinymed import dispatch

k = dispatch.table("numba")
u = k.winograd_filter(np.ones((8, 8, 3, 3), np.float32), 2)
y = k.conv_winograd(np.ones((1, 8, 6, 6), np.float32), u, np.zeros(8, np.float32), 8, ((0, 0), (0, 0)))
assert (y == 72).all()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
