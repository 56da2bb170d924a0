// A sum of many numbers by a kernel that leaves a number for each block: launched again on what it left, until one is.
#pragma once
#include "launch.h"

namespace ladder {
constexpr int SUM_THREADS = 256;
using SumKernel = void (*)(float* y, const float* x, int64_t n);

// each: numbers that a block adds up.  The workspace holds what the launches leave, one after the other.
inline void sum_in_levels(const char* name, SumKernel kernel, int each, const Out<float>& y, const Work<float>& left,
                          const In<float>& x, cudaStream_t stream) {
    const float* from = x.data;
    float* to = left.data;
    for (int64_t n = x.size();; to += n) {
        unsigned count = n > each ? blocks(n, each) : 1;
        ::tinymed::launch(name, kernel, count, SUM_THREADS, 0, stream, count == 1 ? y.data : to, from, n);
        if (count == 1) return;
        from = to, n = count;
    }
}
}  // namespace ladder
