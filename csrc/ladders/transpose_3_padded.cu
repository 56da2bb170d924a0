// Transpose, rung 3: a word of padding after each row of the tile.
//
// Row i of the tile begins i banks on, so the 32 numbers of a column lie in 32 banks: one pass.
#include "launch.h"

namespace {
constexpr int TILE = 32, LINES = 8;

__global__ void padded_kernel(float* y, const float* x, int rows, int columns) {
    __shared__ float tile[TILE][TILE + 1];
    int i0 = blockIdx.y * TILE, j0 = blockIdx.x * TILE, tx = threadIdx.x, ty = threadIdx.y;
    for (int i = ty; i < TILE; i += LINES)
        if (i0 + i < rows && j0 + tx < columns) tile[i][tx] = x[size_t(i0 + i) * columns + j0 + tx];
    __syncthreads();
    for (int j = ty; j < TILE; j += LINES)
        if (j0 + j < columns && i0 + tx < rows) y[size_t(j0 + j) * rows + i0 + tx] = tile[tx][j];
}
}  // namespace

void transpose_3_padded(Out<float> y, In<float> x, cudaStream_t stream) {
    int rows = x.length(1), columns = x.length(2);
    require(x.shape[0] == 1, "transpose_3_padded: takes one matrix, got ", x.shape);
    LAUNCH(padded_kernel, dim3(blocks(columns, TILE), blocks(rows, TILE)), dim3(TILE, LINES), 0, stream, y.data, x.data,
           rows, columns);
}
BIND(transpose_3_padded, "y x");
