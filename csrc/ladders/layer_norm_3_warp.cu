// Layer norm of rows, rung 3: a warp for each row, its sums added by shuffles.
//
// No shared memory and no barrier: warps go on without waiting for each other.  A row is still read three times.
#include "launch.h"

namespace {
constexpr int THREADS = 128;

__device__ float sum_of_warp(float v) {
    for (int d = 16; d; d /= 2) v += __shfl_xor_sync(~0u, v, d);
    return v;
}

__global__ void __launch_bounds__(THREADS)
    warp_kernel(float* y, float* mean, float* rstd, const float* x, int64_t n, int c, float eps) {
    int64_t row = int64_t(blockIdx.x) * (THREADS / 32) + threadIdx.x / 32;
    int lane = threadIdx.x % 32;
    if (row >= n) return;  // a whole warp
    x += row * c, y += row * c;
    float sum = 0, squares = 0;
    for (int j = lane; j < c; j += 32) sum += x[j];
    float m = sum_of_warp(sum) / c;
    for (int j = lane; j < c; j += 32) squares += (x[j] - m) * (x[j] - m);
    float r = 1 / sqrtf(sum_of_warp(squares) / c + eps);
    for (int j = lane; j < c; j += 32) y[j] = (x[j] - m) * r;
    if (lane == 0) mean[row] = m, rstd[row] = r;
}
}  // namespace

void layer_norm_3_warp(Out<float> y, Out<float> mean, Out<float> rstd, In<float> x, float eps, cudaStream_t stream) {
    LAUNCH(warp_kernel, blocks(x.shape[0], THREADS / 32), THREADS, 0, stream, y.data, mean.data, rstd.data, x.data,
           x.shape[0], x.length(1), eps);
}
BIND(layer_norm_3_warp, "y mean rstd x eps");
