// Matrix product, rung 15: tiles visited in squares, raster_tile.cuh.
//
// Blocks that run together share more of what they read, so that more of it is found in the L2 cache.  The next rungs
// are the shipped kernels: tables in the place of divisions, larger tiles, transposed operands, and a choice among
// them.
#include "raster_tile.cuh"

#include "matrices.cuh"

void matmul_15_raster(Out<float> y, In<float> a, In<float> b, cudaStream_t stream) {
    ladder::raster_tile(ladder::matrices(y, a, b), stream);
}
BIND(matmul_15_raster, "y a b");
