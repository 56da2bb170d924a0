// A tile of 32 x 32 numbers without padding, in groups of four that are permuted.
//
// Four neighbours of row i that begin at column j lie in group j / 4 ^ i / 4 of their row.  They stay together and
// begin at 16 bytes, so that one request brings them into shared memory, where padding would break the alignment.  The
// eight lanes that read a column want rows 4 apart, which are eight different groups: no two lanes in one bank.
#pragma once
#include "batch.cuh"

namespace ladder {
constexpr int TILE = 32, EACH = 4, LANES = TILE / EACH, TILE_THREADS = TILE * LANES;

static __global__ void __launch_bounds__(TILE_THREADS) swizzled_kernel(float* y, const float* x, Batch b, int down,
                                                                       int across, bool wide_rows, bool wide_columns) {
    __shared__ float4 tile[TILE][LANES];
    int line = threadIdx.x / LANES, group = threadIdx.x % LANES, four = group * EACH;
    int i0 = blockIdx.x / across % down * TILE, j0 = blockIdx.x % across * TILE;
    int64_t matrix = int64_t(blockIdx.x / across / down) * b.rows * b.columns;
    if (i0 + line < b.rows && j0 + four < b.columns) {
        const float* from = x + matrix + (i0 + line) * b.columns + j0 + four;
        float4 v = make_float4(0, 0, 0, 0);
        if (wide_rows) {
            v = *reinterpret_cast<const float4*>(from);
        } else {
            int left = b.columns - j0 - four;
            v.x = from[0];
            if (left > 1) v.y = from[1];
            if (left > 2) v.z = from[2];
            if (left > 3) v.w = from[3];
        }
        tile[line][group ^ line / EACH] = v;
    }
    __syncthreads();
    int left = b.rows - i0 - four;
    if (j0 + line >= b.columns || left <= 0) return;
    float* to = y + matrix + (j0 + line) * b.rows + i0 + four;
    const float* column = reinterpret_cast<const float*>(&tile[four][line / EACH ^ group]) + line % EACH;
    if (wide_columns) {
        *reinterpret_cast<float4*>(to) = make_float4(column[0], column[TILE], column[2 * TILE], column[3 * TILE]);
    } else {
#pragma unroll
        for (int k = 0; k < EACH; ++k)
            if (k < left) to[k] = column[k * TILE];
    }
}

inline void swizzled(const Batch& batch, const Out<float>& y, const In<float>& x, cudaStream_t stream) {
    int down = int(blocks(batch.rows, TILE)), across = int(blocks(batch.columns, TILE));
    LAUNCH(swizzled_kernel, unsigned(batch.count * down * across), TILE_THREADS, 0, stream, y.data, x.data, batch, down,
           across, x.aligned(16) && batch.columns % EACH == 0, y.aligned(16) && batch.rows % EACH == 0);
}
}  // namespace ladder
