// The end of a product whose rows come in fours, the pixels of a 2 x 2 window: of each four only the largest is
// written, and which it was.  The map of all pixels is never in memory.
//
// Such a problem P (gemm.cuh) says, in place of out(m):
//     POOLED = true
//     pooled(window, n, best, tap)    write what neighbouring columns n, n + 1, .. have kept of a window's four rows
#pragma once
#include "gemm.cuh"
#include "pool.cuh"

namespace gemm {
template <class P, class = void>
constexpr bool POOLS = false;
template <class P>
constexpr bool POOLS<P, std::void_t<decltype(P::POOLED)>> = true;

// Of gemm_exact.cuh's sums: the four rows of a window are one thread's.
template <int ROWS, int COLUMNS, class P>
__device__ void pool_exact(const P& p, const float (&sum)[ROWS / 16][COLUMNS / 16], int m0, int n0) {
    int ty = threadIdx.x / 16, tx = threadIdx.x % 16;
#pragma unroll
    for (int i = 0; i < ROWS / 16; i += 4) {
        int m = m0 + i * 16 + ty * 4;
        if (m >= p.rows) continue;
#pragma unroll
        for (int j = 0; j < COLUMNS / 16; j += 4) {
            int n = n0 + j * 16 + tx * 4;
            float best[4] = {};
            int tap[4] = {};
#pragma unroll
            for (int e = 0; e < 4; ++e) {
                if (n + e >= p.columns) continue;
                best[e] = p.finish(sum[i][j + e], n + e);
#pragma unroll
                for (int t = 1; t < 4; ++t) {
                    float v = p.finish(sum[i + t][j + e], n + e);
                    if (pool::exceeds(v, best[e])) best[e] = v, tap[e] = t;
                }
            }
            p.pooled(m / 4, n, best, tap);
        }
    }
}

// Of gemm_mma.cuh's: the rows are those of four lanes, lane / 4 % 4, which exchange what they have.  Of equals the
// smaller tap stays, as in a loop over the taps.  All lanes of a warp come here.
template <class P>
__device__ void pool_pair(const P& p, int m, int n, float left, float right) {
    int lane = threadIdx.x % 32, tap[2] = {lane / 4 % 4, lane / 4 % 4};
    bool inside = m < p.rows;
    float best[2] = {inside && n < p.columns ? p.finish(left, n) : 0.0f,
                     inside && n + 1 < p.columns ? p.finish(right, n + 1) : 0.0f};
#pragma unroll
    for (int bit = 4; bit <= 8; bit *= 2) {
        int taps = __shfl_xor_sync(~0u, tap[0] | tap[1] << 2, bit);
#pragma unroll
        for (int e = 0; e < 2; ++e) {
            float other = __shfl_xor_sync(~0u, best[e], bit);
            bool later = lane & bit;  // its taps come after those of the other lane
            float first = later ? other : best[e], second = later ? best[e] : other;
            bool mine = pool::exceeds(second, first) == later;
            if (!mine) best[e] = other, tap[e] = taps >> 2 * e & 3;
        }
    }
    if (inside && lane / 4 % 4 == 0) p.pooled(m / 4, n, best, tap);
}
}  // namespace gemm
