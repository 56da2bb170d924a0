// Scan, rung 6: four numbers a thread, in one load and one store of 16 bytes.
//
// A thread adds up its four numbers in registers; the warp scans the sums.  A block's shuffles and barriers serve 1024
// numbers instead of 256, and a quarter as many sums are left for the next level.  Memory that does not begin at 16
// bytes is read number by number, as are the last few numbers.
#include "scans.cuh"

namespace {
using ladder::SCAN_THREADS;

constexpr int STRETCH = 4 * SCAN_THREADS;

// The sum of the numbers of all lanes up to this one.
__device__ float scan_of_warp(float v) {
    int lane = threadIdx.x % 32;
    for (int d = 1; d < 32; d *= 2) {
        float before = __shfl_up_sync(~0u, v, d);
        if (lane >= d) v += before;
    }
    return v;
}

__global__ void __launch_bounds__(SCAN_THREADS) scan_kernel(float* y, float* sums, const float* x, int64_t n) {
    __shared__ float warps[32];
    int t = threadIdx.x, warp = t / 32;
    int64_t i = int64_t(blockIdx.x) * STRETCH + 4 * t;
    bool wide = i + 4 <= n && (reinterpret_cast<uintptr_t>(x) | reinterpret_cast<uintptr_t>(y)) % 16 == 0;
    float4 v = make_float4(0, 0, 0, 0);
    if (wide) {
        v = *reinterpret_cast<const float4*>(x + i);
    } else {
        if (i < n) v.x = x[i];
        if (i + 1 < n) v.y = x[i + 1];
        if (i + 2 < n) v.z = x[i + 2];
        if (i + 3 < n) v.w = x[i + 3];
    }
    v.y += v.x, v.z += v.y, v.w += v.z;
    float all = scan_of_warp(v.w), before = __shfl_up_sync(~0u, all, 1);
    if (t % 32 == 0) before = 0;
    if (t % 32 == 31) warps[warp] = all;
    __syncthreads();
    if (warp == 0) warps[t] = scan_of_warp(t < SCAN_THREADS / 32 ? warps[t] : 0);
    __syncthreads();
    if (warp) before += warps[warp - 1];
    v.x += before, v.y += before, v.z += before, v.w += before;
    if (wide) {
        *reinterpret_cast<float4*>(y + i) = v;
    } else {
        if (i < n) y[i] = v.x;
        if (i + 1 < n) y[i + 1] = v.y;
        if (i + 2 < n) y[i + 2] = v.z;
        if (i + 3 < n) y[i + 3] = v.w;
    }
    if (t == SCAN_THREADS - 1) sums[blockIdx.x] = v.w;
}
}  // namespace

void scan_6_float4(Out<float> y, Work<float> sums, In<float> x, cudaStream_t stream) {
    ladder::scan_in_levels("scan_6_float4", scan_kernel, STRETCH, STRETCH, y.data, sums.data, x.data, x.size(), stream);
}
BIND(scan_6_float4, "y sums x");
