// Scan, rung 5: a warp scans its 32 numbers by shuffles.
//
// The five steps of Hillis and Steele within a warp need neither shared memory nor a barrier: a lane gets the register
// of the lane d places before it.  Shared memory holds one number for each warp, and there are two barriers instead of
// the tree's nineteen.
#include "scans.cuh"

namespace {
using ladder::SCAN_THREADS;

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
    int64_t i = int64_t(blockIdx.x) * SCAN_THREADS + t;
    float v = scan_of_warp(i < n ? x[i] : 0);
    if (t % 32 == 31) warps[warp] = v;
    __syncthreads();
    if (warp == 0) warps[t] = scan_of_warp(t < SCAN_THREADS / 32 ? warps[t] : 0);
    __syncthreads();
    if (warp) v += warps[warp - 1];
    if (i < n) y[i] = v;
    if (t == SCAN_THREADS - 1) sums[blockIdx.x] = v;
}
}  // namespace

void scan_5_shuffle(Out<float> y, Work<float> sums, In<float> x, cudaStream_t stream) {
    ladder::scan_in_levels("scan_5_shuffle", scan_kernel, SCAN_THREADS, SCAN_THREADS, y.data, sums.data, x.data,
                           x.size(), stream);
}
BIND(scan_5_shuffle, "y sums x");
