// Gradient of the input, rung 1: a thread for each number of dx, neighbours in neighbouring channels.
//
// Neighbouring threads read the weight O words apart, a sector for each.  With a stride of 2, three of four taps fall
// between the places of dy: they are tried, and found to be 0.
#include "conv.cuh"

namespace {
__global__ void naive_kernel(float* dx, const float* dy, const float* weight, ladder::Conv s, int pixels) {
    int t = blockIdx.x * blockDim.x + threadIdx.x, p = t / s.channels, c = t % s.channels;
    if (p >= pixels) return;
    float sum = 0;
    for (int k = 0; k < s.taps_y * s.taps_x * s.filters; ++k) sum += s.fallen(dy, p, k) * s.turned(weight, k, c);
    dx[t] = sum;
}
}  // namespace

void conv2d_input_1_naive(Out<float> dx, In<float> dy, In<float> weight, Lengths, Lengths stride, Lengths before,
                          cudaStream_t stream) {
    ladder::Conv s("conv2d_input_1_naive", dx.shape, weight.shape, dy.shape, stride, before);
    if (dx.size())
        LAUNCH(naive_kernel, blocks(dx.size(), 256), 256, 0, stream, dx.data, dy.data, weight.data, s,
               int(dx.size() / s.channels));
}
BIND(conv2d_input_1_naive, "dx dy weight x_shape stride before");
