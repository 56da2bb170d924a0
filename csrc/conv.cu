// Convolution of images and volumes, forward: an implicit matrix product.  y[place][filter] = sum over (tap, channel)
// of the pixel that place and tap meet in, times weight[tap][channel][filter]; the matrix of windows is never stored.
#include "tiles.cuh"
#include "window.cuh"

namespace {
template <bool volume>
struct Forward {
    Windows<true, volume> a;
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

template <bool volume>
void forward(const char* op, const Shapes& s, const Out<float>& y, const In<float>& x, const In<float>& weight,
             const Maybe<float>& bias, int tile, bool relu, cudaStream_t stream) {
    require(s.volume == volume, op, ": x has shape ", x.shape);
    require(!bias || bias.size() == s.filters, op, ": bias of shape ", bias.shape, " for ", s.filters, " filters");
    Window w = s.over_x();
    int filters = s.group_filters();
    bool wide = y.aligned(16) && s.filters % 4 == 0 && filters % 4 == 0;
    Forward<volume> p{windows<true, volume>(x.data, w),
                      gemm::matrix<false>(weight.data, s.filters, filters),
                      bias.data,
                      y.data,
                      int(w.all_places(s.images)),
                      filters,
                      0,
                      w.depth(),
                      s.filters,
                      wide,
                      relu};
    gemm::run(op, tile, p, p.rows, s.groups, stream);
}
}  // namespace

void conv2d_gemm(Out<float> y, In<float> x, In<float> weight, Maybe<float> bias, Lengths, Lengths stride,
                 Lengths before, Lengths dilation, int groups, int tile, cudaStream_t stream) {
    Shapes s("conv2d_gemm", x.shape, weight.shape, y.shape, stride, before, dilation, groups);
    forward<false>("conv2d_gemm", s, y, x, weight, bias, tile, false, stream);
}
BIND(conv2d_gemm, "y x weight bias size stride before dilation groups tile");

void conv2d_relu(Out<float> y, In<float> x, In<float> weight, Maybe<float> bias, Lengths, Lengths stride,
                 Lengths before, Lengths dilation, int groups, int tile, cudaStream_t stream) {
    Shapes s("conv2d_relu", x.shape, weight.shape, y.shape, stride, before, dilation, groups);
    forward<false>("conv2d_relu", s, y, x, weight, bias, tile, true, stream);
}
BIND(conv2d_relu, "y x weight bias size stride before dilation groups tile");

void conv3d_gemm(Out<float> y, In<float> x, In<float> weight, Maybe<float> bias, Lengths, Lengths stride,
                 Lengths before, Lengths dilation, int groups, int tile, cudaStream_t stream) {
    Shapes s("conv3d_gemm", x.shape, weight.shape, y.shape, stride, before, dilation, groups);
    forward<true>("conv3d_gemm", s, y, x, weight, bias, tile, false, stream);
}
BIND(conv3d_gemm, "y x weight bias size stride before dilation groups tile");
