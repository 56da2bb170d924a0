// Sums over the rows of a matrix of rows x channels, in two launches: the rows are cut into chunks whose number depends
// on the shape alone (tinymed/cuda/reduce.py), a block sums a chunk of some channels, and the second launch adds the
// chunks in order.  Same input, same bits.
#pragma once
#include "launch.h"

namespace columns {
constexpr int THREADS = 256;

// A block is `wide` channels by THREADS / wide rows: neighbouring threads read neighbouring words, also of short rows.
inline dim3 block_for(int c) {
    unsigned wide = 1;
    while (wide < 32 && int(wide) < c) wide *= 2;
    return dim3(wide, THREADS / wide);
}

// f(sums, i, channel, row) adds what element i contributes to a channel's sums, of F::COUNT numbers.
template <class F>
__global__ void __launch_bounds__(THREADS) partial_kernel(F f, double* __restrict__ partial, int64_t n, int c) {
    __shared__ double fold[F::COUNT][THREADS];
    int k = blockIdx.x * blockDim.x + threadIdx.x, at = threadIdx.y * blockDim.x + threadIdx.x;
    int64_t chunk = blockIdx.y, chunks = gridDim.y, last = (chunk + 1) * n / chunks;
    typename F::Sum sums[F::COUNT] = {};
    if (k < c)
        for (int64_t row = chunk * n / chunks + threadIdx.y; row < last; row += blockDim.y)
            f(sums, row * c + k, k, row);
    for (int q = 0; q < F::COUNT; ++q) fold[q][at] = sums[q];
    __syncthreads();
    if (threadIdx.y || k >= c) return;
    for (int q = 0; q < F::COUNT; ++q) {
        double total = 0;
        for (unsigned t = 0; t < blockDim.y; ++t) total += fold[q][t * blockDim.x + threadIdx.x];
        partial[(chunk * F::COUNT + q) * c + k] = total;
    }
}

// g(channel, sums) gets the sums over all chunks.  A block is 32 channels by 8 parts of the chunks.
template <int COUNT, class G>
__global__ void __launch_bounds__(THREADS) total_kernel(G g, const double* __restrict__ partial, int chunks, int c) {
    __shared__ double fold[COUNT][8][32];
    int k = blockIdx.x * 32 + threadIdx.x;
    double sums[COUNT] = {};
    if (k < c)
        for (int t = threadIdx.y; t < chunks; t += 8)
            for (int q = 0; q < COUNT; ++q) sums[q] += partial[(int64_t(t) * COUNT + q) * c + k];
    for (int q = 0; q < COUNT; ++q) fold[q][threadIdx.y][threadIdx.x] = sums[q];
    __syncthreads();
    if (threadIdx.y || k >= c) return;
    for (int q = 0; q < COUNT; ++q)
        for (int t = 1; t < 8; ++t) sums[q] += fold[q][t][threadIdx.x];
    g(k, sums);
}

// partial has shape chunks x F::COUNT x channels.
template <class F, class G>
void sum(F f, G g, const Work<double>& partial, int64_t n, int c, cudaStream_t stream) {
    int chunks = partial.length(0);
    require(partial.size() == int64_t(chunks) * F::COUNT * c, "sums of columns: a workspace of shape ", partial.shape);
    dim3 block = block_for(c);
    LAUNCH((partial_kernel<F>), dim3(blocks(c, block.x), chunks), block, 0, stream, f, partial.data, n, c);
    LAUNCH((total_kernel<F::COUNT, G>), blocks(c, 32), dim3(32, 8), 0, stream, g, partial.data, chunks, c);
}
}  // namespace columns
