// Histogram of bytes, rung 3: a copy of the counts for each warp of the block.
//
// Warps no longer wait for each other's additions.  A copy begins a bank after the one before, so that adding up the
// copies of a value meets different banks.
#include "histogram.cuh"

namespace {
using ladder::BINS;
using ladder::COUNTERS;
constexpr int EACH = 16, COPIES = COUNTERS / 32;

__global__ void __launch_bounds__(COUNTERS) copies_kernel(int* y, const uint8_t* x, int64_t n) {
    __shared__ int counts[COPIES][BINS + 1];
    for (int copy = 0; copy < COPIES; ++copy) counts[copy][threadIdx.x] = 0;
    __syncthreads();
    int64_t first = int64_t(blockIdx.x) * EACH * COUNTERS + threadIdx.x;
    for (int k = 0; k < EACH; ++k)
        if (first + k * COUNTERS < n) atomicAdd(&counts[threadIdx.x / 32][x[first + k * COUNTERS]], 1);
    __syncthreads();
    int sum = 0;
    for (int copy = 0; copy < COPIES; ++copy) sum += counts[copy][threadIdx.x];
    if (sum) atomicAdd(&y[threadIdx.x], sum);
}
}  // namespace

void histogram_3_copies(Out<int> y, In<uint8_t> x, cudaStream_t stream) {
    ladder::clear(y, stream);
    LAUNCH(copies_kernel, blocks(x.size(), EACH * COUNTERS), COUNTERS, 0, stream, y.data, x.data, x.size());
}
BIND(histogram_3_copies, "y x");
