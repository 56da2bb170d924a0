// A scan of a long array by a kernel that scans stretches of it and leaves the sum of each: the sums are scanned in the
// same way, then every number gets the sum of the stretches before its own.
#pragma once
#include "launch.h"

namespace ladder {
constexpr int SCAN_THREADS = 256;
using ScanKernel = void (*)(float* y, float* sums, const float* x, int64_t n);

// A block for each stretch but the first.
static __global__ void __launch_bounds__(SCAN_THREADS)
    add_sums_kernel(float* y, const float* sums, int64_t n, int stretch) {
    int64_t first = int64_t(blockIdx.x + 1) * stretch;
    float before = sums[blockIdx.x];
    for (int k = threadIdx.x; k < stretch; k += SCAN_THREADS)
        if (first + k < n) y[first + k] += before;
}

// stretch: numbers to a sum.  each: numbers to a block, one stretch or several.  The workspace holds the sums of all
// levels, one after the other.
inline void scan_in_levels(const char* name, ScanKernel kernel, int stretch, int each, float* y, float* sums,
                           const float* x, int64_t n, cudaStream_t stream) {
    int64_t count = blocks(n, stretch);
    ::tinymed::launch(name, kernel, blocks(n, each), SCAN_THREADS, 0, stream, y, sums, x, n);
    if (count <= 1) return;
    scan_in_levels(name, kernel, stretch, each, sums, sums + count, sums, count, stream);
    LAUNCH(add_sums_kernel, unsigned(count - 1), SCAN_THREADS, 0, stream, y, sums, n, stretch);
}
}  // namespace ladder
