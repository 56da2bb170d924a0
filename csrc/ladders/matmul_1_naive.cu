// Matrix product, rung 1: a thread for each sum, neighbours in a column of y, as the formula is written.
//
// Neighbouring threads read a and write y a whole row apart: a request of a warp touches 32 sectors of 32 bytes and
// uses 4 bytes of each.
#include "launch.h"

namespace {
__global__ void naive_kernel(float* y, const float* a, const float* b, int rows, int columns, int depth) {
    int t = blockIdx.x * blockDim.x + threadIdx.x, i = t % rows, j = t / rows;
    if (j >= columns) return;
    float sum = 0;
    for (int k = 0; k < depth; ++k) sum += a[size_t(i) * depth + k] * b[size_t(k) * columns + j];
    y[size_t(i) * columns + j] = sum;
}
}  // namespace

void matmul_1_naive(Out<float> y, In<float> a, In<float> b, cudaStream_t stream) {
    if (!y.size()) return;
    LAUNCH(naive_kernel, blocks(y.size(), 256), 256, 0, stream, y.data, a.data, b.data, a.length(0), b.length(1),
           a.length(1));
}
BIND(matmul_1_naive, "y a b");
