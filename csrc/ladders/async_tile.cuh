// mma_tile.cuh's product, its tiles copied by cp.async, STAGES - 1 steps ahead; P as in four.cuh.
//
// A load brings numbers to registers, and a thread that stores them waits for them.  cp.async goes from global to
// shared memory by itself: no register is held, and the thread multiplies what has come while the next tiles are on
// their way. Groups of copies land in order, so a thread waits until all but the newest STAGES - 2 are there.
#pragma once
#include "fragments.cuh"

namespace ladder {
// Start copying the tiles of depths k0 up to `end`; what lies beyond the operands becomes zero.
template <class P>
__device__ void copy_tiles(Tiles& tiles, const P& p, int m0, int n0, int k0, int end) {
#pragma unroll
    for (int e = threadIdx.x; e < MMA_TILE * MMA_DEPTH / 4; e += MMA_THREADS) {
        int m = e / 4, ka = e % 4 * 4, kb = e / 16, n = e % 16 * 4;
#pragma unroll
        for (int i = 0; i < 4; i += 1) {
            if (p.wide && i) break;  // all four went at once
            const float *a = nullptr, *b = nullptr;
            if (m0 + m < p.rows && k0 + ka + i < end) a = p.a_at(m0 + m, k0 + ka + i);
            if (n0 + n + i < p.columns && k0 + kb < end) b = p.b_at(k0 + kb, n0 + n + i);
            if (p.wide) {
                cp_async16(&tiles.a[m][ka], a ? a : p.left, a);
                cp_async16(&tiles.b[kb][n], b ? b : p.right, b);
            } else {
                cp_async4(&tiles.a[m][ka + i], a ? a : p.left, a);
                cp_async4(&tiles.b[kb][n + i], b ? b : p.right, b);
            }
        }
    }
}

// The sums over depths begin <= k < end of the block's tile.
template <int STAGES, class P>
__device__ void sum_tiles(WarpSums& sums, Tiles* stages, const P& p, int m0, int n0, int begin, int end) {
    int steps = (end - begin + MMA_DEPTH - 1) / MMA_DEPTH;
    auto fetch = [&](int step) {
        if (step < steps) copy_tiles(stages[step % STAGES], p, m0, n0, begin + step * MMA_DEPTH, end);
        cp_async_commit();  // one group a step, even an empty one, so that waiting can count them
    };
    for (int step = 0; step < STAGES - 1; ++step) fetch(step);
    for (int step = 0; step < steps; ++step) {
        cp_async_wait<STAGES - 2>();
        __syncthreads();  // everyone's copies of this step are there, and nobody multiplies the oldest stage any more
        fetch(step + STAGES - 1);
        sums.multiply<ByMatrix>(stages[step % STAGES]);
    }
}

template <int STAGES, class P>
__global__ void __launch_bounds__(MMA_THREADS) async_tile_kernel(P p) {
    __shared__ __align__(16) char memory[STAGES * sizeof(Tiles)];
    int m0 = blockIdx.x * MMA_TILE, n0 = blockIdx.y * MMA_TILE;
    WarpSums sums;
    sum_tiles<STAGES>(sums, reinterpret_cast<Tiles*>(memory), p, m0, n0, 0, p.depth);
    sums.write([&](int m, int n, float v) {
        if (m0 + m < p.rows && n0 + n < p.columns) p.y(m0 + m, n0 + n) = v;
    });
}

template <int STAGES, class P>
void async_tile(const P& p, cudaStream_t stream) {
    LAUNCH((async_tile_kernel<STAGES, P>), dim3(blocks(p.rows, MMA_TILE), blocks(p.columns, MMA_TILE)), MMA_THREADS, 0,
           stream, p);
}
}  // namespace ladder
