// Gradient of the filter, rung 1: a thread for each number of dweight, neighbours in neighbouring filters.
//
// Requests are whole lines, but there are few threads, 864 for a first layer of 32 filters, and each adds up half a
// million products one after the other.
#include "conv.cuh"

namespace {
__global__ void naive_kernel(float* dweight, const float* dy, const float* x, ladder::Conv s) {
    int t = blockIdx.x * blockDim.x + threadIdx.x, k = t / s.filters, o = t % s.filters;
    if (k >= s.taps()) return;
    float sum = 0;
    for (int p = 0; p < s.places(); ++p) sum += s.window(x, p, k) * dy[p * s.filters + o];
    dweight[t] = sum;
}
}  // namespace

void conv2d_weight_1_naive(Out<float> dweight, In<float> dy, In<float> x, Lengths, Lengths stride, Lengths before,
                           cudaStream_t stream) {
    ladder::Conv s("conv2d_weight_1_naive", x.shape, dweight.shape, dy.shape, stride, before);
    if (dweight.size())
        LAUNCH(naive_kernel, blocks(dweight.size(), 256), 256, 0, stream, dweight.data, dy.data, x.data, s);
}
BIND(conv2d_weight_1_naive, "dweight dy x weight_shape stride before");
