// 32 tiles by 32 filters of all 16 places at once, the patches transformed as they are read: of rungs 4 and 5.
//
// A block needs all places of its tiles, or each place would read the patches again.  16 threads share a place, 16 x 4
// sums each.  Places begin 4 words, or 8, after a multiple of 32, so that the two of a warp meet in no bank.
#pragma once
#include "winograd.cuh"

namespace ladder {
constexpr int FUSED = 32, DEPTH = 8;  // tiles and filters; channels at a time

struct FusedTile {
    float v[PLACES][FUSED * DEPTH + 4];  // [tile][channel]
    float u[PLACES][DEPTH * FUSED + 8];  // [channel][filter]
};

// sum[i][j]: of place threadIdx.x / 16, tile first(i) of the block, filter second(j).
__device__ inline int first(int i) { return threadIdx.x % 16 / 8 + 2 * i; }
__device__ inline int second(int j) { return threadIdx.x % 8 + 8 * j; }

__device__ inline void multiply(float (&sum)[16][4], FusedTile& s, const float* x, const float* u, const Tiles& tiles,
                                int tile0, int filter0) {
    int t = threadIdx.x, place = t / 16;
    for (int c0 = 0; c0 < tiles.channels; c0 += DEPTH) {
        __syncthreads();
        float d[4][4];
        tiles.read_patch(d, x, tile0 + t / DEPTH, c0 + t % DEPTH);
        transform_patch(d);
#pragma unroll
        for (int p = 0; p < PLACES; ++p) s.v[p][t] = d[p / 4][p % 4];
        int c = c0 + t / FUSED, filter = filter0 + t % FUSED;
        bool inside = c < tiles.channels && filter < tiles.filters;
#pragma unroll
        for (int p = 0; p < PLACES; ++p)
            s.u[p][t] = inside ? u[(p * tiles.channels + c) * tiles.filters + filter] : 0;
        __syncthreads();
#pragma unroll 1  // unrolled, it takes 177 registers, and one block fills a multiprocessor
        for (int k = 0; k < DEPTH; ++k) {
            float right[4];
#pragma unroll
            for (int j = 0; j < 4; ++j) right[j] = s.u[place][k * FUSED + second(j)];
#pragma unroll
            for (int i = 0; i < 16; ++i) {
                float left = s.v[place][first(i) * DEPTH + k];
#pragma unroll
                for (int j = 0; j < 4; ++j) sum[i][j] += left * right[j];
            }
        }
    }
}
}  // namespace ladder
