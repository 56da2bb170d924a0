// Moments of batch norm, rung 2: a block of 256 threads for each channel, its sums added in shared memory by a tree.
//
// 256 times the threads of rung 1.  But neighbouring threads now read words c apart, a sector for every word: memory
// moves eight times what is needed.
#include "reduce.cuh"

namespace {
using reduce::THREADS;

__global__ void __launch_bounds__(THREADS)
    blocks_kernel(float* mean, float* rstd, const float* x, int64_t n, int c, float eps) {
    __shared__ double scratch[THREADS / 32], shared_mean;
    int k = blockIdx.x;
    double sum = 0, squares = 0;
    for (int64_t row = threadIdx.x; row < n; row += THREADS) sum += x[row * c + k];
    sum = reduce::of_block(sum, scratch);
    if (threadIdx.x == 0) shared_mean = n > 0 ? sum / double(n) : 0.0;
    __syncthreads();
    double m = shared_mean;
    for (int64_t row = threadIdx.x; row < n; row += THREADS) squares += (x[row * c + k] - m) * (x[row * c + k] - m);
    squares = reduce::of_block(squares, scratch);
    if (threadIdx.x) return;
    mean[k] = float(m);
    rstd[k] = float(1.0 / sqrt(squares / (n > 1 ? double(n) : 1.0) + double(eps)));
}
}  // namespace

void batch_norm_2_blocks(Out<float> mean, Out<float> rstd, In<float> x, float eps, cudaStream_t stream) {
    LAUNCH(blocks_kernel, unsigned(x.length(1)), THREADS, 0, stream, mean.data, rstd.data, x.data, x.shape[0],
           x.length(1), eps);
}
BIND(batch_norm_2_blocks, "mean rstd x eps");
