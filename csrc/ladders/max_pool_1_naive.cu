// Max-pooling 2 x 2, rung 1: a thread for each pixel of a map, neighbours in a row of it, as the formula is written.
//
// The images lie channels-last, so neighbouring threads read words 2 c apart: each request of a warp touches 32 sectors
// of 32 bytes, and uses 4 bytes of each.  It moves eight times what it needs.
#include "pool.cuh"

namespace {
__global__ void naive_kernel(float* y, uint8_t* index, const float* x, int64_t n, int h, int w, int c, int height,
                             int width) {
    int64_t t = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (t >= n) return;
    int j = int(t % w), i = int(t / w % h), k = int(t / w / h % c);
    int64_t b = t / w / h / c;
    float best = 0;
    uint8_t first = 0;
    for (int tap = 0; tap < 4; ++tap) {
        float v = x[((b * height + 2 * i + tap / 2) * width + 2 * j + tap % 2) * c + k];
        if (tap == 0 || pool::exceeds(v, best)) best = v, first = uint8_t(tap);
    }
    y[((b * h + i) * w + j) * c + k] = best;
    index[((b * h + i) * w + j) * c + k] = first;
}
}  // namespace

void max_pool_1_naive(Out<float> y, Out<uint8_t> index, In<float> x, Lengths, cudaStream_t stream) {
    int64_t n = y.size();
    LAUNCH(naive_kernel, blocks(n, 256), 256, 0, stream, y.data, index.data, x.data, n, y.length(1), y.length(2),
           y.length(3), x.length(1), x.length(2));
}
BIND(max_pool_1_naive, "y index x size");
