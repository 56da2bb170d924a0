// Sum of all numbers, rung 1: neighbours are added first, by threads that are multiples of 2, 4, 8, ....
//
// Half of the lanes of every warp add, then a quarter, then an eighth; the others wait with them, so that all eight
// warps of a block work to the end.  And % is a division.
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
        if (t % (2 * d) == 0) s[t] += s[t + d];
        __syncthreads();
    }
    if (t == 0) y[blockIdx.x] = s[0];
}
}  // namespace

void reduction_1_interleaved(Out<float> y, Work<float> left, In<float> x, cudaStream_t stream) {
    ladder::sum_in_levels("reduction_1_interleaved", sum_kernel, SUM_THREADS, y, left, x, stream);
}
BIND(reduction_1_interleaved, "y left x");
