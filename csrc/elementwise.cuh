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

constexpr int EACH = 4;  // elements of a thread, THREADS apart: all its loads are under way at once

// Below 2^31 elements I is unsigned: a compiler that sees where i comes from leaves the 64-bit divisions of quotient
// and modulo out.
inline bool is_short(int64_t n) { return n < int64_t(1) << 31; }

template <int COUNT, class F, class I>
__global__ void __launch_bounds__(THREADS) each_kernel(F f, I n) {
    I first = I(blockIdx.x) * (THREADS * COUNT) + threadIdx.x;
#pragma unroll
    for (int k = 0; k < COUNT; ++k)
        if (first + k * THREADS < n) f(int64_t(first + k * THREADS));
}

// f(i) for every i < n, where F holds the arrays: for kernels that update in place or look elsewhere than at i.  COUNT:
// elements of a thread, 1 where each has much to do.
template <int COUNT = EACH, class F>
void each(F f, int64_t n, cudaStream_t stream) {
    unsigned grid = blocks(n, COUNT * THREADS);
    if (is_short(n))
        LAUNCH((each_kernel<COUNT, F, unsigned>), grid, THREADS, 0, stream, f, n);
    else
        LAUNCH((each_kernel<COUNT, F, int64_t>), grid, THREADS, 0, stream, f, n);
}

// i / c and i mod c, in 32 bits where they suffice: a 64-bit division costs a GPU about a hundred instructions.
__device__ __forceinline__ int64_t quotient(int64_t i, int c) {
    return i >> 32 ? i / c : int64_t(unsigned(i) / unsigned(c));
}
__device__ __forceinline__ int modulo(int64_t i, int c) {
    return i >> 32 ? int(i % c) : int(unsigned(i) % unsigned(c));
}

// Where V neighbouring channels can be one access of 16 bytes, or of 4 for bytes: c is a multiple of V = 4.
template <class... A>
bool in_fours(int c, const A&... arrays) {
    return c % 4 == 0 && (arrays.aligned(4 * sizeof(*arrays.data)) && ...);
}

// V neighbouring numbers, V 1 or 4.
template <int V>
struct Neighbours {
    float value[V];
    static __device__ __forceinline__ Neighbours load(const float* p) {
        if constexpr (V == 1) return {{*p}};
        Four all{*reinterpret_cast<const float4*>(p)};
        Neighbours n;
#pragma unroll
        for (int k = 0; k < V; ++k) n.value[k] = all.value[k];
        return n;
    }
    __device__ __forceinline__ void store(float* p) const {
        if constexpr (V == 1)
            *p = value[0];
        else
            *reinterpret_cast<float4*>(p) = make_float4(value[0], value[1], value[2], value[3]);
    }
    __device__ __forceinline__ float& operator[](int k) { return value[k]; }
    __device__ __forceinline__ float operator[](int k) const { return value[k]; }
};

template <class F, class I, class... P>
__global__ void __launch_bounds__(THREADS) channels4_kernel(F f, float* __restrict__ y, I n, int c, P... x) {
    I four = I(blockIdx.x) * THREADS + threadIdx.x;
    int64_t i = int64_t(four) * 4;
    if (four >= n) return;
    auto load = [i](const float* p) { return Four{*reinterpret_cast<const float4*>(p + i)}; };
    int channel = modulo(int64_t(four), c / 4) * 4;
    Four r;
    auto all = [&](auto... v) {
#pragma unroll
        for (int k = 0; k < 4; ++k) r.value[k] = f(channel + k, v.value[k]...);
    };
    all(load(x)...);
    *reinterpret_cast<float4*>(y + i) = r.vector;
}

template <class F, class I, class... P>
__global__ void __launch_bounds__(THREADS) channels_kernel(F f, float* __restrict__ y, I n, int c, P... x) {
    I i = I(blockIdx.x) * THREADS + threadIdx.x;
    if (i < n) y[i] = f(modulo(int64_t(i), c), x[i]...);
}

// y[i] = f(channel of i, x[i]...) on rows of c channels.
template <class F, class... X>
void map_channels(F f, const char* op, cudaStream_t stream, int c, const Out<float>& y, const X&... x) {
    int64_t n = y.size();
    (require(x.size() == n, op, ": an input has ", x.size(), " elements, the output ", n), ...);
    auto run = [&](auto index) {
        using I = decltype(index);
        if (in_fours(c, y, x...))
            LAUNCH((channels4_kernel<F, I, decltype(x.data)...>), blocks(n / 4, THREADS), THREADS, 0, stream, f, y.data,
                   n / 4, c, x.data...);
        else
            LAUNCH((channels_kernel<F, I, decltype(x.data)...>), blocks(n, THREADS), THREADS, 0, stream, f, y.data, n,
                   c, x.data...);
    };
    is_short(n) ? run(unsigned()) : run(int64_t());
}
}  // namespace elementwise
using elementwise::each;
using elementwise::in_fours;
using elementwise::is_short;
using elementwise::map;
using elementwise::map_channels;
using elementwise::modulo;
using elementwise::Neighbours;
using elementwise::quotient;
