// Scan, rung 4: the same tree with a word of padding after each 32.
//
// Word k lies in place k + k / 32.  Words that are 32 apart, or a multiple of it, are then in different banks, and
// every request of the tree takes one pass.
#include "scans.cuh"

namespace {
using ladder::SCAN_THREADS;

constexpr int STRETCH = 2 * SCAN_THREADS;

__device__ int padded(int k) { return k + k / 32; }

__global__ void __launch_bounds__(SCAN_THREADS) scan_kernel(float* y, float* sums, const float* x, int64_t n) {
    __shared__ float s[STRETCH + STRETCH / 32];
    int t = threadIdx.x;
    int64_t i = int64_t(blockIdx.x) * STRETCH + t, j = i + SCAN_THREADS;
    float a = i < n ? x[i] : 0, b = j < n ? x[j] : 0;
    s[padded(t)] = a, s[padded(t + SCAN_THREADS)] = b;
    for (int d = 1; d < STRETCH; d *= 2) {  // up: the last number of each run of 2 d becomes the sum of the run
        __syncthreads();
        int k = 2 * d * (t + 1) - 1;
        if (k < STRETCH) s[padded(k)] += s[padded(k - d)];
    }
    if (t == 0) {  // k was the last number in the last step
        sums[blockIdx.x] = s[padded(STRETCH - 1)];
        s[padded(STRETCH - 1)] = 0;
    }
    // Down: what comes before a run comes before its first half, and with the sum of that half before its second.
    for (int d = SCAN_THREADS; d; d /= 2) {
        __syncthreads();
        int k = 2 * d * (t + 1) - 1;
        if (k < STRETCH) {
            float half = s[padded(k - d)];
            s[padded(k - d)] = s[padded(k)];
            s[padded(k)] += half;
        }
    }
    __syncthreads();
    if (i < n) y[i] = s[padded(t)] + a;  // the tree leaves the sum of all numbers before
    if (j < n) y[j] = s[padded(t + SCAN_THREADS)] + b;
}
}  // namespace

void scan_4_padded(Out<float> y, Work<float> sums, In<float> x, cudaStream_t stream) {
    ladder::scan_in_levels("scan_4_padded", scan_kernel, STRETCH, STRETCH, y.data, sums.data, x.data, x.size(),
                           stream);
}
BIND(scan_4_padded, "y sums x");
