// NCHW to NHWC and back, rung 3: a word of padding after each row of the tile.
//
// A column is spread over the banks: one pass.
#include "batch.cuh"

namespace {
constexpr int TILE = 32, LINES = 8;

__global__ void __launch_bounds__(TILE * LINES)
    tile_kernel(float* y, const float* x, ladder::Batch b, int down, int across) {
    __shared__ float tile[TILE][TILE + 1];
    int tx = threadIdx.x % TILE, ty = threadIdx.x / TILE;
    int i0 = blockIdx.x / across % down * TILE, j0 = blockIdx.x % across * TILE;
    int64_t matrix = int64_t(blockIdx.x / across / down) * b.rows * b.columns;
    for (int i = ty; i < TILE; i += LINES)
        if (i0 + i < b.rows && j0 + tx < b.columns) tile[i][tx] = x[matrix + (i0 + i) * b.columns + j0 + tx];
    __syncthreads();
    for (int j = ty; j < TILE; j += LINES)
        if (j0 + j < b.columns && i0 + tx < b.rows) y[matrix + (j0 + j) * b.rows + i0 + tx] = tile[tx][j];
}
}  // namespace

void layouts_3_padded(Out<float> y, In<float> x, cudaStream_t stream) {
    ladder::Batch batch("layouts_3_padded", x.shape);
    int down = int(blocks(batch.rows, TILE)), across = int(blocks(batch.columns, TILE));
    LAUNCH(tile_kernel, unsigned(batch.count * down * across), TILE * LINES, 0, stream, y.data, x.data, batch, down,
           across);
}
BIND(layouts_3_padded, "y x");
