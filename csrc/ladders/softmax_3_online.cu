// Softmax of rows, rung 3: the largest and the sum in one pass.
//
// A sum of e^(x - top) is corrected by e^(old top - new top) when a larger number comes, so nothing has to be known
// before the pass begins (Milakov and Gimelshein 2018).  A row is read twice where rung 2 reads it three times, and
// there is one tree instead of two.
#include "launch.h"

namespace {
constexpr int THREADS = 128;

struct Sum {  // of e^(x - top) over the numbers seen, top the largest of them
    float top, sum;
};
__device__ Sum both(Sum a, Sum b) {
    float top = b.top > a.top ? b.top : a.top;
    if (top == -INFINITY) return {top, a.sum + b.sum};  // nothing was seen: -inf - -inf is no number
    return {top, a.sum * expf(a.top - top) + b.sum * expf(b.top - top)};
}

__global__ void __launch_bounds__(THREADS) online_kernel(float* y, const float* x, int c) {
    __shared__ Sum scratch[THREADS];
    x += int64_t(blockIdx.x) * c, y += int64_t(blockIdx.x) * c;
    Sum mine{-INFINITY, 0};
    for (int j = threadIdx.x; j < c; j += THREADS) mine = both(mine, {x[j], 1});
    scratch[threadIdx.x] = mine;
    __syncthreads();
    for (int d = THREADS / 2; d; d /= 2) {
        if (threadIdx.x < d) scratch[threadIdx.x] = both(scratch[threadIdx.x], scratch[threadIdx.x + d]);
        __syncthreads();
    }
    Sum all = scratch[0];
    for (int j = threadIdx.x; j < c; j += THREADS) y[j] = expf(x[j] - all.top) / all.sum;
}
}  // namespace

void softmax_3_online(Out<float> y, In<float> x, cudaStream_t stream) {
    LAUNCH(online_kernel, unsigned(x.shape[0]), THREADS, 0, stream, y.data, x.data, x.length(1));
}
BIND(softmax_3_online, "y x");
