"""One convolution at every altitude: the same numbers from seven loops to machine code.

    python examples/02_convolution.py

Teaches: what a convolution is (seven loops), and the ways of looking at it that make it fast: windows contracted with
the filters, a sum of shifted images, one matrix product over unfolded windows (im2col), and compiled loops over
register blocks.  `tinymed show conv2d` prints the engine's own kernels, `tinymed bench conv2d` times them.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tinymed import debug, random
from tinymed.dispatch import table
from tinymed.ops.conv import conv2d_im2col

Array = np.ndarray

# N images of C channels, H x W; O filters of KH x KW; padding 1 keeps the size: OH = H, OW = W.
N, C, O, H, W, KH, KW = 1, 16, 32, 32, 32, 3, 3
STRIDE, PADDING, DILATION, GROUPS = (1, 1), ((1, 1), (1, 1)), (1, 1), 1
HOW = STRIDE, PADDING, DILATION, GROUPS


def seven_loops(x: Array, weight: Array, bias: Array) -> Array:
    """Return the definition: every output pixel is the product of a filter with the window below it, summed up."""
    pixels, filters, biases = pad(x).tolist(), weight.tolist(), bias.tolist()  # lists: no array overhead per element
    y = np.zeros((N, O, H, W))
    for n in range(N):
        for o in range(O):
            for i in range(H):
                for j in range(W):
                    total = biases[o]
                    for c in range(C):
                        for r in range(KH):
                            for s in range(KW):
                                total += filters[o][c][r][s] * pixels[n][c][i + r][j + s]
                    y[n, o, i, j] = total
    return y


def windows_einsum(x: Array, weight: Array, bias: Array) -> Array:
    """Return the same sum as one line of index notation: windows is a view [n, c, i, j, r, s] that copies nothing."""
    windows = np.lib.stride_tricks.sliding_window_view(pad(x), (KH, KW), axis=(2, 3))
    return np.einsum("ncijrs,ocrs->noij", windows, weight, optimize=True) + bias[:, None, None]


def im2col(x: Array, weight: Array, bias: Array) -> Array:
    """Every window unfolded into a column of C KH KW numbers, then one matrix product: rows are filters."""
    return conv2d_im2col(np, x, weight, bias, *HOW)


def reference(x: Array, weight: Array, bias: Array) -> Array:
    """Return the engine's definition: for each of the KH KW taps, a shifted image times a C x O matrix."""
    return table("numpy").conv2d_forward(x, weight, bias, *HOW)


def compiled(x: Array, weight: Array, bias: Array) -> Array:
    """Return the engine's Numba kernel.

    Channels-last, filters packed into panels, a block of outputs held in registers.
    """
    return table("numba").conv2d_forward(x, weight, bias, *HOW)


def pad(x: Array) -> Array:
    """Zeros around every image."""
    return np.pad(x, ((0, 0), (0, 0), *PADDING))


def draw(*shape: int, step: int) -> Array:
    """Return standard normal float32 numbers."""
    return random.normal(int(np.prod(shape)), 0, random.NOISE, step).astype(np.float32).reshape(shape)


def best_time(call: Callable[[], Any], repeats: int) -> float:
    """Return the shortest of several runs in seconds: the least disturbed by other programs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    x, weight, bias = draw(N, C, H, W, step=0), draw(O, C, KH, KW, step=1), draw(O, step=2)
    multiplications = N * O * H * W * C * KH * KW
    print(f"x {list(x.shape)}, weight {list(weight.shape)}: {multiplications:,} multiplications\n")
    altitudes = [
        ("seven loops in Python", seven_loops, 1),
        ("windows, einsum", windows_einsum, 20),
        ("shifted images (reference)", reference, 20),
        ("im2col, matrix product", im2col, 20),
        ("Numba kernel", compiled, 50),
    ]
    print(f"{'altitude':28s} {'ms':>10s} {'times faster':>13s} {'GFLOP/s':>9s}   error, of the largest value")
    true = seven_loops(x.astype(np.float64), weight.astype(np.float64), bias.astype(np.float64))
    seconds: dict[str, float] = {}
    for title, way, repeats in altitudes:
        y = way(x, weight, bias)  # once before timing: Numba compiles at the first call
        seconds[title] = best_time(lambda way=way: way(x, weight, bias), repeats)
        difference = np.abs(y - true).max() / np.abs(true).max()
        faster = seconds["seven loops in Python"] / seconds[title]
        rate = 2e-9 * multiplications / seconds[title]  # a multiplication and an addition each
        print(f"{title:28s} {1e3 * seconds[title]:10.3f} {faster:13,.0f} {rate:9.2f}   {difference:.1e}")
        assert y.shape == true.shape
        assert difference < 1e-5, f"{title} is not the same convolution"

    print("\nThe Numba kernel is composed of kernels; TINYMED_DEBUG=1 prints such lines for a whole training:\n")
    with debug.kernel_log(print):
        compiled(x, weight, bias)
    print("\n`canonical` brings an array into channels-last order; inside a network it already lies so.")
    print("Read them all with `tinymed show conv2d`; time them with `tinymed bench conv2d`.")
    print("\nLesson: all five add up the same products; speed is the order in which memory is visited.")


if __name__ == "__main__":
    main()
