// A product by tiles in shared memory and in registers; P as in shared_tile.cuh.
//
// In shared_tile.cuh each multiplication needs two numbers from shared memory, which then sets the pace.  Here a thread
// owns 4 x 4 sums: eight numbers, read by two 16-byte accesses, serve sixteen multiplications.  A block of 256 threads
// owns 64 x 64 sums, so each number from global memory is used 64 times.
#pragma once
#include "launch.h"

namespace ladder {
constexpr int TILE = 64, DEPTH = 16, THREADS = 256;

template <class P>
__global__ void __launch_bounds__(THREADS) register_tile_kernel(P p) {
    __shared__ __align__(16) float as[DEPTH][TILE + 4], bs[DEPTH][TILE + 4];
    int t = threadIdx.x, m0 = blockIdx.x * TILE, n0 = blockIdx.y * TILE, ty = t / 16 * 4, tx = t % 16 * 4;
    float sum[4][4] = {};
    for (int k0 = 0; k0 < p.depth; k0 += DEPTH) {
        for (int e = t; e < TILE * DEPTH; e += THREADS) {
            int m = P::A_DEEP ? e / DEPTH : e % TILE, ka = P::A_DEEP ? e % DEPTH : e / TILE;
            int n = P::B_DEEP ? e / DEPTH : e % TILE, kb = P::B_DEEP ? e % DEPTH : e / TILE;
            as[ka][m] = m0 + m < p.rows && k0 + ka < p.depth ? p.a(m0 + m, k0 + ka) : 0;
            bs[kb][n] = n0 + n < p.columns && k0 + kb < p.depth ? p.b(k0 + kb, n0 + n) : 0;
        }
        __syncthreads();
#pragma unroll
        for (int k = 0; k < DEPTH; ++k) {
            float4 a = *reinterpret_cast<float4*>(&as[k][ty]), b = *reinterpret_cast<float4*>(&bs[k][tx]);
            float x[4] = {a.x, a.y, a.z, a.w}, w[4] = {b.x, b.y, b.z, b.w};
#pragma unroll
            for (int i = 0; i < 4; ++i)
#pragma unroll
                for (int j = 0; j < 4; ++j) sum[i][j] += x[i] * w[j];
        }
        __syncthreads();
    }
    for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j)
            if (m0 + ty + i < p.rows && n0 + tx + j < p.columns) p.y(m0 + ty + i, n0 + tx + j) = sum[i][j];
}

template <class P>
void register_tile(const P& p, cudaStream_t stream) {
    LAUNCH((register_tile_kernel<P>), dim3(blocks(p.rows, TILE), blocks(p.columns, TILE)), THREADS, 0, stream, p);
}
}  // namespace ladder
