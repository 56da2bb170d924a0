// Layer norm of rows, rung 4: a lane holds its numbers of the row in registers.
//
// Rows of up to 1024 numbers, 32 a lane, are read once; longer ones as in rung 3.  The next rung is the shipped kernel
// (group_norm.cu): moments that lose no digits to a large mean, with a weight and a bias, in 8 registers a lane where
// they suffice.
#include "launch.h"

namespace {
constexpr int THREADS = 128, HELD = 32;

__device__ float sum_of_warp(float v) {
    for (int d = 16; d; d /= 2) v += __shfl_xor_sync(~0u, v, d);
    return v;
}

__global__ void __launch_bounds__(THREADS)
    held_kernel(float* y, float* mean, float* rstd, const float* x, int64_t n, int c, float eps) {
    int64_t row = int64_t(blockIdx.x) * (THREADS / 32) + threadIdx.x / 32;
    int lane = threadIdx.x % 32;
    if (row >= n) return;  // a whole warp
    x += row * c, y += row * c;
    float held[HELD], sum = 0, squares = 0;
#pragma unroll
    for (int k = 0; k < HELD; ++k) {
        held[k] = lane + 32 * k < c ? x[lane + 32 * k] : 0;
        sum += held[k];
    }
    for (int j = lane + 32 * HELD; j < c; j += 32) sum += x[j];
    float m = sum_of_warp(sum) / c;
#pragma unroll
    for (int k = 0; k < HELD; ++k)
        if (lane + 32 * k < c) squares += (held[k] - m) * (held[k] - m);
    for (int j = lane + 32 * HELD; j < c; j += 32) squares += (x[j] - m) * (x[j] - m);
    float r = 1 / sqrtf(sum_of_warp(squares) / c + eps);
#pragma unroll
    for (int k = 0; k < HELD; ++k)
        if (lane + 32 * k < c) y[lane + 32 * k] = (held[k] - m) * r;
    for (int j = lane + 32 * HELD; j < c; j += 32) y[j] = (x[j] - m) * r;
    if (lane == 0) mean[row] = m, rstd[row] = r;
}
}  // namespace

void layer_norm_4_held(Out<float> y, Out<float> mean, Out<float> rstd, In<float> x, float eps, cudaStream_t stream) {
    LAUNCH(held_kernel, blocks(x.shape[0], THREADS / 32), THREADS, 0, stream, y.data, mean.data, rstd.data, x.data,
           x.shape[0], x.length(1), eps);
}
BIND(layer_norm_4_held, "y mean rstd x eps");
