// Sums of many numbers to one, in two launches: parts whose number depends on the size alone, then their sum, in
// order.  Same input, same bits.
#pragma once
#include "launch.h"

namespace reduce {
constexpr int THREADS = 256;

struct Add {
    static __device__ double start() { return 0; }
    static __device__ double both(double a, double b) { return a + b; }
};
struct Most {  // a NaN wins
    static __device__ double start() { return 0; }
    static __device__ double both(double a, double b) { return a > b || a != a ? a : b; }
};

// All of a block's values together, in thread 0; every thread of a block of THREADS calls.
template <class Both = Add>
__device__ __forceinline__ double of_block(double v, double* scratch) {
    for (int d = 16; d; d /= 2) v = Both::both(v, __shfl_down_sync(~0u, v, d));
    if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = v;
    __syncthreads();
    if (threadIdx.x == 0)
        for (int w = 1; w < THREADS / 32; ++w) v = Both::both(v, scratch[w]);
    __syncthreads();
    return v;
}

template <class Both, class F>
__global__ void __launch_bounds__(THREADS) part_kernel(F f, double* __restrict__ partial, int64_t n) {
    __shared__ double scratch[THREADS / 32];
    int64_t part = blockIdx.x, last = (part + 1) * n / gridDim.x;
    double v = Both::start();
    for (int64_t i = part * n / gridDim.x + threadIdx.x; i < last; i += THREADS) v = Both::both(v, f(i));
    v = of_block<Both>(v, scratch);
    if (threadIdx.x == 0) partial[part] = v;
}

template <class Both, class G>
__global__ void __launch_bounds__(THREADS) total_kernel(G g, const double* __restrict__ partial, int parts) {
    __shared__ double scratch[THREADS / 32];
    double v = Both::start();
    for (int i = threadIdx.x; i < parts; i += THREADS) v = Both::both(v, partial[i]);
    v = of_block<Both>(v, scratch);
    if (threadIdx.x == 0) g(v);
}

// g(total of f(i) for i < n); the workspace has a number for each part.
template <class Both = Add, class F, class G>
void all(F f, G g, const Work<double>& partial, int64_t n, cudaStream_t stream) {
    int parts = int(partial.size());
    LAUNCH((part_kernel<Both, F>), parts, THREADS, 0, stream, f, partial.data, n);
    LAUNCH((total_kernel<Both, G>), 1, THREADS, 0, stream, g, partial.data, parts);
}
}  // namespace reduce
