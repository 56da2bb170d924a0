"""The weight gradient of wide 1x1 convolutions: awkward sizes, strides, where it is chosen, the same bits."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from instruments import Conv, close, guarded, normal

from tinymed import backend
from tinymed.cpu import pointwise


@settings(max_examples=40, deadline=None)
@example(n=1, c=1, k=1, h=1, w=1, stride=(1, 1), seed=0)
@example(n=2, c=33, k=65, h=17, w=16, stride=(1, 1), seed=0)  # a slab and a bit, a tile and a bit, two panels and a bit
@example(n=3, c=16, k=40, h=29, w=15, stride=(2, 1), seed=0)
@given(n=st.integers(1, 3), c=st.integers(1, 70), k=st.integers(1, 70), h=st.integers(1, 24), w=st.integers(1, 24),
       stride=st.sampled_from([(1, 1), (2, 2), (1, 3), (3, 1)]), seed=st.integers(0, 9))  # fmt: skip
def test_it_is_the_gradient(n, c, k, h, w, stride, seed):
    rng = np.random.default_rng(seed)
    x, weight = normal(rng, n, c, h, w), normal(rng, k, c, 1, 1)
    expected = Conv(x, weight, stride, ((0, 0), (0, 0)), (1, 1), 1)
    with guarded() as guards:
        dy = guards.place(normal(rng, n, k, *expected.out), "image")
        dw = backend.table("numba").conv_pointwise_weight(dy, guards.place(x, "image"), weight.shape, stride)
        close(dw, expected.backward(dy)[1], dy.size // max(1, k))


def test_no_pixels_give_zeros(rng):
    dy, x = normal(rng, 0, 9, 3, 3), normal(rng, 0, 9, 3, 3)
    assert not backend.table("numba").conv_pointwise_weight(dy, x, (9, 9, 1, 1), (1, 1)).any()


@pytest.mark.parametrize(("shape", "padding", "groups", "packed"), [
    ((512, 128, 1, 1), 0, 1, True), ((128, 512, 1, 1), 1, 1, True), ((256, 128, 1, 1), 0, 1, False),
    ((512, 128, 1, 2), 0, 1, False), ((512, 256, 1, 1), 0, 2, False),
])  # fmt: skip
def test_where_it_is_chosen(shape, padding, groups, packed, rng):
    """Wide 1x1 filters, padded images too; the result is that of the direct loop."""
    k, edge = backend.table("numba"), ((padding, padding),) * 2
    x = normal(rng, 2, shape[1] * groups, 5, 4)
    size = [2, shape[0], 5 + 2 * padding - shape[2] + 1, 4 + 2 * padding - shape[3] + 1]
    dy, before = normal(rng, *size), k.conv_pointwise_weight.native
    dw = k.conv2d_backward_weight(dy, x, shape, (1, 1), edge, (1, 1), groups)
    assert k.conv_pointwise_weight.native - before == packed
    assert pointwise.pays(shape, groups) == packed
    close(dw, Conv(x, normal(rng, *shape), (1, 1), edge, (1, 1), groups).backward(dy)[1], dy.size // shape[0])
