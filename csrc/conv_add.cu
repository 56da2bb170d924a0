// Convolution of images, a sum with another map, and ReLU in one kernel: how a residual block ends where batch norm is
// folded into the filters.  conv.cu's product; the other map is added to each sum before it is written.
#include "tiles.cuh"
#include "window.cuh"

namespace {
struct ForwardAdd {
    static constexpr bool PLACED = true;
    Windows<float, true, false> a;
    gemm::Matrix<float, false> b;
    const float *bias, *other;
    float* y;
    int rows, columns, begin, end, pitch;
    int each;  // columns of b for a group
    bool wide, relu;

    __device__ ForwardAdd part(int group) const {
        ForwardAdd p = *this;
        p.a.data += group * a.window.channels;
        p.b.data += group * each;
        p.bias += bias ? group * columns : 0;
        p.other += group * columns;
        p.y += group * columns;
        return p;
    }
    __device__ float* out(int m) const { return y + size_t(m) * pitch; }
    __device__ float finish(float v, int m, int n) const {
        if (bias) v += bias[n];
        v += other[size_t(m) * pitch + n];
        return relu && v < 0 ? 0.0f : v;  // a NaN stays
    }
};
}  // namespace

void conv2d_add(Out<float> y, In<float> x, In<float> weight, Maybe<float> bias, In<float> other, Lengths,
                Lengths stride, Lengths before, Lengths dilation, int groups, int tile, bool relu,
                cudaStream_t stream) {
    Shapes s("conv2d_add", x.shape, weight.shape, y.shape, stride, before, dilation, groups);
    int pitch = y.length(3), filters = pitch / groups;
    require(other.size() == y.size(), "conv2d_add: other has shape ", other.shape, ", y ", y.shape);
    require(!bias || bias.size() == pitch, "conv2d_add: bias of shape ", bias.shape, " for ", pitch, " filters");
    Window w = s.over_x();
    ForwardAdd p{windows<true, false>(x.data, w),
                 gemm::matrix<false>(weight.data, s.filters, s.group_filters()),
                 bias.data,
                 other.data,
                 y.data,
                 int(w.all_places(s.images)),
                 filters,
                 0,
                 w.depth(),
                 pitch,
                 s.group_filters(),
                 y.aligned(16) && pitch % 4 == 0 && filters % 4 == 0,
                 relu};
    gemm::run("conv2d_add", tile, p, p.rows, s.groups, stream);
}
BIND(conv2d_add, "y x weight bias other size stride before dilation groups tile relu");
