// Histogram of bytes, rung 2: a block counts 4096 bytes in shared memory, then adds its counts.
//
// 256 additions in global memory for 4096 bytes where rung 1 needs 4096.  Lanes of a warp that meet the same value
// still wait for each other.
#include "histogram.cuh"

namespace {
using ladder::BINS;
using ladder::COUNTERS;
constexpr int EACH = 16;

__global__ void __launch_bounds__(COUNTERS) shared_kernel(int* y, const uint8_t* x, int64_t n) {
    __shared__ int counts[BINS];
    counts[threadIdx.x] = 0;
    __syncthreads();
    int64_t first = int64_t(blockIdx.x) * EACH * COUNTERS + threadIdx.x;
    for (int k = 0; k < EACH; ++k)
        if (first + k * COUNTERS < n) atomicAdd(&counts[x[first + k * COUNTERS]], 1);
    __syncthreads();
    if (counts[threadIdx.x]) atomicAdd(&y[threadIdx.x], counts[threadIdx.x]);
}
}  // namespace

void histogram_2_shared(Out<int> y, In<uint8_t> x, cudaStream_t stream) {
    ladder::clear(y, stream);
    LAUNCH(shared_kernel, blocks(x.size(), EACH * COUNTERS), COUNTERS, 0, stream, y.data, x.data, x.size());
}
BIND(histogram_2_shared, "y x");
