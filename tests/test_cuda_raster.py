"""Blocks that go across the columns first: the same bits, and a wide operand from memory once."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import absence
from test_cuda_conv import TF32, TILES, channels_last

from tinymed import dispatch
from tinymed.cuda import conv, emulated, tiles
from tinymed.cuda.gpus import GPUS
from tinymed.cuda.timing import dram_bytes, launch_of

pytestmark = pytest.mark.skipif(bool(absence("emulated")), reason=f"backend emulated: {absence('emulated')}")


@pytest.mark.parametrize("tile", TILES)
def test_the_same_bits(tile, rng):
    """Several tiles of rows and of columns; a convolution, and a gradient."""
    k, mixed = dispatch.table("emulated"), tile in tiles.BF16
    x, dy = (emulated.placed(channels_last(rng.normal(size=s))) for s in ((2, 16, 13, 11), (2, 264, 13, 11)))
    weight = rng.normal(size=(264, 16, 1, 1)).astype(np.float32)
    how, number = ((1, 1), (0, 0), (1, 1), 1), tiles.TILES.index(tile)
    made = []
    for flag in (0, tiles.ACROSS):
        if mixed:
            w = k.bf16_filters(weight, 1)
            y = k.bf16_conv2d_gemm(k.bf16_pixels(x, 1), w, None, (2, 264, 13, 11), *how, number | flag)
            dx = k.bf16_conv2d_gemm_input(k.bf16_pixels(dy, 1), w, x.shape, *how, number | flag, True)
        else:
            y = k.conv2d_gemm(x, weight, None, (13, 11), *how, number | flag)
            dx = k.conv2d_gemm_input(dy, weight, x.shape, *how, number | flag)
        made.append((y.tobytes(), dx.tobytes()))
    assert made[0] == made[1]


def test_where_it_pays():
    """ResNet-50's wide 1 x 1 products at batch 128; not the papers' layers, nor small ones."""
    chosen = {
        (n, rows, columns, depth): tiles.across(2, rows, columns, depth, n) != 2
        for n in (4, 2)
        for rows, columns, depth in (
            (401408, 256, 64),
            (25088, 256, 1024),
            (6272, 512, 2048),
            (401408, 64, 64),
            (3136, 256, 64),
            (1 << 23, 256, 64),
        )
    }
    wide = {shape[1:] for shape, across in chosen.items() if across and shape[0] == 4}
    assert wide == {(401408, 256, 64), (25088, 256, 1024), (6272, 512, 2048)}
    assert {shape[1:] for shape, across in chosen.items() if across and shape[0] == 2} == wide - {(6272, 512, 2048)}


def test_only_filters_of_one_pixel(monkeypatch):
    """The composites ask for those alone, and for one group."""
    asked = []
    monkeypatch.setattr(conv, "across", lambda tile, *sizes: asked.append(sizes) or tile)
    k = dispatch.table("emulated")
    x = np.zeros((1, 8, 6, 6), np.float32)
    for shape, groups, padding in (((12, 8, 1, 1), 1, 0), ((12, 8, 3, 3), 1, 1), ((12, 4, 1, 1), 2, 0)):
        how = (1, 1), ((padding, padding),) * 2, (1, 1), groups
        y = k.conv2d_forward(x, np.zeros(shape, np.float32), None, *how)
        k.conv2d_backward_input(y, np.zeros(shape, np.float32), x.shape, *how)
    assert asked == [(36, 12, 8), (36, 8, 12)]


def test_bytes_of_memory_by_the_model(rng):
    """Four columns of tiles, an operand that L2 does not hold: it is read once, not four times."""
    k, gpu = dispatch.table("emulated"), replace(GPUS["a100"], l2=1 << 20, sms=16)
    x = emulated.placed(channels_last(rng.normal(size=(1, 64, 128, 128))))  # 4.2 MB
    weight, moved = rng.normal(size=(256, 64, 1, 1)).astype(np.float32), []
    for flag in (0, tiles.ACROSS):
        with emulated.sampling(lines=False) as sampled:
            k.conv2d_gemm(x, weight, None, (128, 128), (1, 1), (0, 0), (1, 1), 1, tiles.TILES.index(TF32) | flag)
        *_, launch = map(launch_of, sampled())  # the filter was laid out before
        asked = launch.numbers["load_sectors"] * np.prod(launch.grid)
        moved.append(dram_bytes(launch, gpu, 4, asked) - 4 * 256 * 128 * 128)
    down, across = (m / x.nbytes for m in moved)
    assert down > 3.5
    assert across < 1.5
