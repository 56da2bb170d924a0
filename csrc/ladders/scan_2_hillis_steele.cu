// Scan, rung 2: a block scans 256 numbers in shared memory, in eight steps (Hillis and Steele 1986).
//
// Step d adds to each number the one d places before it: d is 1, 2, 4, ..., 128.  Global memory is read and written by
// neighbours.  Two buffers, or a thread would overwrite what another has yet to read.  What is left: eight additions
// for each number, where a walk needs one.
#include "scans.cuh"

namespace {
using ladder::SCAN_THREADS;

__global__ void __launch_bounds__(SCAN_THREADS) scan_kernel(float* y, float* sums, const float* x, int64_t n) {
    __shared__ float s[2][SCAN_THREADS];
    int t = threadIdx.x, now = 0;
    int64_t i = int64_t(blockIdx.x) * SCAN_THREADS + t;
    s[0][t] = i < n ? x[i] : 0;
    __syncthreads();
    for (int d = 1; d < SCAN_THREADS; d *= 2) {
        s[1 - now][t] = t >= d ? s[now][t - d] + s[now][t] : s[now][t];
        now = 1 - now;
        __syncthreads();
    }
    if (i < n) y[i] = s[now][t];
    if (t == SCAN_THREADS - 1) sums[blockIdx.x] = s[now][t];
}
}  // namespace

void scan_2_hillis_steele(Out<float> y, Work<float> sums, In<float> x, cudaStream_t stream) {
    ladder::scan_in_levels("scan_2_hillis_steele", scan_kernel, SCAN_THREADS, SCAN_THREADS, y.data, sums.data, x.data,
                           x.size(), stream);
}
BIND(scan_2_hillis_steele, "y sums x");
