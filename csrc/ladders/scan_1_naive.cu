// Scan (every number becomes the sum of all up to it), rung 1: a thread walks along 256 numbers.
//
// Neighbouring threads read and write 256 numbers apart: a request of a warp touches 32 sectors where 4 would do.  The
// sums of the stretches are scanned in the same way, and added by a third launch.
#include "scans.cuh"

namespace {
using ladder::SCAN_THREADS;

constexpr int STRETCH = 256;

__global__ void __launch_bounds__(SCAN_THREADS) scan_kernel(float* y, float* sums, const float* x, int64_t n) {
    int64_t stretch = int64_t(blockIdx.x) * SCAN_THREADS + threadIdx.x, first = stretch * STRETCH;
    if (first >= n) return;
    float sum = 0;
    for (int64_t i = first; i < n && i < first + STRETCH; ++i) {
        sum += x[i];
        y[i] = sum;
    }
    sums[stretch] = sum;
}
}  // namespace

void scan_1_naive(Out<float> y, Work<float> sums, In<float> x, cudaStream_t stream) {
    ladder::scan_in_levels("scan_1_naive", scan_kernel, STRETCH, STRETCH * SCAN_THREADS, y.data, sums.data, x.data,
                           x.size(), stream);
}
BIND(scan_1_naive, "y sums x");
