// Sum of all numbers, rung 3: the second half is added to the first.
//
// Neighbouring lanes want neighbouring words: one pass a request.  What is left: half of the threads do nothing after
// their load.
#include "levels.cuh"

namespace {
using ladder::SUM_THREADS;

__global__ void __launch_bounds__(SUM_THREADS) sum_kernel(float* y, const float* x, int64_t n) {
    __shared__ float s[SUM_THREADS];
    int t = threadIdx.x;
    int64_t i = int64_t(blockIdx.x) * SUM_THREADS + t;
    s[t] = i < n ? x[i] : 0;
    __syncthreads();
    for (int d = SUM_THREADS / 2; d; d /= 2) {
        if (t < d) s[t] += s[t + d];
        __syncthreads();
    }
    if (t == 0) y[blockIdx.x] = s[0];
}
}  // namespace

void reduction_3_sequential(Out<float> y, Work<float> left, In<float> x, cudaStream_t stream) {
    ladder::sum_in_levels("reduction_3_sequential", sum_kernel, SUM_THREADS, y, left, x, stream);
}
BIND(reduction_3_sequential, "y left x");
