// Depthwise convolution of 3 x 3, rung 2: a tile of 8 x 32 with its halo in shared memory.
//
// A block brings 10 x 34 numbers once, 1.3 for each number of y where rung 1 asks for nine; the zeros around a map are
// put there then, and the nine reads are of shared memory.  What is left: those nine reads, and the nine of the filter.
#include "maps.cuh"

namespace {
constexpr int ROWS = 8, COLUMNS = 32, THREADS = ROWS * COLUMNS;

__global__ void __launch_bounds__(THREADS)
    shared_kernel(float* y, const float* x, const float* weight, ladder::Maps maps, int down, int across) {
    __shared__ float tile[ROWS + 2][COLUMNS + 2];
    int tx = threadIdx.x % COLUMNS, ty = threadIdx.x / COLUMNS, map = blockIdx.x / (down * across);
    int i0 = blockIdx.x / across % down * ROWS, j0 = blockIdx.x % across * COLUMNS, size = maps.height * maps.width;
    const float *from = x + int64_t(map) * size, *filter = weight + map % maps.channels * 9;
    for (int k = threadIdx.x; k < (ROWS + 2) * (COLUMNS + 2); k += THREADS) {
        int i = k / (COLUMNS + 2), j = k % (COLUMNS + 2);
        tile[i][j] = maps.at(from, i0 + i - 1, j0 + j - 1);
    }
    __syncthreads();
    int i = i0 + ty, j = j0 + tx;
    if (i >= maps.height || j >= maps.width) return;
    float sum = 0;
    for (int r = 0; r < 3; ++r)
        for (int s = 0; s < 3; ++s) sum += tile[ty + r][tx + s] * filter[r * 3 + s];
    y[int64_t(map) * size + i * maps.width + j] = sum;
}
}  // namespace

void depthwise_2_shared(Out<float> y, In<float> x, In<float> weight, cudaStream_t stream) {
    ladder::Maps maps("depthwise_2_shared", x.shape, weight.shape);
    int down = int(blocks(maps.height, ROWS)), across = int(blocks(maps.width, COLUMNS));
    LAUNCH(shared_kernel, unsigned(maps.count * down * across), THREADS, 0, stream, y.data, x.data, weight.data, maps,
           down, across);
}
BIND(depthwise_2_shared, "y x weight");
