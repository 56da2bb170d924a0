// Moments of batch norm, rung 3: a block is 32 channels by 8 rows, and moments are Welford's, in one pass.
//
// Requests are whole lines again, and memory is read once instead of twice.  What is left is the number of blocks, one
// for 32 channels: 64 channels keep 2 of a GPU's multiprocessors busy.  The shipped kernel (norm.cu) cuts the rows into
// chunks, a block each, and merges them in order by a second launch.
#include "columns.cuh"
#include "norm.cuh"

namespace {
using columns::THREADS;

__global__ void __launch_bounds__(THREADS)
    tiles_kernel(float* mean, float* rstd, const float* x, int64_t n, int c, float eps) {
    __shared__ double means[THREADS];
    __shared__ float squares[THREADS], counts[THREADS];
    int k = blockIdx.x * blockDim.x + threadIdx.x, at = threadIdx.y * blockDim.x + threadIdx.x;
    statistics::Welford mine{};
    if (k < c)
        for (int64_t row = threadIdx.y; row < n; row += blockDim.y) mine.add(x[row * c + k]);
    means[at] = mine.mean(), squares[at] = mine.m2, counts[at] = mine.count;
    __syncthreads();
    if (threadIdx.y || k >= c) return;
    statistics::Moments all{};
    for (unsigned t = at; t < THREADS; t += blockDim.x) all.merge(counts[t], means[t], squares[t]);
    mean[k] = float(all.mean);
    rstd[k] = float(1.0 / sqrt(all.m2 / (n > 1 ? double(n) : 1.0) + double(eps)));
}
}  // namespace

void batch_norm_3_tiles(Out<float> mean, Out<float> rstd, In<float> x, float eps, cudaStream_t stream) {
    int c = x.length(1);
    dim3 block = columns::block_for(c);
    LAUNCH(tiles_kernel, blocks(c, block.x), block, 0, stream, mean.data, rstd.data, x.data, x.shape[0], c, eps);
}
BIND(batch_norm_3_tiles, "mean rstd x eps");
