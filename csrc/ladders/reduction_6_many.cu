// Sum of all numbers, rung 6: a thread adds up sixteen numbers first.
//
// What a block costs once, its start, its shuffles and its barrier, is spread over 4096 numbers instead of 512.
#include "levels.cuh"

namespace {
using ladder::SUM_THREADS;

constexpr int EACH = 16;

__global__ void __launch_bounds__(SUM_THREADS) sum_kernel(float* y, const float* x, int64_t n) {
    __shared__ float warps[SUM_THREADS / 32];
    int t = threadIdx.x;
    int64_t first = int64_t(blockIdx.x) * EACH * SUM_THREADS + t;
    float sum = 0;
#pragma unroll
    for (int k = 0; k < EACH; ++k)
        if (first + k * SUM_THREADS < n) sum += x[first + k * SUM_THREADS];
    for (int d = 16; d; d /= 2) sum += __shfl_down_sync(~0u, sum, d);
    if (t % 32 == 0) warps[t / 32] = sum;
    __syncthreads();
    if (t) return;
    for (int w = 1; w < SUM_THREADS / 32; ++w) sum += warps[w];
    y[blockIdx.x] = sum;
}
}  // namespace

void reduction_6_many(Out<float> y, Work<float> left, In<float> x, cudaStream_t stream) {
    ladder::sum_in_levels("reduction_6_many", sum_kernel, EACH* SUM_THREADS, y, left, x, stream);
}
BIND(reduction_6_many, "y left x");
