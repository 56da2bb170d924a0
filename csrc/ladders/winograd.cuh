// Winograd's F(2x2, 3x3) as its rungs share it: y = relu(convolution of 3 x 3 + bias), a zero around every image.
//
// Four numbers of y, 2 x 2 of one filter, need 4 x 4 numbers of x: a patch.  Patch and filter are transformed, their 16
// numbers multiplied one by one and added up over the channels, and the 16 sums transformed back: 16 multiplications a
// channel where the definition has 36 (Winograd 1980; Lavin and Gray 2016).  For all tiles at once that is a matrix
// product for each of the 16 places: m[place] = v[place] u[place], tiles x channels by channels x filters.
#pragma once
#include "launch.h"

namespace ladder {
constexpr int WINOGRAD_THREADS = 256, PLACES = 16;

struct Tiles {
    int height, width, channels, filters, down, across, count;  // down, across: tiles of an image

    Tiles(const char* name, const Lengths& y, const Lengths& x, const Lengths& bias)
        : height(int(x[1])), width(int(x[2])), channels(int(x[3])), filters(int(y[3])) {
        down = (height + 1) / 2, across = (width + 1) / 2, count = int(x[0]) * down * across;
        require(bias.count == 1 && bias[0] == filters, name, ": bias of shape ", bias, " for ", filters, " filters");
        require(int64_t(PLACES) * count * (channels > filters ? channels : filters) < (1ll << 31), name,
                ": takes fewer tiles, got x ", x);
    }
    // Where a tile is.
    __device__ int image(int tile) const { return tile / (down * across); }
    __device__ int row(int tile) const { return tile / across % down * 2; }
    __device__ int column(int tile) const { return tile % across * 2; }

    // Numbers of one channel around a tile; zeros around the image, and of tiles beyond the last.
    __device__ void read_patch(float (&d)[4][4], const float* x, int tile, int c) const {
        int top = row(tile) - 1, left = column(tile) - 1;
        const float* from = x + int64_t(image(tile)) * height * width * channels + c;
#pragma unroll
        for (int i = 0; i < 4; ++i)
#pragma unroll
            for (int j = 0; j < 4; ++j) {
                bool inside = tile < count && c < channels && unsigned(top + i) < unsigned(height) &&
                              unsigned(left + j) < unsigned(width);
                d[i][j] = inside ? from[((top + i) * width + left + j) * channels] : 0;
            }
    }
    __device__ void write(float* y, const float (&four)[2][2], int tile, int filter) const {
        int top = row(tile), left = column(tile);
        float* to = y + int64_t(image(tile)) * height * width * filters + filter;
#pragma unroll
        for (int i = 0; i < 2; ++i)
#pragma unroll
            for (int j = 0; j < 2; ++j)
                if (top + i < height && left + j < width) to[((top + i) * width + left + j) * filters] = four[i][j];
    }
};

// ------------------------------------------------------------------------------ the three transforms, in registers

// B' d B, in place
__device__ inline void transform_patch(float (&d)[4][4]) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        float a = d[i][0], b = d[i][1], c = d[i][2], e = d[i][3];
        d[i][0] = a - c, d[i][1] = b + c, d[i][2] = c - b, d[i][3] = b - e;
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) {
        float a = d[0][j], b = d[1][j], c = d[2][j], e = d[3][j];
        d[0][j] = a - c, d[1][j] = b + c, d[2][j] = c - b, d[3][j] = b - e;
    }
}

// G g G'
__device__ inline void transform_filter(float (&u)[4][4], const float (&g)[3][3]) {
    float rows[4][3];
#pragma unroll
    for (int j = 0; j < 3; ++j) {
        rows[0][j] = g[0][j], rows[3][j] = g[2][j];
        rows[1][j] = (g[0][j] + g[1][j] + g[2][j]) / 2, rows[2][j] = (g[0][j] - g[1][j] + g[2][j]) / 2;
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        u[i][0] = rows[i][0], u[i][3] = rows[i][2];
        u[i][1] = (rows[i][0] + rows[i][1] + rows[i][2]) / 2, u[i][2] = (rows[i][0] - rows[i][1] + rows[i][2]) / 2;
    }
}

// A' m A
__device__ inline void transform_sums(float (&y)[2][2], const float (&m)[4][4]) {
    float rows[2][4];
#pragma unroll
    for (int j = 0; j < 4; ++j) {
        rows[0][j] = m[0][j] + m[1][j] + m[2][j];
        rows[1][j] = m[1][j] - m[2][j] - m[3][j];
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        y[i][0] = rows[i][0] + rows[i][1] + rows[i][2];
        y[i][1] = rows[i][1] - rows[i][2] - rows[i][3];
    }
}

// --------------------------------------------------------------------------------------- and as kernels of their own

// u[place][channel][filter]; neighbouring threads take neighbouring filters
static __global__ void __launch_bounds__(WINOGRAD_THREADS) filters_kernel(float* u, const float* weight, int pairs) {
    int n = blockIdx.x * WINOGRAD_THREADS + threadIdx.x;
    if (n >= pairs) return;
    float g[3][3], all[4][4];
#pragma unroll
    for (int k = 0; k < 9; ++k) g[k / 3][k % 3] = weight[k * pairs + n];
    transform_filter(all, g);
#pragma unroll
    for (int p = 0; p < PLACES; ++p) u[p * pairs + n] = all[p / 4][p % 4];
}

// v[place][tile][channel]; neighbouring threads take neighbouring channels
static __global__ void __launch_bounds__(WINOGRAD_THREADS) input_kernel(float* v, const float* x, Tiles tiles) {
    int n = blockIdx.x * WINOGRAD_THREADS + threadIdx.x, numbers = tiles.count * tiles.channels;
    if (n >= numbers) return;
    float d[4][4];
    tiles.read_patch(d, x, n / tiles.channels, n % tiles.channels);
    transform_patch(d);
#pragma unroll
    for (int p = 0; p < PLACES; ++p) v[p * numbers + n] = d[p / 4][p % 4];
}

// y of m[place][tile][filter]; neighbouring threads take neighbouring filters
static __global__ void __launch_bounds__(WINOGRAD_THREADS) output_kernel(float* y, const float* m, Tiles tiles) {
    int n = blockIdx.x * WINOGRAD_THREADS + threadIdx.x, numbers = tiles.count * tiles.filters;
    if (n >= numbers) return;
    float all[4][4], four[2][2];
#pragma unroll
    for (int p = 0; p < PLACES; ++p) all[p / 4][p % 4] = m[p * numbers + n];
    transform_sums(four, all);
    tiles.write(y, four, n / tiles.filters, n % tiles.filters);
}

static __global__ void __launch_bounds__(WINOGRAD_THREADS)
    bias_relu_kernel(float* y, const float* bias, int numbers, int filters) {
    int n = blockIdx.x * WINOGRAD_THREADS + threadIdx.x;
    if (n >= numbers) return;
    float sum = y[n] + bias[n % filters];
    y[n] = sum < 0 ? 0 : sum;  // a NaN stays
}

inline void transform_filters(float* u, const In<float>& weight, cudaStream_t stream) {
    int pairs = weight.length(2) * weight.length(3);
    LAUNCH(filters_kernel, blocks(pairs, WINOGRAD_THREADS), WINOGRAD_THREADS, 0, stream, u, weight.data, pairs);
}
inline void transform_input(float* v, const In<float>& x, const Tiles& tiles, cudaStream_t stream) {
    LAUNCH(input_kernel, blocks(int64_t(tiles.count) * tiles.channels, WINOGRAD_THREADS), WINOGRAD_THREADS, 0, stream,
           v, x.data, tiles);
}
inline void transform_output(const Out<float>& y, const float* m, const In<float>& bias, const Tiles& tiles,
                             cudaStream_t stream) {
    LAUNCH(output_kernel, blocks(int64_t(tiles.count) * tiles.filters, WINOGRAD_THREADS), WINOGRAD_THREADS, 0, stream,
           y.data, m, tiles);
    LAUNCH(bias_relu_kernel, blocks(y.size(), WINOGRAD_THREADS), WINOGRAD_THREADS, 0, stream, y.data, bias.data,
           int(y.size()), tiles.filters);
}
}  // namespace ladder
