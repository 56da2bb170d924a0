// Softmax of rows, rung 4: a warp for each row, by shuffles.
//
// No shared memory and no barrier: warps go on without waiting for each other.  The next rung is the shipped kernel
// (softmax.cu): short rows share a warp, and the sum is in float64.
#include "launch.h"

namespace {
constexpr int THREADS = 128;

__global__ void __launch_bounds__(THREADS) warp_kernel(float* y, const float* x, int64_t n, int c) {
    int64_t row = int64_t(blockIdx.x) * (THREADS / 32) + threadIdx.x / 32;
    if (row >= n) return;  // a whole warp
    x += row * c, y += row * c;
    float top = -INFINITY, sum = 0;
    for (int j = threadIdx.x % 32; j < c; j += 32) {
        float before = top;
        top = x[j] > top ? x[j] : top;
        if (top != before) sum *= expf(before - top);
        sum += expf(x[j] - top);
    }
    float all = top;
    for (int d = 16; d; d /= 2) {
        float other = __shfl_xor_sync(~0u, all, d);
        all = other > all ? other : all;
    }
    if (top != all) sum *= expf(top - all);
    for (int d = 16; d; d /= 2) sum += __shfl_xor_sync(~0u, sum, d);
    for (int j = threadIdx.x % 32; j < c; j += 32) y[j] = expf(x[j] - all) / sum;
}
}  // namespace

void softmax_4_warp(Out<float> y, In<float> x, cudaStream_t stream) {
    LAUNCH(warp_kernel, blocks(x.shape[0], THREADS / 32), THREADS, 0, stream, y.data, x.data, x.shape[0], x.length(1));
}
BIND(softmax_4_warp, "y x");
