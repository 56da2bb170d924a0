// Sum of all numbers, rung 5: a warp adds its numbers by shuffles.
//
// Lanes hand each other their registers: no shared memory and no barrier but for the eight sums of the warps.  What is
// left: a thread starts, loads two numbers, and is gone.
#include "levels.cuh"

namespace {
using ladder::SUM_THREADS;

__global__ void __launch_bounds__(SUM_THREADS) sum_kernel(float* y, const float* x, int64_t n) {
    __shared__ float warps[SUM_THREADS / 32];
    int t = threadIdx.x;
    int64_t i = int64_t(blockIdx.x) * 2 * SUM_THREADS + t;
    float sum = (i < n ? x[i] : 0) + (i + SUM_THREADS < n ? x[i + SUM_THREADS] : 0);
    for (int d = 16; d; d /= 2) sum += __shfl_down_sync(~0u, sum, d);
    if (t % 32 == 0) warps[t / 32] = sum;
    __syncthreads();
    if (t) return;
    for (int w = 1; w < SUM_THREADS / 32; ++w) sum += warps[w];
    y[blockIdx.x] = sum;
}
}  // namespace

void reduction_5_shuffle(Out<float> y, Work<float> left, In<float> x, cudaStream_t stream) {
    ladder::sum_in_levels("reduction_5_shuffle", sum_kernel, 2 * SUM_THREADS, y, left, x, stream);
}
BIND(reduction_5_shuffle, "y left x");
