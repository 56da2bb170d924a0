// A product by tiles in shared memory, for every ladder that has such a rung: y(m, n) = sum over k of a(m, k) b(k, n).
//
// A block of 16 x 16 threads owns a tile of 16 x 16 sums; each step brings a tile of a and one of b to shared memory,
// where each number is used 16 times.  Global memory gives a sixteenth of what a thread for itself would ask for.
//
// P: rows, columns, depth; a(m, k), b(k, n), y(m, n) as functions; A_DEEP, B_DEEP: contiguous along the depth.
#pragma once
#include "launch.h"

namespace ladder {
constexpr int SIDE = 16;

template <class P>
__global__ void __launch_bounds__(SIDE* SIDE) shared_tile_kernel(P p) {
    __shared__ float as[SIDE][SIDE + 1],
        bs[SIDE][SIDE + 1];  // [m][k] and [k][n]; a word more spreads columns over banks
    int tx = threadIdx.x, ty = threadIdx.y, m0 = blockIdx.x * SIDE, n0 = blockIdx.y * SIDE;
    float sum = 0;
    for (int k0 = 0; k0 < p.depth; k0 += SIDE) {
        // Neighbouring threads read along the direction in which an operand is contiguous.
        int m = P::A_DEEP ? ty : tx, ka = P::A_DEEP ? tx : ty, n = P::B_DEEP ? ty : tx, kb = P::B_DEEP ? tx : ty;
        as[m][ka] = m0 + m < p.rows && k0 + ka < p.depth ? p.a(m0 + m, k0 + ka) : 0;
        bs[kb][n] = n0 + n < p.columns && k0 + kb < p.depth ? p.b(k0 + kb, n0 + n) : 0;
        __syncthreads();
#pragma unroll
        for (int k = 0; k < SIDE; ++k) sum += as[ty][k] * bs[k][tx];
        __syncthreads();
    }
    if (m0 + ty < p.rows && n0 + tx < p.columns) p.y(m0 + ty, n0 + tx) = sum;
}

template <class P>
void shared_tile(const P& p, cudaStream_t stream) {
    LAUNCH((shared_tile_kernel<P>), dim3(blocks(p.rows, SIDE), blocks(p.columns, SIDE)), dim3(SIDE, SIDE), 0, stream,
           p);
}
}  // namespace ladder
