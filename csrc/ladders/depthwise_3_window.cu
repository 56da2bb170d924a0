// Depthwise convolution of 3 x 3, rung 3: a thread slides a window of registers down eight rows.
//
// Two of the three rows that a number of y needs were needed by the one above it, and are still in registers: three
// reads of shared memory for each number, and six once, where rung 2 has nine.  The filter is read once for eight
// numbers, and a tile of 32 x 32 has a smaller halo: 1.13 reads of x for each number.
#include "maps.cuh"

namespace {
constexpr int TILE = 32, ROWS = 8, THREADS = TILE * TILE / ROWS;

__global__ void __launch_bounds__(THREADS)
    window_kernel(float* y, const float* x, const float* weight, ladder::Maps maps, int down, int across) {
    __shared__ float tile[TILE + 2][TILE + 2];
    int tx = threadIdx.x % TILE, ty = threadIdx.x / TILE, map = blockIdx.x / (down * across);
    int i0 = blockIdx.x / across % down * TILE, j0 = blockIdx.x % across * TILE, size = maps.height * maps.width;
    const float *from = x + int64_t(map) * size, *filter = weight + map % maps.channels * 9;
    for (int k = threadIdx.x; k < (TILE + 2) * (TILE + 2); k += THREADS) {
        int i = k / (TILE + 2), j = k % (TILE + 2);
        tile[i][j] = maps.at(from, i0 + i - 1, j0 + j - 1);
    }
    float w[3][3], window[3][3];  // window: of the rows above, at and below
#pragma unroll
    for (int k = 0; k < 9; ++k) w[k / 3][k % 3] = filter[k];
    __syncthreads();
    int first = ty * ROWS, j = j0 + tx;
#pragma unroll
    for (int k = 0; k < 6; ++k) window[k / 3 + 1][k % 3] = tile[first + k / 3][tx + k % 3];
#pragma unroll
    for (int i = first; i < first + ROWS; ++i) {
        float sum = 0;
#pragma unroll
        for (int s = 0; s < 3; ++s) {
            window[0][s] = window[1][s], window[1][s] = window[2][s], window[2][s] = tile[i + 2][tx + s];
            sum += window[0][s] * w[0][s] + window[1][s] * w[1][s] + window[2][s] * w[2][s];
        }
        if (i0 + i < maps.height && j < maps.width) y[int64_t(map) * size + (i0 + i) * maps.width + j] = sum;
    }
}
}  // namespace

void depthwise_3_window(Out<float> y, In<float> x, In<float> weight, cudaStream_t stream) {
    ladder::Maps maps("depthwise_3_window", x.shape, weight.shape);
    int down = int(blocks(maps.height, TILE)), across = int(blocks(maps.width, TILE));
    LAUNCH(window_kernel, unsigned(maps.count * down * across), THREADS, 0, stream, y.data, x.data, weight.data, maps,
           down, across);
}
BIND(depthwise_3_window, "y x weight");
