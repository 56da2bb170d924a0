// swizzle_tile.cuh's product with two buffers: the next tiles are on their way while these are multiplied; P as in
// four.cuh.
//
// The loads of the next step are issued first and stored last, so that the multiplications hide their latency; and
// since they are stored in the other buffer, one barrier a step suffices.
#pragma once
#include "four.cuh"

namespace ladder {
namespace buffer_tile_of {
constexpr int TILE = 64, DEPTH = 16, THREADS = 256;

__device__ __forceinline__ int swizzled(int m, int k) { return m ^ k / 4 * 8; }

template <class P>
__global__ void __launch_bounds__(THREADS) buffer_tile_kernel(P p) {
    __shared__ __align__(16) float as[2][DEPTH][TILE], bs[2][DEPTH][TILE];
    int t = threadIdx.x, m0 = blockIdx.x * TILE, n0 = blockIdx.y * TILE, row = t / 16 * 4, column = t % 16 * 4;
    int m = t / 4, ka = t % 4 * 4, kb = t / 16, n = t % 16 * 4, at = swizzled(m, ka);
    auto store = [&](int half, const float4& a, const float4& b) {
        as[half][ka][at] = a.x, as[half][ka + 1][at] = a.y, as[half][ka + 2][at] = a.z, as[half][ka + 3][at] = a.w;
        *reinterpret_cast<float4*>(&bs[half][kb][n]) = b;
    };
    float sum[4][4] = {};
    store(0, four_of_a(p, m0 + m, ka), four_of_b(p, kb, n0 + n));
    __syncthreads();
    for (int k0 = 0, half = 0; k0 < p.depth; k0 += DEPTH, half ^= 1) {
        float4 a = four_of_a(p, m0 + m, k0 + DEPTH + ka), b = four_of_b(p, k0 + DEPTH + kb, n0 + n);
#pragma unroll
        for (int k = 0; k < DEPTH; ++k)
            multiply_four(sum, *reinterpret_cast<float4*>(&as[half][k][swizzled(row, k)]),
                          *reinterpret_cast<float4*>(&bs[half][k][column]));
        store(half ^ 1, a, b);
        __syncthreads();
    }
    write_four(p, m0 + row, n0 + column, sum);
}
}  // namespace buffer_tile_of

template <class P>
void buffer_tile(const P& p, cudaStream_t stream) {
    using namespace buffer_tile_of;
    LAUNCH((buffer_tile_kernel<P>), dim3(blocks(p.rows, TILE), blocks(p.columns, TILE)), THREADS, 0, stream, p);
}
}  // namespace ladder
