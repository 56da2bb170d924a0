// async_tile.cuh's product with its depth cut into parts, a block for each tile and part; P as in four.cuh.
//
// A small y with a long depth has too few tiles for a GPU's multiprocessors.  Each part leaves its sums in a workspace,
// and a second launch adds the parts in order: same input, same bits.
#pragma once
#include "async_tile.cuh"

namespace ladder {
template <class P>
__global__ void __launch_bounds__(MMA_THREADS) split_tile_kernel(P p, float* partial) {
    __shared__ __align__(16) char memory[3 * sizeof(Tiles)];
    int m0 = blockIdx.x * MMA_TILE, n0 = blockIdx.y * MMA_TILE, part = blockIdx.z, parts = gridDim.z;
    int steps = (p.depth + MMA_DEPTH - 1) / MMA_DEPTH, first = part * steps / parts, last = (part + 1) * steps / parts;
    int end = last * MMA_DEPTH < p.depth ? last * MMA_DEPTH : p.depth;
    WarpSums sums;
    sum_tiles<3>(sums, reinterpret_cast<Tiles*>(memory), p, m0, n0, first * MMA_DEPTH, end);
    sums.write([&](int m, int n, float v) {
        if (m0 + m < p.rows && n0 + n < p.columns) partial[(size_t(part) * p.rows + m0 + m) * p.columns + n0 + n] = v;
    });
}

template <class P>
__global__ void __launch_bounds__(256) add_parts_kernel(P p, const float* partial, int parts) {
    size_t at = size_t(blockIdx.x) * 256 + threadIdx.x, size = size_t(p.rows) * p.columns;
    if (at >= size) return;
    float sum = 0;
    for (int part = 0; part < parts; ++part) sum += partial[part * size + at];
    p.y(int(at / p.columns), int(at % p.columns)) = sum;
}

// partial: [parts, rows, columns]
template <class P>
void split_tile(const P& p, const Work<float>& partial, cudaStream_t stream) {
    int parts = partial.length(0);
    LAUNCH((split_tile_kernel<P>), dim3(blocks(p.rows, MMA_TILE), blocks(p.columns, MMA_TILE), parts), MMA_THREADS, 0,
           stream, p, partial.data);
    LAUNCH((add_parts_kernel<P>), blocks(int64_t(p.rows) * p.columns, 256), 256, 0, stream, p, partial.data, parts);
}
}  // namespace ladder
