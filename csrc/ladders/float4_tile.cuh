// register_tile.cuh's product, its tiles brought by loads of 16 bytes; P as in four.cuh.
//
// A thread brings four neighbours of a and four of b by two instructions, where register_tile.cuh needs eight, each
// with an address of its own.  What it costs: a lies along the depth and its tile across, so that four stores scatter
// what one load brought, and neighbouring lanes store to the same bank.
#pragma once
#include "four.cuh"

namespace ladder {
namespace float4_tile_of {
constexpr int TILE = 64, DEPTH = 16, THREADS = 256;

template <class P>
__global__ void __launch_bounds__(THREADS) float4_tile_kernel(P p) {
    __shared__ __align__(16) float as[DEPTH][TILE + 4], bs[DEPTH][TILE + 4];
    int t = threadIdx.x, m0 = blockIdx.x * TILE, n0 = blockIdx.y * TILE, row = t / 16 * 4, column = t % 16 * 4;
    int m = t / 4, ka = t % 4 * 4, kb = t / 16, n = t % 16 * 4;
    float sum[4][4] = {};
    for (int k0 = 0; k0 < p.depth; k0 += DEPTH) {
        float4 a = four_of_a(p, m0 + m, k0 + ka);
        as[ka][m] = a.x, as[ka + 1][m] = a.y, as[ka + 2][m] = a.z, as[ka + 3][m] = a.w;
        *reinterpret_cast<float4*>(&bs[kb][n]) = four_of_b(p, k0 + kb, n0 + n);
        __syncthreads();
#pragma unroll
        for (int k = 0; k < DEPTH; ++k)
            multiply_four(sum, *reinterpret_cast<float4*>(&as[k][row]), *reinterpret_cast<float4*>(&bs[k][column]));
        __syncthreads();
    }
    write_four(p, m0 + row, n0 + column, sum);
}
}  // namespace float4_tile_of

template <class P>
void float4_tile(const P& p, cudaStream_t stream) {
    using namespace float4_tile_of;
    LAUNCH((float4_tile_kernel<P>), dim3(blocks(p.rows, TILE), blocks(p.columns, TILE)), THREADS, 0, stream, p);
}
}  // namespace ladder
