// A product on tensor cores, tiles of shared memory filled by loads of 16 bytes; P as in four.cuh, Read as in
// fragments.cuh.
//
// One mma.sync of a warp is 1024 multiplications, where an FFMA of a warp is 32; numbers are rounded to tf32, 10 bits
// of mantissa, and summed in float32.
#pragma once
#include "fragments.cuh"

namespace ladder {
template <class Read, class P>
__global__ void __launch_bounds__(MMA_THREADS) mma_tile_kernel(P p) {
    __shared__ __align__(16) char memory[sizeof(Tiles)];
    Tiles& tiles = *reinterpret_cast<Tiles*>(memory);
    int m0 = blockIdx.x * MMA_TILE, n0 = blockIdx.y * MMA_TILE;
    WarpSums sums;
    for (int k0 = 0; k0 < p.depth; k0 += MMA_DEPTH) {
#pragma unroll
        for (int e = threadIdx.x; e < MMA_TILE * MMA_DEPTH / 4; e += MMA_THREADS) {
            int m = e / 4, ka = e % 4 * 4, kb = e / 16, n = e % 16 * 4;
            *reinterpret_cast<float4*>(&tiles.a[m][ka]) = four_of_a(p, m0 + m, k0 + ka);
            *reinterpret_cast<float4*>(&tiles.b[kb][n]) = four_of_b(p, k0 + kb, n0 + n);
        }
        __syncthreads();
        sums.multiply<Read>(tiles);
        __syncthreads();
    }
    sums.write([&](int m, int n, float v) {
        if (m0 + m < p.rows && n0 + n < p.columns) p.y(m0 + m, n0 + n) = v;
    });
}

template <class Read, class P>
void mma_tile(const P& p, cudaStream_t stream) {
    LAUNCH((mma_tile_kernel<Read, P>), dim3(blocks(p.rows, MMA_TILE), blocks(p.columns, MMA_TILE)), MMA_THREADS, 0,
           stream, p);
}
}  // namespace ladder
