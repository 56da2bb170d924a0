// Moments of batch norm, rung 1: a thread for each channel goes over all rows, twice.
//
// Accesses are coalesced, but there are as many threads as channels: 64 channels keep 2 warps of a GPU's thousands
// busy, and every addition waits for the one before.  Squares of deviations need the mean first, so memory is read
// twice.
#include "launch.h"

namespace {
__global__ void naive_kernel(float* mean, float* rstd, const float* x, int64_t n, int c, float eps) {
    int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= c) return;
    double sum = 0, squares = 0;
    for (int64_t row = 0; row < n; ++row) sum += x[row * c + k];
    double m = n > 0 ? sum / double(n) : 0.0;
    for (int64_t row = 0; row < n; ++row) squares += (x[row * c + k] - m) * (x[row * c + k] - m);
    mean[k] = float(m);
    rstd[k] = float(1.0 / sqrt(squares / (n > 1 ? double(n) : 1.0) + double(eps)));
}
}  // namespace

void batch_norm_1_naive(Out<float> mean, Out<float> rstd, In<float> x, float eps, cudaStream_t stream) {
    int c = x.length(1);
    LAUNCH(naive_kernel, blocks(c, 64), 64, 0, stream, mean.data, rstd.data, x.data, x.shape[0], c, eps);
}
BIND(batch_norm_1_naive, "mean rstd x eps");
