// Winograd's convolution of 3 x 3, rung 5: the output's transform, the bias and ReLU before anything is stored.
//
// The 16 sums of a number lie with 16 threads, which hand them over in shared memory, 8 filters at a time.  One launch,
// and of all between x and y nothing in memory: m had four numbers written and read for each number of y, and y itself
// was written, read and written again.
#include "fused_tile.cuh"

namespace {
using namespace ladder;

union Shared {
    FusedTile tile;
    float sums[PLACES][FUSED * 8 + 16];  // [tile][8 filters]
};

__global__ void __launch_bounds__(WINOGRAD_THREADS, 2)
    epilogue_kernel(float* y, const float* x, const float* u, const float* bias, Tiles tiles) {
    __shared__ Shared s;
    int t = threadIdx.x, tile0 = blockIdx.x * FUSED, filter0 = blockIdx.y * FUSED;
    float sum[16][4] = {};
    multiply(sum, s.tile, x, u, tiles, tile0, filter0);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
        __syncthreads();
#pragma unroll
        for (int i = 0; i < 16; ++i) s.sums[t / 16][first(i) * 8 + t % 8] = sum[i][j];
        __syncthreads();
        int tile = tile0 + t / 8, filter = filter0 + 8 * j + t % 8;
        if (tile >= tiles.count || filter >= tiles.filters) continue;
        float all[4][4], four[2][2];
#pragma unroll
        for (int p = 0; p < PLACES; ++p) all[p / 4][p % 4] = s.sums[p][t];
        transform_sums(four, all);
        float b = bias[filter];
#pragma unroll
        for (int k = 0; k < 4; ++k) {
            float& one = four[k / 2][k % 2];
            one = one + b < 0 ? 0 : one + b;  // a NaN stays
        }
        tiles.write(y, four, tile, filter);
    }
}
}  // namespace

void winograd_5_epilogue(Out<float> y, In<float> x, In<float> u, In<float> bias, cudaStream_t stream) {
    Tiles tiles("winograd_5_epilogue", y.shape, x.shape, bias.shape);
    LAUNCH(epilogue_kernel, dim3(blocks(tiles.count, FUSED), blocks(tiles.filters, FUSED)), WINOGRAD_THREADS, 0, stream,
           y.data, x.data, u.data, bias.data, tiles);
}
BIND(winograd_5_epilogue, "y x u bias");
