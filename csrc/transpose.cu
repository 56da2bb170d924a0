// Memory orders: bringing an array into another order of axes.
#include "elementwise.cuh"

namespace {
// [a, m, n] to [a, n, m] by tiles in shared memory, so that both sides are read and written in whole sectors.
constexpr int TILE = 32, LINES = 8;
__global__ void __launch_bounds__(TILE* LINES)
    transpose_kernel(float* __restrict__ y, const float* __restrict__ x, int m, int n, int across) {
    __shared__ float tile[TILE][TILE + 1];  // the extra word spreads columns over banks
    int64_t matrix = int64_t(blockIdx.y) * m * n;
    int i0 = int(blockIdx.x) / across * TILE, j0 = int(blockIdx.x) % across * TILE;
    for (int i = threadIdx.y; i < TILE; i += LINES)
        if (i0 + i < m && j0 + int(threadIdx.x) < n)
            tile[i][threadIdx.x] = x[matrix + int64_t(i0 + i) * n + j0 + threadIdx.x];
    __syncthreads();
    for (int j = threadIdx.y; j < TILE; j += LINES)
        if (j0 + j < n && i0 + int(threadIdx.x) < m)
            y[matrix + int64_t(j0 + j) * m + i0 + threadIdx.x] = tile[threadIdx.x][j];
}

struct Gather {  // y in C order from elements of x at any distances
    float* __restrict__ y;
    const float* __restrict__ x;
    Lengths shape, strides;
    int64_t start;
    __device__ void operator()(int64_t at) const {
        int64_t from = start, rest = at;
        for (int a = shape.count - 1; a >= 0; --a) {
            int64_t n = shape.length[a], before = rest / n;
            from += (rest - before * n) * strides.length[a];
            rest = before;
        }
        y[at] = x[from];
    }
};

}  // namespace

void transpose(Out<float> y, In<float> x, cudaStream_t stream) {
    int m = x.length(1), n = x.length(2), across = int(blocks(n, TILE));
    LAUNCH(transpose_kernel, dim3(blocks(m, TILE) * across, unsigned(x.shape[0])), dim3(TILE, LINES), 0, stream, y.data,
           x.data, m, n, across);
}
BIND(transpose, "y x");

void gather_strided(Out<float> y, In<float> x, Lengths shape, Lengths strides, int64_t start, cudaStream_t stream) {
    require(y.size() == shape.product(), "canonical: an output of shape ", y.shape, " for elements ", shape);
    each(Gather{y.data, x.data, shape, strides, start}, y.size(), stream);
}
BIND(gather_strided, "y x shape strides start");
