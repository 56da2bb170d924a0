// A stretch of 1024 numbers in the registers of a block, four a thread, as rung 6 of the scan has them: loaded,
// scanned, stored.  Rungs 7 to 9 differ in how they learn what comes before a stretch.
#pragma once
#include "launch.h"

namespace ladder {
constexpr int SCAN_THREADS = 256, STRETCH = 4 * SCAN_THREADS;

// The sum of the numbers of all lanes up to this one.
__device__ inline float scan_of_warp(float v) {
    int lane = threadIdx.x % 32;
    for (int d = 1; d < 32; d *= 2) {
        float before = __shfl_up_sync(~0u, v, d);
        if (lane >= d) v += before;
    }
    return v;
}

struct Four {
    float v[4];

    // The numbers from x[i] on, 0 beyond the n-th; x as it begins at 16 bytes or not.
    __device__ void load(const float* x, int64_t i, int64_t n) {
        if (i + 4 <= n && reinterpret_cast<uintptr_t>(x) % 16 == 0) {
            float4 all = *reinterpret_cast<const float4*>(x + i);
            v[0] = all.x, v[1] = all.y, v[2] = all.z, v[3] = all.w;
        } else {
#pragma unroll
            for (int k = 0; k < 4; ++k) v[k] = i + k < n ? x[i + k] : 0;
        }
    }
    __device__ void store(float* y, int64_t i, int64_t n, float before) const {
        if (i + 4 <= n && reinterpret_cast<uintptr_t>(y) % 16 == 0) {
            *reinterpret_cast<float4*>(y + i) = make_float4(v[0] + before, v[1] + before, v[2] + before, v[3] + before);
        } else {
#pragma unroll
            for (int k = 0; k < 4; ++k)
                if (i + k < n) y[i + k] = v[k] + before;
        }
    }
    // Each number becomes the sum of the block's up to it; the sum of all of them comes back.
    __device__ float scan() {
        __shared__ float warps[32];
        int t = threadIdx.x, warp = t / 32;
        for (int k = 1; k < 4; ++k) v[k] += v[k - 1];
        float all = scan_of_warp(v[3]), before = __shfl_up_sync(~0u, all, 1);
        if (t % 32 == 0) before = 0;
        if (t % 32 == 31) warps[warp] = all;
        __syncthreads();
        if (warp == 0) warps[t] = scan_of_warp(t < SCAN_THREADS / 32 ? warps[t] : 0);
        __syncthreads();
        if (warp) before += warps[warp - 1];
        for (float& one : v) one += before;
        return warps[31];
    }
};
}  // namespace ladder
