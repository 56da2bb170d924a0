// Transpose, rung 1: a thread for each number, neighbours in a row of x, as the formula is written.
//
// A warp reads 32 neighbours of x, 4 sectors of 32 bytes, and writes them a whole row of y apart: 32 sectors, of which
// it uses 4 bytes each.
#include "launch.h"

namespace {
__global__ void naive_kernel(float* y, const float* x, int rows, int columns) {
    int j = blockIdx.x * blockDim.x + threadIdx.x, i = blockIdx.y * blockDim.y + threadIdx.y;
    if (i < rows && j < columns) y[size_t(j) * rows + i] = x[size_t(i) * columns + j];
}
}  // namespace

void transpose_1_naive(Out<float> y, In<float> x, cudaStream_t stream) {
    int rows = x.length(1), columns = x.length(2);
    require(x.shape[0] == 1, "transpose_1_naive: takes one matrix, got ", x.shape);
    LAUNCH(naive_kernel, dim3(blocks(columns, 32), blocks(rows, 8)), dim3(32, 8), 0, stream, y.data, x.data, rows,
           columns);
}
BIND(transpose_1_naive, "y x");
