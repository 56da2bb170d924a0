// Convolution of images and volumes, forward: an implicit matrix product.  y[place][filter] = sum over (tap, channel)
// of the pixel that place and tap meet in, times weight[tap][channel][filter]; the matrix of windows is never stored.
#include "tiles.cuh"
#include "window.cuh"

namespace {
template <class T, bool volume>
struct Forward {
    Windows<T, true, volume> a;
    gemm::Matrix<T, false> b;
    const float* bias;
    float* y;
    int rows, columns, begin, end, pitch;
    int each;  // columns of b for a group
    bool wide, relu;

    __device__ Forward part(int group) const {
        Forward p = *this;
        p.a.data += group * a.window.channels;
        p.b.data += group * each;
        p.bias += bias ? group * columns : 0;
        p.y += group * columns;
        return p;
    }
    __device__ float* out(int m) const { return y + size_t(m) * pitch; }
    __device__ float finish(float v, int n) const {
        if (bias) v += bias[n];
        return bf16::stored<T>(relu && v < 0 ? 0.0f : v, true);  // a NaN stays
    }
};

template <bool volume, class T>
void forward(const char* op, const Out<float>& y, const In<T>& x, const In<T>& weight, const Maybe<float>& bias,
             const Lengths& stride, const Lengths& before, const Lengths& dilation, int groups, int tile, bool relu,
             cudaStream_t stream) {
    Shapes s(op, x.shape, weight.shape, bf16::packed<T>(y.shape, groups), stride, before, dilation, groups);
    int pitch = y.length(y.shape.count - 1), filters = pitch / groups;
    require(s.volume == volume, op, ": x has shape ", x.shape);
    require(!bias || bias.size() == pitch, op, ": bias of shape ", bias.shape, " for ", pitch, " filters");
    Window w = s.over_x();
    bool wide = y.aligned(16) && pitch % 4 == 0 && filters % 4 == 0;
    Forward<T, volume> p{windows<true, volume>(x.data, w),
                         gemm::matrix<false>(weight.data, s.filters, s.group_filters()),
                         bias.data,
                         y.data,
                         int(w.all_places(s.images)),
                         filters,
                         0,
                         w.depth(),
                         pitch,
                         s.group_filters(),
                         wide,
                         relu};
    gemm::run(op, tile, p, p.rows, s.groups, stream);
}
}  // namespace

// One is written out below, which `tinymed show conv2d` follows; the others differ in type, axes and ReLU.
#define CONV_FORWARD(name, T, volume, relu)                                                                  \
    void name(Out<float> y, In<T> x, In<T> weight, Maybe<float> bias, Lengths, Lengths stride, Lengths before, \
              Lengths dilation, int groups, int tile, cudaStream_t stream) {                                 \
        forward<volume>(#name, y, x, weight, bias, stride, before, dilation, groups, tile, relu, stream);    \
    }

void conv2d_gemm(Out<float> y, In<float> x, In<float> weight, Maybe<float> bias, Lengths, Lengths stride,
                 Lengths before, Lengths dilation, int groups, int tile, cudaStream_t stream) {
    forward<false>("conv2d_gemm", y, x, weight, bias, stride, before, dilation, groups, tile, false, stream);
}
BIND(conv2d_gemm, "y x weight bias size stride before dilation groups tile");
CONV_FORWARD(conv2d_relu, float, false, true)
BIND(conv2d_relu, "y x weight bias size stride before dilation groups tile");
CONV_FORWARD(conv3d_gemm, float, true, false)
BIND(conv3d_gemm, "y x weight bias size stride before dilation groups tile");
CONV_FORWARD(bf16_conv2d_gemm, bf16::Bits, false, false)
BIND(bf16_conv2d_gemm, "y x weight bias shape stride before dilation groups tile");
CONV_FORWARD(bf16_conv2d_relu, bf16::Bits, false, true)
BIND(bf16_conv2d_relu, "y x weight bias shape stride before dilation groups tile");
CONV_FORWARD(bf16_conv3d_gemm, bf16::Bits, true, false)
BIND(bf16_conv3d_gemm, "y x weight bias shape stride before dilation groups tile");
