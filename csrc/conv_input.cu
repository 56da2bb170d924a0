// Convolution of images, gradient of the input: dx[pixel][channel] = sum over (tap, filter) of dy at the place whose
// tap falls on the pixel, times weight[tap][channel][filter].
//
// With a stride only some taps fall on a pixel: r where (y + before - r dilation) is a multiple of the stride.
//  They are the same for all pixels of one phase y % stride, and evenly spaced: each phase is a product of its own
// over its taps alone, in which windows over dy slide by one, backwards from tap to tap.  Nothing is multiplied by
// a zero in between.
#include <numeric>

#include "tiles.cuh"
#include "window.cuh"

namespace {
// weight (KH, KW, C / groups, O) as an operand: a row is a channel, a depth (tap of the phase, filter).
struct Filter : gemm::Operand {
    static constexpr bool DEEP = true;
    int filters, pitch, channels, taps_x;          // per group; floats from channel to channel; of the whole filter
    int first_y, first_x, every_y, every_x, in_x;  // the taps of the phase: first, spacing, how many along x
    __device__ __forceinline__ gemm::Spot row(int channel) const { return {channel * pitch, 0, 0, 0}; }
    __device__ __forceinline__ gemm::Spot depth(int k) const {
        int t = k / filters, r = first_y + t / in_x * every_y, s = first_x + t % in_x * every_x;
        return {(r * taps_x + s) * channels * pitch + k % filters, 0, 0, 0};
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

struct Input {
    Windows<true> a;
    Filter b;
    Axis y, x;
    float* dx;
    int images, pixel, rows, columns, begin, end, phase_y, phase_x;
    bool wide;

    __device__ Input part(int z) const {
        Input p = *this;
        int group = z / (y.stride * x.stride);
        p.phase_y = z / x.stride % y.stride, p.phase_x = z % x.stride;
        p.a.data += group * b.filters;
        p.b.data += group * b.filters;
        p.dx += group * columns;
        int first_y = y.first(p.phase_y), first_x = x.first(p.phase_x);
        int taps_y = y.count(first_y), taps_x = x.count(first_x);
        Window& w = p.a.window;
        w.rows = y.pixels(p.phase_y), w.columns = x.pixels(p.phase_x);
        w.base_y = y.base(p.phase_y, first_y), w.base_x = x.base(p.phase_x, first_x);
        w.taps_y = taps_y, w.taps_x = taps_x;
        p.b.first_y = first_y, p.b.first_x = first_x, p.b.in_x = taps_x;
        p.rows = images * w.rows * w.columns;
        p.end = taps_y * taps_x * b.filters;
        return p;
    }
    __device__ float* out(int m) const {
        const Window& w = a.window;
        int j = m % w.columns, i = m / w.columns;
        size_t line = size_t(i / w.rows) * y.size + phase_y + i % w.rows * y.stride;
        return dx + (line * x.size + phase_x + j * x.stride) * pixel;
    }
    __device__ float finish(float v, int) const { return v; }
};
}  // namespace

void conv2d_gemm_input(Out<float> dx, In<float> dy, In<float> weight, Lengths x_shape, Lengths stride, Lengths before,
                       Lengths dilation, int groups, int tile, cudaStream_t stream) {
    (void)x_shape;  // from which the shape of dx was made
    const char* op = "conv2d_gemm_input";
    Shapes s(op, dx.shape, weight.shape, dy.shape, stride, before, dilation, groups);
    Axis y{s.height, s.taps_y, s.stride_y, s.before_y, s.dilation_y, s.stride_y / std::gcd(s.stride_y, s.dilation_y)};
    Axis x{s.width, s.taps_x, s.stride_x, s.before_x, s.dilation_x, s.stride_x / std::gcd(s.stride_x, s.dilation_x)};
    int filters = s.group_filters(), channels = s.group_channels();
    Window w{s.rows, s.columns, s.filters, 0, 0, 0, 0, 1, 1, y.reach(), x.reach(), 0, 0, filters};
    Windows<true> a = windows<true>(dy.data, w);
    bool aligned = reinterpret_cast<uintptr_t>(weight.data) % 16 == 0;
    Filter b{{weight.data, 1, 1, aligned && s.filters % 4 == 0 && filters % 4 == 0},
             filters,
             s.filters,
             channels,
             s.taps_x,
             0,
             0,
             y.every,
             x.every,
             0};
    bool wide = dx.aligned(16) && s.channels % 4 == 0 && channels % 4 == 0;
    Input p{a, b, y, x, dx.data, int(s.images), s.channels, 0, channels, 0, 0, 0, 0, wide};
    int64_t largest = s.images * y.pixels(0) * x.pixels(0);
    gemm::run(op, tile, p, largest, int64_t(groups) * s.stride_y * s.stride_x, stream);
}
BIND(conv2d_gemm_input, "dx dy weight x_shape stride before dilation groups tile");
