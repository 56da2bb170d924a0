// Winograd's convolution of 3 x 3, rung 4: the product transforms the patches as it reads them (fused_tile.cuh).
//
// v is not stored: 16 numbers written for each number of a tile, and read for every 32 filters.  The patches are read
// for every 32 filters in their place, and they overlap, so that a cache has most of what a block asks for.
#include "fused_tile.cuh"

namespace {
using namespace ladder;

__global__ void __launch_bounds__(WINOGRAD_THREADS, 2)
    fused_kernel(float* m, const float* x, const float* u, Tiles tiles) {
    __shared__ FusedTile s;
    int tile0 = blockIdx.x * FUSED, filter0 = blockIdx.y * FUSED;
    float sum[16][4] = {};
    multiply(sum, s, x, u, tiles, tile0, filter0);
    m += int64_t(threadIdx.x / 16) * tiles.count * tiles.filters;
#pragma unroll
    for (int i = 0; i < 16; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            int tile = tile0 + first(i), filter = filter0 + second(j);
            if (tile < tiles.count && filter < tiles.filters) m[tile * tiles.filters + filter] = sum[i][j];
        }
}
}  // namespace

void winograd_4_fused(Out<float> y, Work<float> m, In<float> x, In<float> u, In<float> bias, cudaStream_t stream) {
    Tiles tiles("winograd_4_fused", y.shape, x.shape, bias.shape);
    LAUNCH(fused_kernel, dim3(blocks(tiles.count, FUSED), blocks(tiles.filters, FUSED)), WINOGRAD_THREADS, 0, stream,
           m.data, x.data, u.data, tiles);
    transform_output(y, m.data, bias, tiles, stream);
}
BIND(winograd_4_fused, "y m x u bias");
