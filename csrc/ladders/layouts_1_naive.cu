// NCHW to NHWC and back, rung 1: a thread for each number of y.
//
// Neighbouring threads write neighbours and read a row apart: with 64 channels each of the 32 numbers of a request lies
// in a sector of its own.  With 3 channels a warp's numbers are of three rows, eleven of each: a third of the harm.
#include "batch.cuh"

namespace {
constexpr int THREADS = 256;

__global__ void __launch_bounds__(THREADS) naive_kernel(float* y, const float* x, ladder::Batch b, int numbers) {
    int n = blockIdx.x * THREADS + threadIdx.x;
    if (n >= numbers) return;
    int row = n % b.rows, column = n / b.rows % b.columns, matrix = n / b.rows / b.columns;
    y[n] = x[(matrix * b.rows + row) * b.columns + column];
}
}  // namespace

void layouts_1_naive(Out<float> y, In<float> x, cudaStream_t stream) {
    ladder::Batch batch("layouts_1_naive", x.shape);
    LAUNCH(naive_kernel, blocks(x.size(), THREADS), THREADS, 0, stream, y.data, x.data, batch, int(x.size()));
}
BIND(layouts_1_naive, "y x");
