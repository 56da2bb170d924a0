// Convolution, rung 2: neighbouring threads take neighbouring filters.
//
// A warp now reads neighbours of the weight and one pixel of x, and writes neighbours of y: 4 sectors a request and
// less. Still every multiplication asks global memory for two numbers.
#include "conv.cuh"

namespace {
__global__ void coalesced_kernel(float* y, const float* x, const float* weight, ladder::Conv s) {
    int t = blockIdx.x * blockDim.x + threadIdx.x, p = t / s.filters, o = t % s.filters;
    if (p >= s.places()) return;
    float sum = 0;
    for (int k = 0; k < s.taps(); ++k) sum += s.window(x, p, k) * weight[k * s.filters + o];
    y[t] = sum;
}
}  // namespace

void conv2d_2_coalesced(Out<float> y, In<float> x, In<float> weight, Lengths, Lengths stride, Lengths before,
                        cudaStream_t stream) {
    ladder::Conv s("conv2d_2_coalesced", x.shape, weight.shape, y.shape, stride, before);
    if (y.size()) LAUNCH(coalesced_kernel, blocks(y.size(), 256), 256, 0, stream, y.data, x.data, weight.data, s);
}
BIND(conv2d_2_coalesced, "y x weight size stride before");
