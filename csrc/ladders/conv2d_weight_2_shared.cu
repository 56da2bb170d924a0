// Gradient of the filter, rung 2: an implicit matrix product by tiles in shared memory, shared_tile.cuh.
//
// A row is a tap and a channel, a column a filter, a depth a place: each number is used 16 times.  But there are even
// fewer blocks than rung 1 has, and most of a GPU has nothing to do: the shipped kernel (conv_weight.cu, the next rung)
// cuts the places into parts, and a second launch adds their sums.
#include "conv.cuh"
#include "shared_tile.cuh"

namespace {
struct Seen {
    static constexpr bool A_DEEP = false, B_DEEP = false;
    const float *x, *dy;
    float* dweight;
    ladder::Conv s;
    int rows, columns, depth;
    __device__ float a(int k, int p) const { return s.window(x, p, k); }
    __device__ float b(int p, int o) const { return dy[p * columns + o]; }
    __device__ float& y(int k, int o) const { return dweight[k * columns + o]; }
};
}  // namespace

void conv2d_weight_2_shared(Out<float> dweight, In<float> dy, In<float> x, Lengths, Lengths stride, Lengths before,
                            cudaStream_t stream) {
    ladder::Conv s("conv2d_weight_2_shared", x.shape, dweight.shape, dy.shape, stride, before);
    ladder::shared_tile(Seen{x.data, dy.data, dweight.data, s, s.taps(), s.filters, s.places()}, stream);
}
BIND(conv2d_weight_2_shared, "dweight dy x weight_shape stride before");
