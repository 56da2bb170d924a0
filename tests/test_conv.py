"""Convolution and its transpose: the arguments they take, what they refuse, and the second way to see them.

That values and gradients are right is tested with every other op in test_ops.py.
"""

import numpy as np
import pytest

import tinymed
from tinymed import dispatch
from tinymed.ops import conv as C
from tinymed.ops import conv_transpose as T
from tinymed.ops.space import same_padding

torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")
F = torch.nn.functional


def t(array):
    return tinymed.tensor(array)


def normal(rng, *shape):
    return rng.standard_normal(shape, dtype=np.float32)


def same(ours, theirs):
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-4, atol=1e-4)


class TestForms:
    @pytest.mark.filterwarnings("ignore:Using padding='same'")  # PyTorch's, on its own speed
    @pytest.mark.parametrize("padding", [0, 2, (1, 2), [2, 1], "same", "valid"])
    @pytest.mark.parametrize("dilation", [1, (2, 1)])
    def test_padding_as_in_torch(self, rng, backend_name, padding, dilation):
        x, w = normal(rng, 2, 3, 9, 8), normal(rng, 4, 3, 4, 3)
        theirs = tuple(padding) if isinstance(padding, list) else padding
        expected = F.conv2d(torch.from_numpy(x), torch.from_numpy(w), None, 1, theirs, dilation)
        same(C.conv2d(t(x), t(w), padding=padding, dilation=dilation), expected)

    def test_asymmetric_padding(self, rng, backend_name):
        x, w = normal(rng, 1, 2, 5, 6), normal(rng, 3, 2, 3, 3)
        expected = F.conv2d(F.pad(torch.from_numpy(x), (0, 3, 1, 2)), torch.from_numpy(w))
        same(C.conv2d(t(x), t(w), padding=((1, 2), (0, 3))), expected)

    @pytest.mark.parametrize("rank", [1, 2, 3])
    @pytest.mark.parametrize("transposed", [False, True])
    def test_without_a_batch(self, rng, backend_name, rank, transposed):
        x, w = normal(rng, 4, *(5, 6, 4)[:rank]), normal(rng, 4, 4, *(2, 3, 2)[:rank])
        name = f"conv_transpose{rank}d" if transposed else f"conv{rank}d"
        ours = getattr(T if transposed else C, name)(t(x), t(w), stride=2)
        same(ours, getattr(F, name)(torch.from_numpy(x), torch.from_numpy(w), stride=2))

    def test_without_images(self, backend_name):
        y = C.conv2d(tinymed.zeros(0, 3, 8, 8), tinymed.zeros(5, 3, 3, 3), tinymed.zeros(5))
        assert y.shape == (0, 5, 6, 6)

    def test_output_padding_beyond_the_stride(self, rng, backend_name):
        """Smaller than the dilation is enough: the last row may be one that no tap reaches."""
        x, w, b = normal(rng, 1, 2, 4, 4), normal(rng, 2, 3, 2, 2), normal(rng, 3)
        ours = T.conv_transpose2d(t(x), t(w), t(b), stride=1, output_padding=2, dilation=3)
        same(ours, F.conv_transpose2d(*map(torch.from_numpy, (x, w, b)), 1, 0, 2, 1, 3))


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "expected"),
    [
        ((224, 224), (3, 3), 2, ((0, 1), (0, 1))),
        ((7, 5), (3, 2), 1, ((1, 1), (0, 1))),
        ((5, 6), (1, 1), 3, ((0, 0), (0, 0))),
        ((9,), (5,), 4, ((2, 2),)),
        ((10,), (2,), 4, ((0, 0),)),
    ],
)
def test_same_padding_is_tensorflows(size, kernel, stride, expected):
    """tf.nn: total = max((ceil(n / s) - 1) s + k - n, 0), the odd one at the end."""
    assert same_padding(size, kernel, stride) == expected
    pixels = [(n + sum(p) - k) // stride + 1 for n, p, k in zip(size, expected, kernel, strict=True)]
    assert pixels == [-(-n // stride) for n in size]


@pytest.mark.parametrize("groups", [1, 3])
def test_the_second_way_to_see_it(rng, groups):
    """Unfolding windows into columns and one matrix product give what the sum over taps gives."""
    x, w, b = rng.standard_normal((2, 6, 9, 7)), rng.standard_normal((9, 6 // groups, 3, 2)), rng.standard_normal(9)
    how = (2, 1), ((1, 0), (2, 1)), (2, 1), groups
    np.testing.assert_allclose(
        C.conv2d_im2col(np, x, w, b, *how), C.conv2d_forward(np, x, w, b, *how), rtol=1e-12, atol=1e-12
    )


def zeros(*shape, dtype=np.float32):
    return tinymed.zeros(*shape, dtype=dtype)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: C.conv2d(zeros(1, 3, 8, 8), zeros(5, 4, 3, 3)), r"input has 3 channels, .* expects 4 \(groups=1\)"),
        (lambda: C.conv2d(zeros(1, 4, 8, 8), zeros(5, 2, 3, 3), groups=2), "groups=2 does not divide the 5 output"),
        (lambda: C.conv2d(zeros(1, 4, 8, 8), zeros(5, 4, 3, 3), groups=0), "groups is 0"),
        (lambda: C.conv2d(zeros(1, 1, 2, 8), zeros(1, 1, 3, 3)), r"kernel covers \[3, 3\] pixels .* has \[2, 8\]"),
        (lambda: C.conv2d(zeros(1, 1, 4, 4), zeros(1, 1, 3, 3), dilation=2), r"kernel covers \[5, 5\]"),
        (
            lambda: C.conv2d(zeros(1, 1, 8, 8), zeros(1, 1, 3, 3), stride=2, padding="same"),
            "takes stride 1.*same_padding",
        ),
        (lambda: C.conv2d(zeros(1, 1, 8, 8), zeros(1, 1, 3, 3), padding="full"), '"same", "valid"'),
        (lambda: C.conv2d(zeros(1, 1, 8, 8), zeros(1, 1, 3, 3), padding=-1), "padding is -1"),
        (lambda: C.conv2d(zeros(1, 1, 8, 8), zeros(1, 1, 3, 3), padding=((1, 1),)), "one for each of 2 axes"),
        (lambda: C.conv2d(zeros(1, 1, 8, 8), zeros(1, 1, 3, 3), stride=0), "stride is 0"),
        (lambda: C.conv2d(zeros(1, 1, 8, 8), zeros(1, 1, 3, 3), stride=(1, 1, 1)), "a tuple of 2"),
        (lambda: C.conv2d(zeros(1, 1, 8, 8), zeros(1, 1, 3, 3), zeros(2)), r"bias has shape \[2\]; it takes \[1\]"),
        (lambda: C.conv2d(zeros(8, 8), zeros(1, 1, 3, 3)), r"input has shape \[8, 8\]; it takes \(N, C, H, W\)"),
        (lambda: C.conv2d(zeros(1, 1, 8, 8), zeros(1, 1, 3)), "weight has shape"),
        (lambda: C.conv2d(zeros(1, 1, 8, 8), zeros(1, 1, 3, 3, dtype=np.float64)), "must have one dtype"),
        (lambda: C.conv2d(zeros(1, 1, 8, 8, dtype=np.int64), zeros(1, 1, 3, 3)), "floating-point"),
        (lambda: C.conv2d(zeros(1, 1, 0, 8), zeros(1, 1, 1, 1)), "only the batch axis may be empty"),
        (lambda: C.conv1d(zeros(1, 2, 8), zeros(1, 3, 3)), "conv1d: input has 2 channels"),
        (lambda: C.conv3d(zeros(1, 1, 8, 8), zeros(1, 3, 3, 3, 3)), "conv3d: input has 1 channels"),
        (lambda: T.conv_transpose2d(zeros(1, 3, 4, 4), zeros(2, 3, 2, 2)), "input has 3 channels, weight .* expects 2"),
        (
            lambda: T.conv_transpose2d(zeros(1, 2, 4, 4), zeros(2, 3, 2, 2), stride=2, output_padding=2),
            "output_padding is",
        ),
        (lambda: T.conv_transpose2d(zeros(1, 2, 1, 1), zeros(2, 3, 2, 2), padding=1), r"output would have \[0, 0\]"),
    ],
)
def test_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(("k", "c", "size", "groups"), [(5, 3, 3, 1), (33, 70, 2, 1), (64, 6, 1, 2), (96, 40, 3, 3)])
def test_a_filter_packed_and_turned_at_once(rng, k, c, size, groups):
    table = dispatch.table("numba")
    w = table.canonical(normal(rng, k, c, size, size), (2, 3, 1, 0))
    expected = table.pack_filter(table.flip_transpose_filter(w, groups), groups)
    np.testing.assert_array_equal(table.pack_flipped_filter(w, groups), expected)
