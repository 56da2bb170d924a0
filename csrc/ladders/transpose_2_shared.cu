// Transpose, rung 2: a tile of 32 x 32 passes through shared memory, read by rows and written by rows.
//
// Both sides of global memory now move whole sectors.  But the tile is read by columns: 32 lanes want 32 numbers of one
// bank, and wait 32 times.
#include "launch.h"

namespace {
constexpr int TILE = 32, LINES = 8;

__global__ void shared_kernel(float* y, const float* x, int rows, int columns) {
    __shared__ float tile[TILE][TILE];
    int i0 = blockIdx.y * TILE, j0 = blockIdx.x * TILE, tx = threadIdx.x, ty = threadIdx.y;
    for (int i = ty; i < TILE; i += LINES)
        if (i0 + i < rows && j0 + tx < columns) tile[i][tx] = x[size_t(i0 + i) * columns + j0 + tx];
    __syncthreads();
    for (int j = ty; j < TILE; j += LINES)
        if (j0 + j < columns && i0 + tx < rows) y[size_t(j0 + j) * rows + i0 + tx] = tile[tx][j];
}
}  // namespace

void transpose_2_shared(Out<float> y, In<float> x, cudaStream_t stream) {
    int rows = x.length(1), columns = x.length(2);
    require(x.shape[0] == 1, "transpose_2_shared: takes one matrix, got ", x.shape);
    LAUNCH(shared_kernel, dim3(blocks(columns, TILE), blocks(rows, TILE)), dim3(TILE, LINES), 0, stream, y.data, x.data,
           rows, columns);
}
BIND(transpose_2_shared, "y x");
