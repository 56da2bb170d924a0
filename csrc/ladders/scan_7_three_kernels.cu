// Scan, rung 7: the sums first, then one scan that knows what comes before.
//
// Rungs 1 to 6 write every number, and read and write it again to add what came before its stretch: four passes over
// the array.  Here a first kernel adds up each stretch and writes its sum alone; the sums are scanned; the last kernel
// scans each stretch and adds what came before it while the numbers are in registers: three passes.
#include "scan_tile.cuh"

namespace {
using namespace ladder;

__global__ void __launch_bounds__(SCAN_THREADS) sum_kernel(float* sums, const float* x, int64_t n) {
    __shared__ float warps[SCAN_THREADS / 32];
    int t = threadIdx.x;
    Four four;
    four.load(x, int64_t(blockIdx.x) * STRETCH + 4 * t, n);
    float sum = four.v[0] + four.v[1] + (four.v[2] + four.v[3]);
    for (int d = 16; d; d /= 2) sum += __shfl_down_sync(~0u, sum, d);
    if (t % 32 == 0) warps[t / 32] = sum;
    __syncthreads();
    if (t) return;
    for (int w = 1; w < SCAN_THREADS / 32; ++w) sum += warps[w];
    sums[blockIdx.x] = sum;
}

// sums: of all stretches up to each, scanned.
__global__ void __launch_bounds__(SCAN_THREADS)
    scan_kernel(float* y, const float* sums, const float* x, int64_t n) {
    int64_t i = int64_t(blockIdx.x) * STRETCH + 4 * threadIdx.x;
    Four four;
    four.load(x, i, n);
    four.scan();
    four.store(y, i, n, blockIdx.x ? sums[blockIdx.x - 1] : 0);
}

void scan(float* y, float* sums, const float* x, int64_t n, cudaStream_t stream) {
    unsigned count = blocks(n, STRETCH);
    if (count > 1) {
        LAUNCH(sum_kernel, count, SCAN_THREADS, 0, stream, sums, x, n);
        scan(sums, sums + count, sums, count, stream);
    }
    LAUNCH(scan_kernel, count, SCAN_THREADS, 0, stream, y, sums, x, n);
}
}  // namespace

void scan_7_three_kernels(Out<float> y, Work<float> sums, In<float> x, cudaStream_t stream) {
    scan(y.data, sums.data, x.data, x.size(), stream);
}
BIND(scan_7_three_kernels, "y sums x");
