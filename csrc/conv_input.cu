// Convolution of images and volumes, gradient of the input: dx[pixel][channel] = sum over (tap, filter) of dy at the
// place whose tap falls on the pixel, times weight[tap][channel][filter].
//
// With a stride only some taps fall on a pixel: r where (y + before - r dilation) is a multiple of the stride.
//  They are the same for all pixels of one phase y % stride, and evenly spaced: each phase is a product of its own
// over its taps alone, in which windows over dy slide by one, backwards from tap to tap.  Nothing is multiplied by
// a zero in between.
#include <numeric>

#include "tiles.cuh"
#include "window.cuh"

namespace {
// weight (taps, C / groups, O) as an operand: a row is a channel, a depth (tap of the phase, filter).
template <class T, bool volume>
struct Filter : gemm::Operand<T> {
    static constexpr bool DEEP = true;
    int filters, pitch, channels;  // per group; numbers from channel to channel
    Axes taps;                     // of the whole filter
    Axes first, every, in;         // the taps of the phase: first, spacing, how many
    __device__ __forceinline__ gemm::Spot row(int channel) const { return {channel * pitch, 0, 0, 0}; }
    __device__ __forceinline__ gemm::Spot depth(int k) const {
        int t = k / filters, line = t / in.x, s = first.x + t % in.x * every.x;
        int r = first.y + (volume ? line % in.y : line) * every.y, q = volume ? first.z + line / in.y * every.z : 0;
        return {((q * taps.y + r) * taps.x + s) * channels * pitch + k % filters, 0, 0, 0};
    }
};

// One axis: what taps fall on the pixels of a phase.
struct Axis {
    int size, taps, stride, before, dilation, every;  // every: taps that fall on one pixel lie this far apart
    __host__ __device__ int pixels(int phase) const { return phase < size ? (size - phase + stride - 1) / stride : 0; }
    __device__ int first(int phase) const {  // `taps` if none does
        int r = 0;
        while (r < taps && (phase + before - r * dilation) % stride) ++r;
        return r;
    }
    __device__ int count(int first) const { return first < taps ? (taps - 1 - first) / every + 1 : 0; }
    __device__ int base(int phase, int first) const { return (phase + before - first * dilation) / stride; }
    __host__ __device__ int reach() const { return -(every * dilation / stride); }
};

Axis axis(int size, int taps, int stride, int before, int dilation) {
    return {size, taps, stride, before, dilation, stride / std::gcd(stride, dilation)};
}

template <class T, bool volume>
struct Input {
    Windows<T, true, volume> a;
    Filter<T, volume> b;
    Axis z, y, x;
    float* dx;
    int images, pixel, rows, columns, begin, end;
    Axes phase;
    bool wide, rounds;

    __device__ Input part(int number) const {
        Input p = *this;
        int across = number / x.stride, plane = across / y.stride, group = volume ? plane / z.stride : plane;
        p.phase = {volume ? plane % z.stride : 0, across % y.stride, number % x.stride};
        p.a.data += group * b.filters;
        p.b.data += group * b.filters;
        p.dx += group * columns;
        Axes first{volume ? z.first(p.phase.z) : 0, y.first(p.phase.y), x.first(p.phase.x)};
        Axes taps{volume ? z.count(first.z) : 1, y.count(first.y), x.count(first.x)};
        Window& w = p.a.window;
        w.places = {volume ? z.pixels(p.phase.z) : 1, y.pixels(p.phase.y), x.pixels(p.phase.x)};
        w.base = {volume ? z.base(p.phase.z, first.z) : 0, y.base(p.phase.y, first.y), x.base(p.phase.x, first.x)};
        w.taps = taps;
        p.b.first = first, p.b.in = taps;
        p.rows = images * w.places.product();
        p.end = taps.product() * b.filters;
        return p;
    }
    __device__ float* out(int m) const {
        const Axes& n = a.window.places;
        int j = m % n.x, above = m / n.x, i = above % n.y, plane = above / n.y;
        size_t deep = volume ? size_t(plane / n.z) * z.size + phase.z + plane % n.z * z.stride : size_t(plane);
        size_t line = deep * y.size + phase.y + i * y.stride;
        return dx + (line * x.size + phase.x + j * x.stride) * pixel;
    }
    __device__ float finish(float v, int) const { return bf16::stored<T>(v, rounds); }
};

template <bool volume, class T>
void gradient(const char* op, const Out<float>& dx, const In<T>& dy, const In<T>& weight, const Lengths& stride,
              const Lengths& before, const Lengths& dilation, int groups, int tile, bool rounds, cudaStream_t stream) {
    Shapes s(op, bf16::packed<T>(dx.shape, groups), weight.shape, dy.shape, stride, before, dilation, groups);
    int pixel = dx.length(dx.shape.count - 1), columns = pixel / groups;
    require(s.volume == volume, op, ": dx has shape ", dx.shape);
    Axis z = axis(s.size.z, s.taps.z, s.stride.z, s.before.z, s.dilation.z);
    Axis y = axis(s.size.y, s.taps.y, s.stride.y, s.before.y, s.dilation.y);
    Axis x = axis(s.size.x, s.taps.x, s.stride.x, s.before.x, s.dilation.x);
    int filters = s.group_filters();
    Axes none{0, 0, 0}, one{1, 1, 1}, reach{z.reach(), y.reach(), x.reach()};
    Window w{s.places, s.filters, none, none, one, reach, none, filters};
    Filter<T, volume> b{{weight.data, 1, 1, gemm::wide(weight.data, s.filters, filters)},
                        filters,
                        s.filters,
                        s.group_channels(),
                        s.taps,
                        none,
                        {z.every, y.every, x.every},
                        none};
    bool wide = dx.aligned(16) && pixel % 4 == 0 && columns % 4 == 0;
    int images = int(s.images);
    Input<T, volume> p{windows<true, volume>(dy.data, w), b, z, y, x, dx.data, images, pixel, 0, columns, 0, 0, none,
                       wide, rounds};
    int64_t largest = s.images * z.pixels(0) * y.pixels(0) * x.pixels(0);
    gemm::run(op, tile, p, largest, int64_t(s.groups) * s.stride.product(), stream);
}
}  // namespace

void conv2d_gemm_input(Out<float> dx, In<float> dy, In<float> weight, Lengths, Lengths stride, Lengths before,
                       Lengths dilation, int groups, int tile, cudaStream_t stream) {
    gradient<false>("conv2d_gemm_input", dx, dy, weight, stride, before, dilation, groups, tile, false, stream);
}
BIND(conv2d_gemm_input, "dx dy weight x_shape stride before dilation groups tile");

void conv3d_gemm_input(Out<float> dx, In<float> dy, In<float> weight, Lengths, Lengths stride, Lengths before,
                       Lengths dilation, int groups, int tile, cudaStream_t stream) {
    gradient<true>("conv3d_gemm_input", dx, dy, weight, stride, before, dilation, groups, tile, false, stream);
}
BIND(conv3d_gemm_input, "dx dy weight x_shape stride before dilation groups tile");

#define BF16_INPUT(name, volume)                                                                               \
    void name(Out<float> dx, In<bf16::Bits> dy, In<bf16::Bits> weight, Lengths, Lengths stride, Lengths before, \
              Lengths dilation, int groups, int tile, bool rounds, cudaStream_t stream) {                      \
        gradient<volume>(#name, dx, dy, weight, stride, before, dilation, groups, tile, rounds, stream);       \
    }
BF16_INPUT(bf16_conv2d_gemm_input, false)
BIND(bf16_conv2d_gemm_input, "dx dy weight x_shape stride before dilation groups tile rounds");
BF16_INPUT(bf16_conv3d_gemm_input, true)
BIND(bf16_conv3d_gemm_input, "dx dy weight x_shape stride before dilation groups tile rounds");
