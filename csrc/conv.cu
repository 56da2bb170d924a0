// Convolution of images, forward: an implicit matrix product.  y[place][filter] = sum over (tap, channel) of the pixel
// that place and tap meet in, times weight[tap][channel][filter]; the matrix of windows is never stored.
#include "tiles.cuh"
#include "window.cuh"

namespace {
struct Forward {
    Windows<true> a;
    gemm::Matrix<false> b;
    const float* bias;
    float* y;
    int rows, columns, begin, end, pitch;
    bool wide, relu;

    __device__ Forward part(int group) const {
        Forward p = *this;
        p.a.data += group * a.window.channels;
        p.b.data += group * columns;
        p.bias += bias ? group * columns : 0;
        p.y += group * columns;
        return p;
    }
    __device__ float* out(int m) const { return y + size_t(m) * pitch; }
    __device__ float finish(float v, int n) const {
        if (bias) v += bias[n];
        return relu && v < 0 ? 0.0f : v;  // a NaN stays
    }
};

void forward(const char* op, const Out<float>& y, const In<float>& x, const In<float>& weight, const Maybe<float>& bias,
             const Lengths& stride, const Lengths& before, const Lengths& dilation, int groups, int tile, bool relu,
             cudaStream_t stream) {
    Shapes s(op, x.shape, weight.shape, y.shape, stride, before, dilation, groups);
    require(!bias || bias.size() == s.filters, op, ": bias of shape ", bias.shape, " for ", s.filters, " filters");
    Window w = s.over_x();
    int filters = s.group_filters();
    bool wide = y.aligned(16) && s.filters % 4 == 0 && filters % 4 == 0;
    Forward p{windows<true>(x.data, w),
              gemm::matrix<false>(weight.data, s.filters, filters),
              bias.data,
              y.data,
              int(w.places(s.images)),
              filters,
              0,
              w.depth(),
              s.filters,
              wide,
              relu};
    gemm::run(op, tile, p, p.rows, groups, stream);
}
}  // namespace

void conv2d_gemm(Out<float> y, In<float> x, In<float> weight, Maybe<float> bias, Lengths size, Lengths stride,
                 Lengths before, Lengths dilation, int groups, int tile, cudaStream_t stream) {
    (void)size;  // of y, from which its shape was made
    forward("conv2d_gemm", y, x, weight, bias, stride, before, dilation, groups, tile, false, stream);
}
BIND(conv2d_gemm, "y x weight bias size stride before dilation groups tile");

void conv2d_relu(Out<float> y, In<float> x, In<float> weight, Maybe<float> bias, Lengths size, Lengths stride,
                 Lengths before, Lengths dilation, int groups, int tile, cudaStream_t stream) {
    (void)size;
    forward("conv2d_relu", y, x, weight, bias, stride, before, dilation, groups, tile, true, stream);
}
BIND(conv2d_relu, "y x weight bias size stride before dilation groups tile");
