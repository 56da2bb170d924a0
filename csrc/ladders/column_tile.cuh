// A product by tiles in shared memory, eight sums of a column a thread; P as in shared_tile.cuh.
//
// In shared_tile.cuh each multiplication reads two numbers of shared memory.  Here a number of b, once read, is
// multiplied with eight of a: nine reads serve eight multiplications.
#pragma once
#include "launch.h"

namespace ladder {
constexpr int SPAN = 64, SHALLOW = 8, EACH = 8;

template <class P>
__global__ void __launch_bounds__(SPAN* SPAN / EACH) column_tile_kernel(P p) {
    __shared__ float as[SPAN][SHALLOW + 1], bs[SHALLOW][SPAN];
    int t = threadIdx.x, m0 = blockIdx.x * SPAN, n0 = blockIdx.y * SPAN;
    int column = t % SPAN, row = t / SPAN * EACH, m = t / SHALLOW, ka = t % SHALLOW, kb = t / SPAN;
    float sum[EACH] = {};
    for (int k0 = 0; k0 < p.depth; k0 += SHALLOW) {
        // 512 threads and two tiles of 512 numbers: one of each for every thread.
        as[m][ka] = m0 + m < p.rows && k0 + ka < p.depth ? p.a(m0 + m, k0 + ka) : 0;
        bs[kb][column] = n0 + column < p.columns && k0 + kb < p.depth ? p.b(k0 + kb, n0 + column) : 0;
        __syncthreads();
#pragma unroll
        for (int k = 0; k < SHALLOW; ++k) {
            float b = bs[k][column];
#pragma unroll
            for (int i = 0; i < EACH; ++i) sum[i] += as[row + i][k] * b;
        }
        __syncthreads();
    }
    for (int i = 0; i < EACH; ++i)
        if (m0 + row + i < p.rows && n0 + column < p.columns) p.y(m0 + row + i, n0 + column) = sum[i];
}

template <class P>
void column_tile(const P& p, cudaStream_t stream) {
    LAUNCH((column_tile_kernel<P>), dim3(blocks(p.rows, SPAN), blocks(p.columns, SPAN)), SPAN* SPAN / EACH, 0, stream,
           p);
}
}  // namespace ladder
