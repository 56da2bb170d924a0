// Depthwise convolution of 3 x 3, rung 1: a thread for each number of y.
//
// Nine reads of x and nine of the filter for nine multiplications.  Neighbouring threads take neighbours of a row, so
// that requests are whole; but each number of x is asked for nine times, by nine threads.
#include "maps.cuh"

namespace {
constexpr int THREADS = 256;

__global__ void __launch_bounds__(THREADS)
    naive_kernel(float* y, const float* x, const float* weight, ladder::Maps maps, int numbers) {
    int n = blockIdx.x * THREADS + threadIdx.x;
    if (n >= numbers) return;
    int size = maps.height * maps.width, map = n / size, i = n % size / maps.width, j = n % maps.width;
    const float *from = x + int64_t(map) * size, *filter = weight + map % maps.channels * 9;
    float sum = 0;
    for (int r = 0; r < 3; ++r)
        for (int s = 0; s < 3; ++s) sum += maps.at(from, i + r - 1, j + s - 1) * filter[r * 3 + s];
    y[n] = sum;
}
}  // namespace

void depthwise_1_naive(Out<float> y, In<float> x, In<float> weight, cudaStream_t stream) {
    ladder::Maps maps("depthwise_1_naive", x.shape, weight.shape);
    LAUNCH(naive_kernel, blocks(y.size(), THREADS), THREADS, 0, stream, y.data, x.data, weight.data, maps,
           int(y.size()));
}
BIND(depthwise_1_naive, "y x weight");
