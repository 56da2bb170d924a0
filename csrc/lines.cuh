// Reductions along an axis: an array [outer, n, inner] to a number for each of its outer x inner lines.  Threads of a
// block share the lines between them, each line's numbers in turn; what they found is merged in order, so the same bits
// come whatever the schedule.
//
// F says what a line's numbers become
//     State                    of what a thread has met; start() has met nothing
//     add(state, value, i)     meet number i of the line
//     merge(state, other)      what was met by another thread
//     finish(line, state)      store the result
#pragma once
#include "elementwise.cuh"

namespace lines {
constexpr int THREADS = 256;

inline unsigned power_above(int64_t n, unsigned most) {
    unsigned p = 1;
    while (p < most && p < n) p *= 2;
    return p;
}

template <class F, class T = float>
__global__ void __launch_bounds__(THREADS)
    reduce_kernel(F f, const T* __restrict__ x, int64_t outer, int n, int inner, int across) {
    __shared__ typename F::State states[THREADS];
    int64_t row = int64_t(blockIdx.x) / across * blockDim.z + threadIdx.z;
    int column = int(blockIdx.x) % across * blockDim.x + threadIdx.x;
    int at = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    bool exists = row < outer && column < inner;
    typename F::State s = F::start();
    if (exists)
        for (int i = threadIdx.y; i < n; i += blockDim.y) f.add(s, x[(row * n + i) * inner + column], i);
    states[at] = s;
    __syncthreads();
    if (!exists || threadIdx.y) return;
    for (unsigned t = 1; t < blockDim.y; ++t) f.merge(s, states[at + t * blockDim.x]);
    f.finish(row * inner + column, s);
}

template <class F, class T = float>
void reduce(F f, const In<T>& x, cudaStream_t stream) {
    require(x.shape.count == 3, "a reduction of lines takes [outer, n, inner], got ", x.shape);
    int n = x.length(1), inner = x.length(2);
    unsigned wide = power_above(inner, 32), deep = power_above(n, THREADS / wide);
    unsigned left = THREADS / wide / deep, across = blocks(inner, wide);
    unsigned many = power_above(x.shape[0], left < 64 ? left : 64);  // the most that a block has along z
    LAUNCH((reduce_kernel<F, T>), blocks(x.shape[0], many) * across, dim3(wide, deep, many), 0, stream, f, x.data,
           x.shape[0], n, inner, int(across));
}
}  // namespace lines
