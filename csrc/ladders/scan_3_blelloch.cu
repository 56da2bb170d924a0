// Scan, rung 3: up and down a tree (Blelloch 1990), two additions for each number.
//
// Going up, pairs, fours, eights, ... are added, as in a sum; going down, each half learns what comes before it.  Half
// as many reads of shared memory as in rung 2, but neighbouring lanes want words 2 d apart: up to 16 of them in one
// bank, which are served one after the other.
#include "scans.cuh"

namespace {
using ladder::SCAN_THREADS;

constexpr int STRETCH = 2 * SCAN_THREADS;

__global__ void __launch_bounds__(SCAN_THREADS) scan_kernel(float* y, float* sums, const float* x, int64_t n) {
    __shared__ float s[STRETCH];
    int t = threadIdx.x;
    int64_t i = int64_t(blockIdx.x) * STRETCH + t, j = i + SCAN_THREADS;
    float a = i < n ? x[i] : 0, b = j < n ? x[j] : 0;
    s[t] = a, s[t + SCAN_THREADS] = b;
    for (int d = 1; d < STRETCH; d *= 2) {  // up: the last number of each run of 2 d becomes the sum of the run
        __syncthreads();
        int k = 2 * d * (t + 1) - 1;
        if (k < STRETCH) s[k] += s[k - d];
    }
    if (t == 0) {  // k was the last number in the last step
        sums[blockIdx.x] = s[STRETCH - 1];
        s[STRETCH - 1] = 0;
    }
    // Down: what comes before a run comes before its first half, and with the sum of that half before its second.
    for (int d = SCAN_THREADS; d; d /= 2) {
        __syncthreads();
        int k = 2 * d * (t + 1) - 1;
        if (k < STRETCH) {
            float half = s[k - d];
            s[k - d] = s[k];
            s[k] += half;
        }
    }
    __syncthreads();
    if (i < n) y[i] = s[t] + a;  // the tree leaves the sum of all numbers before
    if (j < n) y[j] = s[t + SCAN_THREADS] + b;
}
}  // namespace

void scan_3_blelloch(Out<float> y, Work<float> sums, In<float> x, cudaStream_t stream) {
    ladder::scan_in_levels("scan_3_blelloch", scan_kernel, STRETCH, STRETCH, y.data, sums.data, x.data, x.size(),
                           stream);
}
BIND(scan_3_blelloch, "y sums x");
