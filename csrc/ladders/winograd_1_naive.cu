// Winograd's convolution of 3 x 3, rung 1: each step a kernel, a thread for each sum of the products (winograd.cuh).
//
// Filters, input, product, output, bias with ReLU: five launches, and all that lies between them in memory.  The
// product reads two numbers for each multiplication, neighbouring threads those of neighbouring filters.
#include "winograd.cuh"

namespace {
using namespace ladder;

__global__ void __launch_bounds__(WINOGRAD_THREADS) product_kernel(float* m, const float* v, const float* u, Tiles t) {
    int n = blockIdx.x * WINOGRAD_THREADS + threadIdx.x, numbers = t.count * t.filters, place = blockIdx.y;
    if (n >= numbers) return;
    v += int64_t(place) * t.count * t.channels + n / t.filters * t.channels;
    u += place * t.channels * t.filters + n % t.filters;
    float sum = 0;
    for (int c = 0; c < t.channels; ++c) sum += v[c] * u[c * t.filters];
    m[int64_t(place) * numbers + n] = sum;
}
}  // namespace

void winograd_1_naive(Out<float> y, Work<float> u, Work<float> v, Work<float> m, In<float> x, In<float> weight,
                      In<float> bias, cudaStream_t stream) {
    Tiles tiles("winograd_1_naive", y.shape, x.shape, bias.shape);
    transform_filters(u.data, weight, stream);
    transform_input(v.data, x, tiles, stream);
    LAUNCH(product_kernel, dim3(blocks(int64_t(tiles.count) * tiles.filters, WINOGRAD_THREADS), PLACES),
           WINOGRAD_THREADS, 0, stream, m.data, v.data, u.data, tiles);
    transform_output(y, m.data, bias, tiles, stream);
}
BIND(winograd_1_naive, "y u v m x weight bias");
