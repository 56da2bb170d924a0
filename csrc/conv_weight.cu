// Convolution of images and volumes, gradient of the filter: dweight[tap][channel][filter] = sum over places of the
// pixel that place and tap meet in, times dy[place][filter].  The result is small and the sum long, so the places are
// cut into parts whose number tinymed/cuda/tiles.py finds by shape: each writes its own sums, a second launch adds them
// in order.
#include "split.cuh"
#include "tiles.cuh"
#include "window.cuh"

namespace {
template <bool volume>
struct Weight {
    Windows<false, volume> a;
    gemm::Matrix<false> b;
    float* dweight;  // or the partial sums
    int rows, columns, begin, end, pitch, parts;
    bool wide;

    __device__ Weight part(int z) const {
        Weight p = *this;
        int group = z / parts;
        split::Range r = split::range(z % parts, parts, end, 16);
        p.begin = r.begin, p.end = r.end;
        p.a.data += group * a.window.channels;
        p.b.data += group * columns;
        p.dweight += size_t(z % parts) * rows * pitch + group * columns;
        return p;
    }
    __device__ float* out(int m) const { return dweight + size_t(m) * pitch; }
    __device__ float finish(float v, int) const { return v; }
};

template <bool volume>
void gradient(const char* op, const Shapes& s, const Out<float>& dweight, const Work<float>& partial,
              const In<float>& dy, const In<float>& x, int tile, cudaStream_t stream) {
    require(s.volume == volume, op, ": x has shape ", x.shape);
    int parts = partial.length(0), filters = s.group_filters();
    bool split = parts > 1;
    require(!split || partial.size() == parts * dweight.size(), op, ": partial sums of shape ", partial.shape);
    Window w = s.over_x();
    float* to = split ? partial.data : dweight.data;
    bool wide = reinterpret_cast<uintptr_t>(to) % 16 == 0 && s.filters % 4 == 0 && filters % 4 == 0;
    Weight<volume> p{windows<false, volume>(x.data, w),
                     gemm::matrix<false>(dy.data, s.filters, filters),
                     to,
                     w.depth(),
                     filters,
                     0,
                     int(w.all_places(s.images)),
                     s.filters,
                     parts,
                     wide};
    gemm::run(op, tile, p, p.rows, int64_t(s.groups) * parts, stream);
    if (split) split::add_parts(dweight, partial, nullptr, 1, stream);
}
}  // namespace

void conv2d_gemm_weight(Out<float> dweight, Work<float> partial, In<float> dy, In<float> x, Lengths, Lengths stride,
                        Lengths before, Lengths dilation, int groups, int tile, cudaStream_t stream) {
    Shapes s("conv2d_gemm_weight", x.shape, dweight.shape, dy.shape, stride, before, dilation, groups);
    gradient<false>("conv2d_gemm_weight", s, dweight, partial, dy, x, tile, stream);
}
BIND(conv2d_gemm_weight, "dweight partial dy x weight_shape stride before dilation groups tile");

void conv3d_gemm_weight(Out<float> dweight, Work<float> partial, In<float> dy, In<float> x, Lengths, Lengths stride,
                        Lengths before, Lengths dilation, int groups, int tile, cudaStream_t stream) {
    Shapes s("conv3d_gemm_weight", x.shape, dweight.shape, dy.shape, stride, before, dilation, groups);
    gradient<true>("conv3d_gemm_weight", s, dweight, partial, dy, x, tile, stream);
}
BIND(conv3d_gemm_weight, "dweight partial dy x weight_shape stride before dilation groups tile");
