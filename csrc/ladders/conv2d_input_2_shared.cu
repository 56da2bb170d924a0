// Gradient of the input, rung 2: an implicit matrix product by tiles in shared memory, shared_tile.cuh.
//
// A row is a pixel, a column a channel, a depth a tap and a filter.  Each number is used 16 times and the weight is
// read along its rows.  With a stride of 2 three quarters of the products are still with zeros: the shipped kernel
// (conv_input.cu, the next rung) cuts the pixels into phases, each with the taps that fall on it and no others.
#include "conv.cuh"
#include "shared_tile.cuh"

namespace {
struct Fallen {
    static constexpr bool A_DEEP = true, B_DEEP = true;
    const float *dy, *weight;
    float* dx;
    ladder::Conv s;
    int rows, columns, depth;
    __device__ float a(int p, int k) const { return s.fallen(dy, p, k); }
    __device__ float b(int k, int c) const { return s.turned(weight, k, c); }
    __device__ float& y(int p, int c) const { return dx[p * columns + c]; }
};
}  // namespace

void conv2d_input_2_shared(Out<float> dx, In<float> dy, In<float> weight, Lengths, Lengths stride, Lengths before,
                           cudaStream_t stream) {
    ladder::Conv s("conv2d_input_2_shared", dx.shape, weight.shape, dy.shape, stride, before);
    ladder::shared_tile(Fallen{dy.data, weight.data, dx.data, s, s.images * s.height * s.width, s.channels,
                               s.taps_y * s.taps_x * s.filters},
                        stream);
}
BIND(conv2d_input_2_shared, "dx dy weight x_shape stride before");
