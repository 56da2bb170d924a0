// Convolution, rung 15: tiles visited in squares, raster_tile.cuh.
//
// Blocks that run together share more of what they read, so that more of it is found in the L2 cache.  The next rungs
// are the shipped kernels: tables in the place of divisions, larger tiles, transposed operands, and a choice among
// them.
#include "raster_tile.cuh"

#include "windows.cuh"

void conv2d_15_raster(Out<float> y, In<float> x, In<float> weight, Lengths, Lengths stride, Lengths before,
                      cudaStream_t stream) {
    ladder::Conv s("conv2d_15_raster", x.shape, weight.shape, y.shape, stride, before);
    ladder::raster_tile(ladder::windows(y, x, weight, s), stream);
}
BIND(conv2d_15_raster, "y x weight size stride before");
