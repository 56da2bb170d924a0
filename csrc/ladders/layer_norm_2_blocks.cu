// Layer norm of rows, rung 2: a block of 128 threads for each row, its sums added in shared memory by a tree.
//
// Neighbouring threads read neighbours, and there are 128 times as many threads.  A row is still read three times, and
// each of the two trees costs seven barriers.
#include "launch.h"

namespace {
constexpr int THREADS = 128;

__device__ float sum_of_block(float v, float* scratch) {
    scratch[threadIdx.x] = v;
    __syncthreads();
    for (int d = THREADS / 2; d; d /= 2) {
        if (threadIdx.x < d) scratch[threadIdx.x] += scratch[threadIdx.x + d];
        __syncthreads();
    }
    v = scratch[0];
    __syncthreads();
    return v;
}

__global__ void __launch_bounds__(THREADS)
    blocks_kernel(float* y, float* mean, float* rstd, const float* x, int c, float eps) {
    __shared__ float scratch[THREADS];
    int64_t row = blockIdx.x;
    x += row * c, y += row * c;
    float sum = 0, squares = 0;
    for (int j = threadIdx.x; j < c; j += THREADS) sum += x[j];
    float m = sum_of_block(sum, scratch) / c;
    for (int j = threadIdx.x; j < c; j += THREADS) squares += (x[j] - m) * (x[j] - m);
    float r = 1 / sqrtf(sum_of_block(squares, scratch) / c + eps);
    for (int j = threadIdx.x; j < c; j += THREADS) y[j] = (x[j] - m) * r;
    if (threadIdx.x == 0) mean[row] = m, rstd[row] = r;
}
}  // namespace

void layer_norm_2_blocks(Out<float> y, Out<float> mean, Out<float> rstd, In<float> x, float eps, cudaStream_t stream) {
    LAUNCH(blocks_kernel, unsigned(x.shape[0]), THREADS, 0, stream, y.data, mean.data, rstd.data, x.data, x.length(1),
           eps);
}
BIND(layer_norm_2_blocks, "y mean rstd x eps");
