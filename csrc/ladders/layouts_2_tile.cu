// NCHW to NHWC and back, rung 2: a tile of 32 x 32 goes through shared memory.
//
// A warp reads 32 neighbours of a row and writes 32 neighbours of a column: with 64 channels whole sectors on both
// sides.  But a column of the tile lies in one bank, 32 passes; and of 3 channels a tile has 3 rows: a request writes
// 12 bytes, and more sectors move than in rung 1.
#include "batch.cuh"

namespace {
constexpr int TILE = 32, LINES = 8;

__global__ void __launch_bounds__(TILE * LINES)
    tile_kernel(float* y, const float* x, ladder::Batch b, int down, int across) {
    __shared__ float tile[TILE][TILE];
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

void layouts_2_tile(Out<float> y, In<float> x, cudaStream_t stream) {
    ladder::Batch batch("layouts_2_tile", x.shape);
    int down = int(blocks(batch.rows, TILE)), across = int(blocks(batch.columns, TILE));
    LAUNCH(tile_kernel, unsigned(batch.count * down * across), TILE * LINES, 0, stream, y.data, x.data, batch, down,
           across);
}
BIND(layouts_2_tile, "y x");
