// Convolution, rung 1: a thread for each number of y, neighbours at neighbouring places, as the formula is written.
//
// Images lie channels-last, so neighbouring threads read x C words apart and write y O words apart: a request of a warp
// touches up to 32 sectors of 32 bytes and uses 4 bytes of each.
#include "conv.cuh"

namespace {
__global__ void naive_kernel(float* y, const float* x, const float* weight, ladder::Conv s) {
    int t = blockIdx.x * blockDim.x + threadIdx.x, p = t % s.places(), o = t / s.places();
    if (o >= s.filters) return;
    float sum = 0;
    for (int k = 0; k < s.taps(); ++k) sum += s.window(x, p, k) * weight[k * s.filters + o];
    y[p * s.filters + o] = sum;
}
}  // namespace

void conv2d_1_naive(Out<float> y, In<float> x, In<float> weight, Lengths, Lengths stride, Lengths before,
                    cudaStream_t stream) {
    ladder::Conv s("conv2d_1_naive", x.shape, weight.shape, y.shape, stride, before);
    if (y.size()) LAUNCH(naive_kernel, blocks(y.size(), 256), 256, 0, stream, y.data, x.data, weight.data, s);
}
BIND(conv2d_1_naive, "y x weight size stride before");
