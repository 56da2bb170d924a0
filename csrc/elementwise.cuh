// One template for every element-wise kernel: F says what happens to one element, from one to three arrays.
//
//     struct Relu { __device__ float operator()(float x) const { return x < 0 ? 0 : x; } };
//     map(Relu{}, "relu_forward", stream, y, x);
//
// A thread takes four neighbours by one 16-byte access where all arrays are aligned for it; a tail goes one by one.
#pragma once
#include "launch.h"

namespace elementwise {
constexpr int THREADS = 256;

union Four {
    float4 vector;
    float value[4];
};

template <class F, class... P>
__global__ void __launch_bounds__(THREADS) map4_kernel(F f, float* __restrict__ y, int64_t n, P... x) {
    int64_t i = (int64_t(blockIdx.x) * THREADS + threadIdx.x) * 4;
    if (i + 4 <= n) {
        auto load = [i](const float* p) { return Four{*reinterpret_cast<const float4*>(p + i)}; };
        Four r;
        auto each = [&](auto... v) {
#pragma unroll
            for (int k = 0; k < 4; ++k) r.value[k] = f(v.value[k]...);
        };
        each(load(x)...);
        *reinterpret_cast<float4*>(y + i) = r.vector;
    } else {
        for (; i < n; ++i) y[i] = f(x[i]...);
    }
}

template <class F, class... P>
__global__ void __launch_bounds__(THREADS) map_kernel(F f, float* __restrict__ y, int64_t n, P... x) {
    int64_t i = int64_t(blockIdx.x) * THREADS + threadIdx.x;
    if (i < n) y[i] = f(x[i]...);
}

// y[i] = f(x[i]...): all arrays have one size and one order in memory.
template <class F, class... X>
void map(F f, const char* op, cudaStream_t stream, const Out<float>& y, const X&... x) {
    int64_t n = y.size();
    (require(x.size() == n, op, ": an input has ", x.size(), " elements, the output ", n), ...);
    if (y.aligned(16) && (x.aligned(16) && ...))
        LAUNCH((map4_kernel<F, decltype(x.data)...>), blocks(n, 4 * THREADS), THREADS, 0, stream, f, y.data, n,
               x.data...);
    else
        LAUNCH((map_kernel<F, decltype(x.data)...>), blocks(n, THREADS), THREADS, 0, stream, f, y.data, n, x.data...);
}
}  // namespace elementwise
using elementwise::map;
