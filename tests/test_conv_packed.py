"""The weight gradient of convolutions with many channels: awkward sizes, strides, where it is chosen."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from instruments import Conv, close, guarded, normal

from tinymed import dispatch
from tinymed.cpu.convolution import packed_weight


@settings(max_examples=40, deadline=None)
@example(n=1, c=1, k=1, size=(1, 1), kernel=(1, 1), stride=(1, 1), dilation=(1, 1), seed=0)
@example(n=2, c=33, k=65, size=(17, 16), kernel=(1, 1), stride=(1, 1), dilation=(1, 1), seed=0)  # a slab and a bit
@example(n=3, c=16, k=40, size=(29, 15), kernel=(3, 3), stride=(2, 1), dilation=(1, 2), seed=0)
@given(
    n=st.integers(1, 3),
    c=st.integers(1, 70),
    k=st.integers(1, 70),
    size=st.tuples(st.integers(5, 20), st.integers(5, 20)),
    kernel=st.sampled_from([(1, 1), (3, 3), (1, 2), (3, 1)]),
    stride=st.sampled_from([(1, 1), (2, 2), (1, 3)]),
    dilation=st.sampled_from([(1, 1), (2, 1)]),
    seed=st.integers(0, 9),
)
def test_it_is_the_gradient(n, c, k, size, kernel, stride, dilation, seed):
    rng = np.random.default_rng(seed)
    x, weight = normal(rng, n, c, *size), normal(rng, k, c, *kernel)
    expected = Conv(x, weight, stride, ((0, 0), (0, 0)), dilation, 1)
    with guarded() as guards:
        dy = guards.place(normal(rng, n, k, *expected.out), "image")
        x = guards.place(x, "image")
        dw = dispatch.table("numba").conv_packed_weight(dy, x, weight.shape, stride, dilation)
        close(dw, expected.backward(dy)[1], dy.size // max(1, k))


def test_no_pixels_give_zeros(rng):
    dy, x = normal(rng, 0, 9, 3, 3), normal(rng, 0, 9, 3, 3)
    assert not dispatch.table("numba").conv_packed_weight(dy, x, (9, 9, 1, 1), (1, 1), (1, 1)).any()


@pytest.mark.parametrize(
    ("shape", "padding", "stride", "groups", "packed"),
    [
        ((512, 128, 1, 1), 0, 1, 1, True),
        ((128, 512, 1, 1), 1, 1, 1, True),
        ((96, 128, 1, 1), 0, 1, 1, False),
        ((256, 128, 3, 3), 1, 2, 1, True),
        ((256, 256, 1, 1), 0, 1, 2, False),
        ((2048, 16, 1, 1), 0, 1, 1, False),
    ],
)
def test_where_it_is_chosen(shape, padding, stride, groups, packed, rng):
    """Many channels on both sides, padded images and strides too."""
    k, edge = dispatch.table("numba"), ((padding, padding),) * 2
    x, weight = normal(rng, 2, shape[1] * groups, 5, 4), normal(rng, *shape)
    expected = Conv(x, weight, (stride, stride), edge, (1, 1), groups)
    dy, before = normal(rng, 2, shape[0], *expected.out), k.conv_packed_weight.native
    dw = k.conv2d_backward_weight(dy, x, shape, (stride, stride), edge, (1, 1), groups)
    assert k.conv_packed_weight.native - before == packed == packed_weight.pays(shape, groups)
    close(dw, expected.backward(dy)[1], dy.size // shape[0])
