// What the rungs of the histogram share: how often each of 256 values occurs in a line of bytes.
//
// Counts are whole numbers, so that atomic additions give the same bits in any order.
#pragma once
#include "launch.h"

namespace ladder {
constexpr int BINS = 256, COUNTERS = 256;  // COUNTERS: threads of a block

static __global__ void __launch_bounds__(BINS) clear_kernel(int* y) { y[threadIdx.x] = 0; }

inline void clear(const Out<int>& y, cudaStream_t stream) {
    LAUNCH(clear_kernel, 1, BINS, 0, stream, y.data);
}
}  // namespace ladder
