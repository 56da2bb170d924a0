// Sum of all numbers, rung 2: the threads that add are neighbours.
//
// Whole warps add and whole warps are done: 4, 2, 1.  But neighbouring lanes now want words 2 d apart, which lie in one
// bank as soon as d is 16: up to 16 passes where one would do.
#include "levels.cuh"

namespace {
using ladder::SUM_THREADS;

__global__ void __launch_bounds__(SUM_THREADS) sum_kernel(float* y, const float* x, int64_t n) {
    __shared__ float s[SUM_THREADS];
    int t = threadIdx.x;
    int64_t i = int64_t(blockIdx.x) * SUM_THREADS + t;
    s[t] = i < n ? x[i] : 0;
    __syncthreads();
    for (int d = 1; d < SUM_THREADS; d *= 2) {
        int k = 2 * d * t;
        if (k < SUM_THREADS) s[k] += s[k + d];
        __syncthreads();
    }
    if (t == 0) y[blockIdx.x] = s[0];
}
}  // namespace

void reduction_2_strided(Out<float> y, Work<float> left, In<float> x, cudaStream_t stream) {
    ladder::sum_in_levels("reduction_2_strided", sum_kernel, SUM_THREADS, y, left, x, stream);
}
BIND(reduction_2_strided, "y left x");
