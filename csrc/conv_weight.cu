// Convolution of images and volumes, gradient of the filter: dweight[tap][channel][filter] = sum over places of the
// pixel that place and tap meet in, times dy[place][filter].  The result is small and the sum long, so the places are
// cut into parts whose number tinymed/cuda/tiles.py finds by shape: each writes its own sums, a second launch adds them
// in order.
#include "split.cuh"
#include "tiles.cuh"
#include "window.cuh"

namespace {
template <class T, bool volume>
struct Weight {
    Windows<T, false, volume> a;
    gemm::Matrix<T, false> b;
    float* dweight;  // or the partial sums
    int rows, columns, begin, end, pitch, parts;
    int each;      // columns of b for a group
    int channels;  // of a tap in the result, which may be fewer than in the window
    bool wide;

    __device__ Weight part(int z) const {
        Weight p = *this;
        int group = z / parts;
        split::Range r = split::range(z % parts, parts, end, 16);
        p.begin = r.begin, p.end = r.end;
        p.a.data += group * a.window.channels;
        p.b.data += group * each;
        p.dweight += size_t(z % parts) * a.window.taps.product() * channels * pitch + group * columns;
        return p;
    }
    __device__ float* out(int m) const {
        if constexpr (sizeof(T) == sizeof(bf16::Bits)) {
            int channel = m % a.window.channels;
            if (channel >= channels) return nullptr;
            m = m / a.window.channels * channels + channel;
        }
        return dweight + size_t(m) * pitch;
    }
    __device__ float finish(float v, int) const { return v; }
};

template <bool volume, class T>
void gradient(const char* op, const Out<float>& dweight, const Work<float>& partial, const In<T>& dy, const In<T>& x,
              const Lengths& stride, const Lengths& before, const Lengths& dilation, int groups, int tile,
              cudaStream_t stream) {
    Shapes s(op, x.shape, bf16::packed<T>(dweight.shape, groups, true), dy.shape, stride, before, dilation, groups);
    require(s.volume == volume, op, ": x has shape ", x.shape);
    int last = dweight.shape.count - 1, pitch = dweight.length(last), filters = pitch / groups;
    int parts = partial.length(0);
    bool split = parts > 1;
    require(!split || partial.size() == parts * dweight.size(), op, ": partial sums of shape ", partial.shape);
    Window w = s.over_x();
    float* to = split ? partial.data : dweight.data;
    bool wide = reinterpret_cast<uintptr_t>(to) % 16 == 0 && pitch % 4 == 0 && filters % 4 == 0;
    Weight<T, volume> p{windows<false, volume>(x.data, w),
                        gemm::matrix<false>(dy.data, s.filters, s.group_filters()),
                        to,
                        w.depth(),
                        filters,
                        0,
                        int(w.all_places(s.images)),
                        pitch,
                        parts,
                        s.group_filters(),
                        dweight.length(last - 1),
                        wide};
    gemm::run(op, tile, p, p.rows, int64_t(s.groups) * parts, stream);
    if (split) split::add_parts(dweight, partial, nullptr, 1, stream);
}
}  // namespace

#define CONV_WEIGHT(name, T, volume)                                                                           \
    void name(Out<float> dweight, Work<float> partial, In<T> dy, In<T> x, Lengths, Lengths stride,             \
              Lengths before, Lengths dilation, int groups, int tile, cudaStream_t stream) {                   \
        gradient<volume>(#name, dweight, partial, dy, x, stride, before, dilation, groups, tile, stream);      \
    }

void conv2d_gemm_weight(Out<float> dweight, Work<float> partial, In<float> dy, In<float> x, Lengths, Lengths stride,
                        Lengths before, Lengths dilation, int groups, int tile, cudaStream_t stream) {
    gradient<false>("conv2d_gemm_weight", dweight, partial, dy, x, stride, before, dilation, groups, tile, stream);
}
BIND(conv2d_gemm_weight, "dweight partial dy x weight_shape stride before dilation groups tile");
CONV_WEIGHT(conv3d_gemm_weight, float, true)
BIND(conv3d_gemm_weight, "dweight partial dy x weight_shape stride before dilation groups tile");
CONV_WEIGHT(bf16_conv2d_gemm_weight, bf16::Bits, false)
BIND(bf16_conv2d_gemm_weight, "dweight partial dy x weight_shape stride before dilation groups tile");
CONV_WEIGHT(bf16_conv3d_gemm_weight, bf16::Bits, true)
BIND(bf16_conv3d_gemm_weight, "dweight partial dy x weight_shape stride before dilation groups tile");
