// Layer norm of rows, rung 1: a thread for each row, as the formula is written: the mean, the squares, the quotients.
//
// Neighbouring threads read a whole row apart: 32 sectors of 32 bytes a request, of which it uses 4 bytes each, three
// times over.
#include "launch.h"

namespace {
__global__ void naive_kernel(float* y, float* mean, float* rstd, const float* x, int64_t n, int c, float eps) {
    int64_t row = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (row >= n) return;
    x += row * c, y += row * c;
    float sum = 0, squares = 0;
    for (int j = 0; j < c; ++j) sum += x[j];
    float m = sum / c;
    for (int j = 0; j < c; ++j) squares += (x[j] - m) * (x[j] - m);
    float r = 1 / sqrtf(squares / c + eps);
    for (int j = 0; j < c; ++j) y[j] = (x[j] - m) * r;
    mean[row] = m, rstd[row] = r;
}
}  // namespace

void layer_norm_1_naive(Out<float> y, Out<float> mean, Out<float> rstd, In<float> x, float eps, cudaStream_t stream) {
    LAUNCH(naive_kernel, blocks(x.shape[0], 64), 64, 0, stream, y.data, mean.data, rstd.data, x.data, x.shape[0],
           x.length(1), eps);
}
BIND(layer_norm_1_naive, "y mean rstd x eps");
