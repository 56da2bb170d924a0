// Histogram of bytes, rung 4: sixteen bytes a load.
//
// One load of 16 bytes where rung 3 has sixteen of one byte.  Memory that does not begin at 16 bytes is read byte by
// byte, as are the last few.
#include "histogram.cuh"

namespace {
using ladder::BINS;
using ladder::COUNTERS;
constexpr int EACH = 16, COPIES = COUNTERS / 32;

__global__ void __launch_bounds__(COUNTERS) words_kernel(int* y, const uint8_t* x, int64_t n) {
    __shared__ int counts[COPIES][BINS + 1];
    for (int copy = 0; copy < COPIES; ++copy) counts[copy][threadIdx.x] = 0;
    __syncthreads();
    int64_t first = (int64_t(blockIdx.x) * COUNTERS + threadIdx.x) * EACH;
    int* mine = counts[threadIdx.x / 32];
    if (first + EACH <= n && reinterpret_cast<uintptr_t>(x) % 16 == 0) {
        uint4 four = *reinterpret_cast<const uint4*>(x + first);
        const unsigned words[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
        for (unsigned word : words)
#pragma unroll
            for (int shift = 0; shift < 32; shift += 8) atomicAdd(&mine[word >> shift & 255], 1);
    } else {
        for (int64_t i = first; i < n && i < first + EACH; ++i) atomicAdd(&mine[x[i]], 1);
    }
    __syncthreads();
    int sum = 0;
    for (int copy = 0; copy < COPIES; ++copy) sum += counts[copy][threadIdx.x];
    if (sum) atomicAdd(&y[threadIdx.x], sum);
}
}  // namespace

void histogram_4_words(Out<int> y, In<uint8_t> x, cudaStream_t stream) {
    ladder::clear(y, stream);
    LAUNCH(words_kernel, blocks(x.size(), EACH * COUNTERS), COUNTERS, 0, stream, y.data, x.data, x.size());
}
BIND(histogram_4_words, "y x");
