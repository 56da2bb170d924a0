// Softmax of rows, rung 2: a block of 128 threads for each row, its largest and its sum found in shared memory.
//
// Neighbouring threads read neighbours, and there are 128 times as many threads.  A row is still read three times, and
// each of the two trees costs seven barriers.
#include "launch.h"

namespace {
constexpr int THREADS = 128;

// f of all threads' values, in all threads.
template <class F>
__device__ float of_block(float v, float* scratch, F f) {
    scratch[threadIdx.x] = v;
    __syncthreads();
    for (int d = THREADS / 2; d; d /= 2) {
        if (threadIdx.x < d) scratch[threadIdx.x] = f(scratch[threadIdx.x], scratch[threadIdx.x + d]);
        __syncthreads();
    }
    v = scratch[0];
    __syncthreads();
    return v;
}

__global__ void __launch_bounds__(THREADS) blocks_kernel(float* y, const float* x, int c) {
    __shared__ float scratch[THREADS];
    x += int64_t(blockIdx.x) * c, y += int64_t(blockIdx.x) * c;
    float top = -INFINITY, sum = 0;
    for (int j = threadIdx.x; j < c; j += THREADS) top = x[j] > top ? x[j] : top;
    top = of_block(top, scratch, [](float a, float b) { return b > a ? b : a; });
    for (int j = threadIdx.x; j < c; j += THREADS) sum += expf(x[j] - top);
    sum = of_block(sum, scratch, [](float a, float b) { return a + b; });
    for (int j = threadIdx.x; j < c; j += THREADS) y[j] = expf(x[j] - top) / sum;
}
}  // namespace

void softmax_2_blocks(Out<float> y, In<float> x, cudaStream_t stream) {
    LAUNCH(blocks_kernel, unsigned(x.shape[0]), THREADS, 0, stream, y.data, x.data, x.length(1));
}
BIND(softmax_2_blocks, "y x");
