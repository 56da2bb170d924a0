// Sums of an array seen as a line, or as rows: of all, of columns, of rows; in float64.
#include "columns.cuh"
#include "reduce.cuh"

namespace {
using reduce::THREADS;

struct Load {
    const float* __restrict__ x;
    __device__ double operator()(int64_t i) const { return x[i]; }
};
struct Store {
    float* y;
    __device__ void operator()(double sum) const { *y = float(sum); }
};
struct Column {
    using Sum = double;
    static constexpr int COUNT = 1;
    const float* __restrict__ x;
    __device__ void operator()(double* sums, int64_t i, int, int64_t) const { sums[0] += x[i]; }
};
struct StoreColumn {
    float* __restrict__ y;
    __device__ void operator()(int k, const double* sums) const { y[k] = float(sums[0]); }
};

// y[k] = sum of row k: one warp adds up each short row, a block eight of them.
__global__ void __launch_bounds__(THREADS)
    short_rows_kernel(float* __restrict__ y, const float* __restrict__ x, int64_t rows, int64_t length) {
    int64_t k = int64_t(blockIdx.x) * (THREADS / 32) + threadIdx.x / 32;
    double sum = 0;
    if (k < rows)
        for (int64_t i = threadIdx.x % 32; i < length; i += 32) sum += x[k * length + i];
    for (int d = 16; d; d /= 2) sum += __shfl_down_sync(~0u, sum, d);
    if (k < rows && threadIdx.x % 32 == 0) y[k] = float(sum);
}

// A block for each part of a long row.
__global__ void __launch_bounds__(THREADS)
    long_rows_kernel(double* __restrict__ partial, const float* __restrict__ x, int64_t length) {
    __shared__ double scratch[THREADS / 32];
    int64_t k = blockIdx.x, part = blockIdx.y, parts = gridDim.y, last = (part + 1) * length / parts;
    double sum = 0;
    for (int64_t i = part * length / parts + threadIdx.x; i < last; i += THREADS) sum += x[k * length + i];
    sum = reduce::of_block(sum, scratch);
    if (threadIdx.x == 0) partial[k * parts + part] = sum;
}

__global__ void __launch_bounds__(THREADS)
    add_parts_kernel(float* __restrict__ y, const double* __restrict__ partial, int64_t rows, int parts) {
    int64_t k = int64_t(blockIdx.x) * THREADS + threadIdx.x;
    if (k >= rows) return;
    double sum = 0;
    for (int t = 0; t < parts; ++t) sum += partial[k * parts + t];
    y[k] = float(sum);
}
}  // namespace

void sum_all(Out<float> y, Work<double> partial, In<float> x, cudaStream_t stream) {
    reduce::all(Load{x.data}, Store{y.data}, partial, x.size(), stream);
}
BIND(sum_all, "y partial x");

void sum_outer(Out<float> y, Work<double> partial, In<float> x, cudaStream_t stream) {
    columns::sum(Column{x.data}, StoreColumn{y.data}, partial, x.shape[0], x.length(1), stream);
}
BIND(sum_outer, "y partial x");

void channel_sum(Out<float> total, Work<double> partial, In<float> dy, cudaStream_t stream) {
    sum_outer(total, partial, dy, stream);
}
BIND(channel_sum, "total partial dy");

void sum_rows(Out<float> y, Work<double> partial, In<float> x, cudaStream_t stream) {
    int64_t rows = x.shape[0], length = x.shape[1];
    int parts = partial.length(1);
    if (parts) {
        LAUNCH(long_rows_kernel, dim3(unsigned(rows), parts), THREADS, 0, stream, partial.data, x.data, length);
        LAUNCH(add_parts_kernel, blocks(rows, THREADS), THREADS, 0, stream, y.data, partial.data, rows, parts);
    } else {
        LAUNCH(short_rows_kernel, blocks(rows, THREADS / 32), THREADS, 0, stream, y.data, x.data, rows, length);
    }
}
BIND(sum_rows, "y partial x");
