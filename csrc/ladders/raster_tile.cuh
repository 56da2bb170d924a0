// async_tile.cuh's product, its tiles visited in another order; P as in four.cuh.
//
// Blocks begin in the order of their numbers.  In async_tile.cuh those that run together are a column of tiles: many
// rows of a and few columns of b.  Here they are a square: GROUP columns wide, then the next rows.  As many tiles then
// share less of a and b together, and the L2 cache has to hold less.
#pragma once
#include "async_tile.cuh"

namespace ladder {
constexpr int GROUP = 8;

template <class P>
__global__ void __launch_bounds__(MMA_THREADS) raster_tile_kernel(P p, int across, int down) {
    __shared__ __align__(16) char memory[3 * sizeof(Tiles)];
    int group = blockIdx.x / (GROUP * down), in_group = blockIdx.x % (GROUP * down);
    int wide = across - group * GROUP < GROUP ? across - group * GROUP : GROUP;  // the last group may be narrower
    int m0 = in_group / wide * MMA_TILE, n0 = (group * GROUP + in_group % wide) * MMA_TILE;
    WarpSums sums;
    sum_tiles<3>(sums, reinterpret_cast<Tiles*>(memory), p, m0, n0, 0, p.depth);
    sums.write([&](int m, int n, float v) {
        if (m0 + m < p.rows && n0 + n < p.columns) p.y(m0 + m, n0 + n) = v;
    });
}

template <class P>
void raster_tile(const P& p, cudaStream_t stream) {
    int across = int(blocks(p.columns, MMA_TILE)), down = int(blocks(p.rows, MMA_TILE));
    LAUNCH((raster_tile_kernel<P>), across * down, MMA_THREADS, 0, stream, p, across, down);
}
}  // namespace ladder
