// Transpose, rung 4: column j of row i lies in word i ^ j of its row, in the place of padding.
//
// Both a row and a column are then spread over the 32 banks, for no word more.  Where tiles are copied 16 bytes at a
// time padding would break the alignment, and this is what is left.
#include "launch.h"

namespace {
constexpr int TILE = 32, LINES = 8;

__global__ void swizzled_kernel(float* y, const float* x, int rows, int columns) {
    __shared__ float tile[TILE][TILE];
    int i0 = blockIdx.y * TILE, j0 = blockIdx.x * TILE, tx = threadIdx.x, ty = threadIdx.y;
    for (int i = ty; i < TILE; i += LINES)
        if (i0 + i < rows && j0 + tx < columns) tile[i][tx ^ i] = x[size_t(i0 + i) * columns + j0 + tx];
    __syncthreads();
    for (int j = ty; j < TILE; j += LINES)
        if (j0 + j < columns && i0 + tx < rows) y[size_t(j0 + j) * rows + i0 + tx] = tile[tx][j ^ tx];
}
}  // namespace

void transpose_4_swizzled(Out<float> y, In<float> x, cudaStream_t stream) {
    int rows = x.length(1), columns = x.length(2);
    require(x.shape[0] == 1, "transpose_4_swizzled: takes one matrix, got ", x.shape);
    LAUNCH(swizzled_kernel, dim3(blocks(columns, TILE), blocks(rows, TILE)), dim3(TILE, LINES), 0, stream, y.data,
           x.data, rows, columns);
}
BIND(transpose_4_swizzled, "y x");
