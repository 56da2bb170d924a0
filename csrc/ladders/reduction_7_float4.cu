// Sum of all numbers, rung 7: four numbers a load.
//
// A quarter of the loads for the same bytes.  Memory that does not begin at 16 bytes is read number by number, as are
// the last few numbers.  The next rung is the shipped kernel (reduce.cu): sums in float64, by at most 1024 blocks.
#include "levels.cuh"

namespace {
using ladder::SUM_THREADS;

constexpr int EACH = 16;

__global__ void __launch_bounds__(SUM_THREADS) sum_kernel(float* y, const float* x, int64_t n) {
    __shared__ float warps[SUM_THREADS / 32];
    int t = threadIdx.x;
    bool wide = reinterpret_cast<uintptr_t>(x) % 16 == 0;
    int64_t first = int64_t(blockIdx.x) * EACH * SUM_THREADS + 4 * t;
    float sum = 0;
#pragma unroll
    for (int k = 0; k < EACH / 4; ++k) {
        int64_t i = first + k * 4 * SUM_THREADS;
        if (wide && i + 4 <= n) {
            float4 v = *reinterpret_cast<const float4*>(x + i);
            sum += v.x + v.y + (v.z + v.w);
        } else {
            for (int64_t j = i; j < n && j < i + 4; ++j) sum += x[j];
        }
    }
    for (int d = 16; d; d /= 2) sum += __shfl_down_sync(~0u, sum, d);
    if (t % 32 == 0) warps[t / 32] = sum;
    __syncthreads();
    if (t) return;
    for (int w = 1; w < SUM_THREADS / 32; ++w) sum += warps[w];
    y[blockIdx.x] = sum;
}
}  // namespace

void reduction_7_float4(Out<float> y, Work<float> left, In<float> x, cudaStream_t stream) {
    ladder::sum_in_levels("reduction_7_float4", sum_kernel, EACH* SUM_THREADS, y, left, x, stream);
}
BIND(reduction_7_float4, "y left x");
