// Depthwise convolution of 3 x 3, rung 4: four neighbours of a row a thread, without shared memory.
//
// A thread loads four numbers of a row at once and slides down four rows; of the numbers to the left and to the right
// the lanes beside it have theirs in registers, and hand them over by shuffles.  No shared memory and no barrier; loads
// and stores of 16 bytes.  Rows that do not begin at 16 bytes are read and written number by number.
#include "maps.cuh"

namespace {
constexpr int TILE = 32, EACH = 4, LANES = TILE / EACH, ROWS = 4, THREADS = LANES * TILE / ROWS;

struct Row {  // four numbers with one on each side
    float v[EACH + 2];
};

// All lanes of the warp come here together: those of a row of the tile are LANES neighbours.
__device__ Row read_row(const ladder::Maps& maps, const float* map, int i, int j, bool wide) {
    Row row;
    bool inside = unsigned(i) < unsigned(maps.height);
    if (wide && inside && j < maps.width) {
        float4 four = *reinterpret_cast<const float4*>(map + i * maps.width + j);
        row.v[1] = four.x, row.v[2] = four.y, row.v[3] = four.z, row.v[4] = four.w;
    } else {
#pragma unroll
        for (int k = 0; k < EACH; ++k) row.v[k + 1] = maps.at(map, i, j + k);
    }
    int lane = threadIdx.x % LANES;
    row.v[0] = __shfl_up_sync(~0u, row.v[EACH], 1, LANES);
    row.v[EACH + 1] = __shfl_down_sync(~0u, row.v[1], 1, LANES);
    if (lane == 0) row.v[0] = maps.at(map, i, j - 1);
    if (lane == LANES - 1) row.v[EACH + 1] = maps.at(map, i, j + EACH);
    return row;
}

__global__ void __launch_bounds__(THREADS)
    float4_kernel(float* y, const float* x, const float* weight, ladder::Maps maps, int down, int across, bool wide) {
    int tx = threadIdx.x % LANES, ty = threadIdx.x / LANES, map = blockIdx.x / (down * across);
    int i0 = blockIdx.x / across % down * TILE + ty * ROWS, j = blockIdx.x % across * TILE + tx * EACH;
    int size = maps.height * maps.width;
    const float *from = x + int64_t(map) * size, *filter = weight + map % maps.channels * 9;
    float w[3][3];
#pragma unroll
    for (int k = 0; k < 9; ++k) w[k / 3][k % 3] = filter[k];
    Row window[3];
    window[1] = read_row(maps, from, i0 - 1, j, wide), window[2] = read_row(maps, from, i0, j, wide);
#pragma unroll
    for (int i = i0; i < i0 + ROWS; ++i) {
        window[0] = window[1], window[1] = window[2], window[2] = read_row(maps, from, i + 1, j, wide);
        float sum[EACH] = {};
#pragma unroll
        for (int k = 0; k < EACH; ++k)
#pragma unroll
            for (int r = 0; r < 3; ++r)
#pragma unroll
                for (int s = 0; s < 3; ++s) sum[k] += window[r].v[k + s] * w[r][s];
        if (i >= maps.height || j >= maps.width) continue;
        float* to = y + int64_t(map) * size + i * maps.width + j;
        if (wide) {
            *reinterpret_cast<float4*>(to) = make_float4(sum[0], sum[1], sum[2], sum[3]);
        } else {
#pragma unroll
            for (int k = 0; k < EACH; ++k)
                if (j + k < maps.width) to[k] = sum[k];
        }
    }
}
}  // namespace

void depthwise_4_float4(Out<float> y, In<float> x, In<float> weight, cudaStream_t stream) {
    ladder::Maps maps("depthwise_4_float4", x.shape, weight.shape);
    int down = int(blocks(maps.height, TILE)), across = int(blocks(maps.width, TILE));
    bool wide = maps.width % EACH == 0 && x.aligned(16) && y.aligned(16);
    LAUNCH(float4_kernel, unsigned(maps.count * down * across), THREADS, 0, stream, y.data, x.data, weight.data, maps,
           down, across, wide);
}
BIND(depthwise_4_float4, "y x weight");
