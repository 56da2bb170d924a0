// NCHW to NHWC and back, rung 4: four neighbours a load and four a store.
//
// A thread reads four numbers of a row by one request and writes four of a column by one: a quarter of the requests of
// global memory.  To and from the tile they still go one by one.  Rows and columns that do not begin at 16 bytes, all
// those whose length is no multiple of four, are read and written number by number.
#include "batch.cuh"

namespace {
constexpr int TILE = 32, EACH = 4, LANES = TILE / EACH, THREADS = TILE * LANES;

__global__ void __launch_bounds__(THREADS) float4_kernel(float* y, const float* x, ladder::Batch b, int down,
                                                         int across, bool wide_rows, bool wide_columns) {
    __shared__ float tile[TILE][TILE + 1];
    int line = threadIdx.x / LANES, four = threadIdx.x % LANES * EACH;
    int i0 = blockIdx.x / across % down * TILE, j0 = blockIdx.x % across * TILE;
    int64_t matrix = int64_t(blockIdx.x / across / down) * b.rows * b.columns;
    if (i0 + line < b.rows && j0 + four < b.columns) {
        const float* from = x + matrix + (i0 + line) * b.columns + j0 + four;
        float4 v = make_float4(0, 0, 0, 0);
        if (wide_rows) {
            v = *reinterpret_cast<const float4*>(from);
        } else {
            int left = b.columns - j0 - four;
            v.x = from[0];
            if (left > 1) v.y = from[1];
            if (left > 2) v.z = from[2];
            if (left > 3) v.w = from[3];
        }
        tile[line][four] = v.x, tile[line][four + 1] = v.y, tile[line][four + 2] = v.z, tile[line][four + 3] = v.w;
    }
    __syncthreads();
    int left = b.rows - i0 - four;
    if (j0 + line >= b.columns || left <= 0) return;
    float* to = y + matrix + (j0 + line) * b.rows + i0 + four;
    if (wide_columns) {
        *reinterpret_cast<float4*>(to) =
            make_float4(tile[four][line], tile[four + 1][line], tile[four + 2][line], tile[four + 3][line]);
    } else {
#pragma unroll
        for (int k = 0; k < EACH; ++k)
            if (k < left) to[k] = tile[four + k][line];
    }
}
}  // namespace

void layouts_4_float4(Out<float> y, In<float> x, cudaStream_t stream) {
    ladder::Batch batch("layouts_4_float4", x.shape);
    int down = int(blocks(batch.rows, TILE)), across = int(blocks(batch.columns, TILE));
    LAUNCH(float4_kernel, unsigned(batch.count * down * across), THREADS, 0, stream, y.data, x.data, batch, down,
           across, x.aligned(16) && batch.columns % EACH == 0, y.aligned(16) && batch.rows % EACH == 0);
}
BIND(layouts_4_float4, "y x");
