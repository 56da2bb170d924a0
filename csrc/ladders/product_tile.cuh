// The products of all 16 places by tiles of 32 x 32 in shared memory, 4 x 4 sums a thread: of rungs 2 and 3.
#pragma once
#include "winograd.cuh"

namespace ladder {
constexpr int PRODUCT_TILE = 32, PRODUCT_SIDE = 8, PRODUCT_THREADS = PRODUCT_SIDE * PRODUCT_SIDE;

// m[place][tile][filter] = sum over channels of v[place][tile][channel] u[place][channel][filter]
static __global__ void __launch_bounds__(PRODUCT_THREADS)
    product_kernel(float* m, const float* v, const float* u, Tiles tiles) {
    __shared__ float a[PRODUCT_TILE][PRODUCT_TILE + 1], b[PRODUCT_TILE][PRODUCT_TILE];
    int t = threadIdx.x, tx = t % PRODUCT_SIDE, ty = t / PRODUCT_SIDE, place = blockIdx.z;
    int tile0 = blockIdx.x * PRODUCT_TILE, filter0 = blockIdx.y * PRODUCT_TILE;
    v += int64_t(place) * tiles.count * tiles.channels;
    u += place * tiles.channels * tiles.filters;
    float sum[4][4] = {};
    for (int c0 = 0; c0 < tiles.channels; c0 += PRODUCT_TILE) {
        __syncthreads();
        for (int k = t; k < PRODUCT_TILE * PRODUCT_TILE; k += PRODUCT_THREADS) {
            int line = k / PRODUCT_TILE, at = k % PRODUCT_TILE;
            bool row = tile0 + line < tiles.count && c0 + at < tiles.channels;
            bool column = c0 + line < tiles.channels && filter0 + at < tiles.filters;
            a[line][at] = row ? v[(tile0 + line) * tiles.channels + c0 + at] : 0;
            b[line][at] = column ? u[(c0 + line) * tiles.filters + filter0 + at] : 0;
        }
        __syncthreads();
        for (int c = 0; c < PRODUCT_TILE; ++c) {
            float left[4], right[4];
#pragma unroll
            for (int i = 0; i < 4; ++i) left[i] = a[ty + PRODUCT_SIDE * i][c], right[i] = b[c][tx + PRODUCT_SIDE * i];
#pragma unroll
            for (int i = 0; i < 4; ++i)
#pragma unroll
                for (int j = 0; j < 4; ++j) sum[i][j] += left[i] * right[j];
        }
    }
    m += int64_t(place) * tiles.count * tiles.filters;
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            int tile = tile0 + ty + PRODUCT_SIDE * i, filter = filter0 + tx + PRODUCT_SIDE * j;
            if (tile < tiles.count && filter < tiles.filters) m[tile * tiles.filters + filter] = sum[i][j];
        }
}

inline void multiply(float* m, const float* v, const float* u, const Tiles& tiles, cudaStream_t stream) {
    LAUNCH(product_kernel, dim3(blocks(tiles.count, PRODUCT_TILE), blocks(tiles.filters, PRODUCT_TILE), PLACES),
           PRODUCT_THREADS, 0, stream, m, v, u, tiles);
}
}  // namespace ladder
