// Histogram of bytes, rung 1: a thread for each byte, which adds 1 to its count in global memory.
//
// All threads of a GPU add to 256 words: additions to one word wait for each other, in the L2 cache.
#include "histogram.cuh"

namespace {
__global__ void __launch_bounds__(ladder::COUNTERS) global_kernel(int* y, const uint8_t* x, int64_t n) {
    int64_t i = int64_t(blockIdx.x) * ladder::COUNTERS + threadIdx.x;
    if (i < n) atomicAdd(&y[x[i]], 1);
}
}  // namespace

void histogram_1_global(Out<int> y, In<uint8_t> x, cudaStream_t stream) {
    ladder::clear(y, stream);
    LAUNCH(global_kernel, blocks(x.size(), ladder::COUNTERS), ladder::COUNTERS, 0, stream, y.data, x.data, x.size());
}
BIND(histogram_1_global, "y x");
