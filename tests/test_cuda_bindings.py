"""What a launcher's call reads of its arguments: of CuPy's arrays each attribute once, by names made once."""

from collections import Counter

import numpy as np
import pytest
from conftest import absence

from tinymed.cuda import emulated

pytestmark = pytest.mark.skipif(bool(absence("emulated")), reason=f"backend emulated: {absence('emulated')}")


class Pointer:
    """Where an array begins, as CuPy's `data` says it."""

    def __init__(self, address):
        self.ptr = address


class Counting:
    """An array that is like CuPy's, and knows which of its attributes were asked for."""

    def __init__(self, a, **changed):
        known = {"data": Pointer(a.ctypes.data), "dtype": a.dtype, "shape": a.shape, "_c_contiguous": True}
        self.__dict__.update(known | changed, kept=a, asked=Counter())

    def __getattribute__(self, name):
        if name not in ("asked", "__dict__", "__class__"):
            object.__getattribute__(self, "asked")[name] += 1
        return object.__getattribute__(self, name)


@pytest.fixture
def relu():
    emulated.load()
    return emulated.module.part("relu_forward").relu_forward


@pytest.fixture
def arrays():
    return emulated.empty((2, 3), np.float32), emulated.placed(np.array([[-1, 2, -3], [4, -5, 6]], np.float32))


def test_each_attribute_is_read_once(relu, arrays):
    y, x = map(Counting, arrays)
    relu(0, y, x)
    assert arrays[0].tolist() == [[0, 2, 0], [4, 0, 6]]
    assert x.asked == y.asked == {"data": 1, "dtype": 1, "shape": 1, "_c_contiguous": 1}


class Flags:
    c_contiguous = True


def test_an_array_without_cupys_own_attribute_has_flags(relu, arrays):
    x = Counting(arrays[1], flags=Flags)
    del x.__dict__["_c_contiguous"]
    relu(0, arrays[0], x)
    assert x.asked["flags"] == 1


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"dtype": np.dtype(np.float64)}, TypeError, "relu_forward: x must be float32, got float64"),
        ({"dtype": np.dtype(np.int32)}, TypeError, "relu_forward: x must be float32, got int32"),
        ({"_c_contiguous": False}, ValueError, "relu_forward: x must be C-contiguous"),
        ({"data": b"bytes"}, TypeError, "relu_forward: x must be an array on the device, got <class"),
        ({"shape": (1,) * 9}, ValueError, "relu_forward: x has more than 8 axes"),
        ({"shape": (2, "3")}, TypeError, "relu_forward: x must be a number or a tuple of integers"),
        ({"shape": (2, 1 << 70)}, TypeError, "relu_forward: x must be a number or a tuple of integers"),
        ({"shape": (2, 2)}, ValueError, "relu_forward: an input has 4 elements, the output 6"),
    ],
)
def test_what_is_no_such_array_is_refused(changed, error, said, relu, arrays):
    relu(0, *map(Counting, arrays))  # float32 is known by now
    with pytest.raises(error, match=said):
        relu(0, arrays[0], Counting(arrays[1], **changed))


def test_other_arguments(relu, arrays):
    with pytest.raises(TypeError, match="relu_forward takes 2 arguments after the stream, got 0"):
        relu()
    with pytest.raises(TypeError, match="relu_forward: x must be an array, got None"):
        relu(0, arrays[0], None)
    with pytest.raises(TypeError, match="takes no keyword arguments"):
        relu(0, y=arrays[0], x=arrays[1])
    module = emulated.module.part("leaky_relu_forward")
    module.leaky_relu_forward(0, *arrays, np.float32(0.5))  # a number that is no Python float
    assert arrays[0].tolist() == [[-0.5, 2, -1.5], [4, -2.5, 6]]
    with pytest.raises(TypeError, match="leaky_relu_forward: slope must be a number or a tuple"):
        module.leaky_relu_forward(0, *arrays, "steep")
