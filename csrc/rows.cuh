// One row of a matrix to a group of neighbouring lanes of a warp.
#pragma once
#include "launch.h"

namespace rows {
constexpr int THREADS = 256;

// Lanes that a row of c numbers has use for: a power of two, at most a warp.
inline int wide_for(int c) {
    int wide = 1;
    while (wide < 32 && wide < c) wide *= 2;
    return wide;
}

// Every thread of the block makes one and calls its collectives, also those beyond the last row: for them c is 0.
struct Group {
    int64_t row;
    int c, wide, lane;  // lane: within the group
    bool exists;
    __device__ Group(int64_t n, int length, int wide) : c(length), wide(wide), lane(threadIdx.x % wide) {
        row = int64_t(blockIdx.x) * (THREADS / wide) + threadIdx.x / wide;
        exists = row < n;
        if (!exists) row = 0, c = 0;
    }
    __device__ double sum(double v) const {  // the same in all lanes
        for (int d = wide / 2; d; d /= 2) v += __shfl_xor_sync(~0u, v, d, wide);
        return v;
    }
    __device__ float most(const float* x) const {  // a NaN loses here; it comes out of the exponentials
        float top = -INFINITY;
        for (int j = lane; j < c; j += wide) top = x[j] > top ? x[j] : top;
        for (int d = wide / 2; d; d /= 2) {
            float other = __shfl_xor_sync(~0u, top, d, wide);
            top = other > top ? other : top;
        }
        return top;
    }
};
}  // namespace rows
