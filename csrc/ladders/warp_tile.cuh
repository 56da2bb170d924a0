// buffer_tile.cuh's product, its sums dealt out by warps: 8 x 8 a thread, 32 x 64 a warp; P as in four.cuh.
//
// In a step of the depth a warp reads 32 numbers of a and 64 of b, all different, and multiplies 2048 times; in
// buffer_tile.cuh it reads 8 and 64 and multiplies 512 times.  Lanes that read the same numbers of a are neighbours,
// and those that read neighbours of b as well, so no read waits for another.
#pragma once
#include "four.cuh"

namespace ladder {
namespace warp_tile_of {
constexpr int TILE = 128, DEPTH = 8, THREADS = 256;

__device__ __forceinline__ int swizzled(int m, int k) { return m ^ k / 4 * 16; }

template <class P>
__global__ void __launch_bounds__(THREADS) warp_tile_kernel(P p) {
    __shared__ __align__(16) float as[2][DEPTH][TILE], bs[2][DEPTH][TILE];
    int t = threadIdx.x, warp = t / 32, lane = t % 32, m0 = blockIdx.x * TILE, n0 = blockIdx.y * TILE;
    int row = warp / 2 * 32 + lane / 8 * 4, column = warp % 2 * 64 + lane % 8 * 4;  // and 16 rows, 32 columns on
    int m = t / 2, ka = t % 2 * 4, kb = t / 32, n = t % 32 * 4, at = swizzled(m, ka);
    auto store = [&](int half, const float4& a, const float4& b) {
        as[half][ka][at] = a.x, as[half][ka + 1][at] = a.y, as[half][ka + 2][at] = a.z, as[half][ka + 3][at] = a.w;
        *reinterpret_cast<float4*>(&bs[half][kb][n]) = b;
    };
    float sum[2][2][4][4] = {};
    store(0, four_of_a(p, m0 + m, ka), four_of_b(p, kb, n0 + n));
    __syncthreads();
    for (int k0 = 0, half = 0; k0 < p.depth; k0 += DEPTH, half ^= 1) {
        float4 a = four_of_a(p, m0 + m, k0 + DEPTH + ka), b = four_of_b(p, k0 + DEPTH + kb, n0 + n);
#pragma unroll
        for (int k = 0; k < DEPTH; ++k) {
            float4 rows[2], columns[2];
#pragma unroll
            for (int i = 0; i < 2; ++i) {
                rows[i] = *reinterpret_cast<float4*>(&as[half][k][swizzled(row + 16 * i, k)]);
                columns[i] = *reinterpret_cast<float4*>(&bs[half][k][column + 32 * i]);
            }
#pragma unroll
            for (int i = 0; i < 2; ++i)
#pragma unroll
                for (int j = 0; j < 2; ++j) multiply_four(sum[i][j], rows[i], columns[j]);
        }
        store(half ^ 1, a, b);
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 2; ++i)
#pragma unroll
        for (int j = 0; j < 2; ++j) write_four(p, m0 + row + 16 * i, n0 + column + 32 * j, sum[i][j]);
}
}  // namespace warp_tile_of

template <class P>
void warp_tile(const P& p, cudaStream_t stream) {
    using namespace warp_tile_of;
    LAUNCH((warp_tile_kernel<P>), dim3(blocks(p.rows, TILE), blocks(p.columns, TILE)), THREADS, 0, stream, p);
}
}  // namespace ladder
