// Sum of all numbers, rung 4: a thread loads two numbers and stores their sum.
//
// Half as many blocks, and the first addition needs neither shared memory nor a barrier.  What is left: eight barriers,
// of which the last five are waited for by one warp's work.
#include "levels.cuh"

namespace {
using ladder::SUM_THREADS;

__global__ void __launch_bounds__(SUM_THREADS) sum_kernel(float* y, const float* x, int64_t n) {
    __shared__ float s[SUM_THREADS];
    int t = threadIdx.x;
    int64_t i = int64_t(blockIdx.x) * 2 * SUM_THREADS + t;
    s[t] = (i < n ? x[i] : 0) + (i + SUM_THREADS < n ? x[i + SUM_THREADS] : 0);
    __syncthreads();
    for (int d = SUM_THREADS / 2; d; d /= 2) {
        if (t < d) s[t] += s[t + d];
        __syncthreads();
    }
    if (t == 0) y[blockIdx.x] = s[0];
}
}  // namespace

void reduction_4_first_add(Out<float> y, Work<float> left, In<float> x, cudaStream_t stream) {
    ladder::sum_in_levels("reduction_4_first_add", sum_kernel, 2 * SUM_THREADS, y, left, x, stream);
}
BIND(reduction_4_first_add, "y left x");
