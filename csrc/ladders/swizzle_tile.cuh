// float4_tile.cuh's product, its tile of a stored where no two lanes share a bank; P as in four.cuh.
//
// A lane stores column m of depth k in column m ^ 8 (k / 4): eight lanes have the same k / 4 and eight neighbouring m,
// so 32 lanes meet 32 banks.  Readers flip the same bits.  No word of padding is needed.
#pragma once
#include "four.cuh"

namespace ladder {
namespace swizzle_tile_of {
constexpr int TILE = 64, DEPTH = 16, THREADS = 256;

__device__ __forceinline__ int swizzled(int m, int k) { return m ^ k / 4 * 8; }

template <class P>
__global__ void __launch_bounds__(THREADS) swizzle_tile_kernel(P p) {
    __shared__ __align__(16) float as[DEPTH][TILE], bs[DEPTH][TILE];
    int t = threadIdx.x, m0 = blockIdx.x * TILE, n0 = blockIdx.y * TILE, row = t / 16 * 4, column = t % 16 * 4;
    int m = t / 4, ka = t % 4 * 4, kb = t / 16, n = t % 16 * 4, at = swizzled(m, ka);
    float sum[4][4] = {};
    for (int k0 = 0; k0 < p.depth; k0 += DEPTH) {
        float4 a = four_of_a(p, m0 + m, k0 + ka);
        as[ka][at] = a.x, as[ka + 1][at] = a.y, as[ka + 2][at] = a.z, as[ka + 3][at] = a.w;
        *reinterpret_cast<float4*>(&bs[kb][n]) = four_of_b(p, k0 + kb, n0 + n);
        __syncthreads();
#pragma unroll
        for (int k = 0; k < DEPTH; ++k)
            multiply_four(sum, *reinterpret_cast<float4*>(&as[k][swizzled(row, k)]),
                          *reinterpret_cast<float4*>(&bs[k][column]));
        __syncthreads();
    }
    write_four(p, m0 + row, n0 + column, sum);
}
}  // namespace swizzle_tile_of

template <class P>
void swizzle_tile(const P& p, cudaStream_t stream) {
    using namespace swizzle_tile_of;
    LAUNCH((swizzle_tile_kernel<P>), dim3(blocks(p.rows, TILE), blocks(p.columns, TILE)), THREADS, 0, stream, p);
}
}  // namespace ladder
