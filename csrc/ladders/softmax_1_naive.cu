// Softmax of rows, rung 1: a thread for each row, as the formula is written: the largest, the sum, the quotients.
//
// Neighbouring threads read a whole row apart: 32 sectors of 32 bytes a request, of which it uses 4 bytes each, three
// times over.
#include "launch.h"

namespace {
__global__ void naive_kernel(float* y, const float* x, int64_t n, int c) {
    int64_t row = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (row >= n) return;
    x += row * c, y += row * c;
    float top = -INFINITY, sum = 0;
    for (int j = 0; j < c; ++j) top = x[j] > top ? x[j] : top;
    for (int j = 0; j < c; ++j) sum += expf(x[j] - top);
    for (int j = 0; j < c; ++j) y[j] = expf(x[j] - top) / sum;
}
}  // namespace

void softmax_1_naive(Out<float> y, In<float> x, cudaStream_t stream) {
    LAUNCH(naive_kernel, blocks(x.shape[0], 64), 64, 0, stream, y.data, x.data, x.shape[0], x.length(1));
}
BIND(softmax_1_naive, "y x");
