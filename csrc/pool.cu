// Pooling of images [n, h, w, c].  Neighbouring threads take neighbouring channels, so every access is to whole
// sectors.  Backward gathers: a pixel of dx collects what its windows send it, and nothing is added concurrently.
#include <limits>

#include "elementwise.cuh"
#include "pool.cuh"

namespace {
using pool::Axis;
using pool::Place;
using pool::exceeds;

// ---------------------------------------------------------------------------------------------------- maximum

// V argmaxes of neighbouring channels, which one access reads and writes where they are bytes.
template <int V, typename I>
struct Taps {
    int value[V];
    static __device__ __forceinline__ Taps load(const I* p) {
        Taps t;
        unsigned four = 0;
        if constexpr (V == 4 && sizeof(I) == 1) four = *reinterpret_cast<const unsigned*>(p);
#pragma unroll
        for (int k = 0; k < V; ++k) t.value[k] = V == 4 && sizeof(I) == 1 ? int(four >> 8 * k & 255) : int(p[k]);
        return t;
    }
    __device__ __forceinline__ void store(I* p) const {
        if constexpr (V == 4 && sizeof(I) == 1) {
            unsigned low = value[0] | value[1] << 8, high = value[2] | value[3] << 8;
            *reinterpret_cast<unsigned*>(p) = low | high << 16;
        } else {
#pragma unroll
            for (int k = 0; k < V; ++k) p[k] = I(value[k]);
        }
    }
};

// An argmax is the number of a tap, of a type I that can count the window's.  A thread takes V channels of a window.
template <int V, typename I>
struct MaxWindow {
    float* __restrict__ y;
    I* __restrict__ index;
    const float* __restrict__ x;
    int h, w, c;
    Axis rows, columns;
    __device__ void operator()(int64_t at) const {
        Place p(at, h, w, c / V);
        Neighbours<V> best;
        Taps<V, I> first{};
        for (float& v : best.value) v = -INFINITY;
        bool found = false;  // taps in the padding never win
        for (int r = 0; r < rows.kernel; ++r) {
            int row = p.i * rows.stride - rows.before + r * rows.dilation;
            if (row < 0 || row >= rows.n) continue;
            for (int s = 0; s < columns.kernel; ++s) {
                int column = p.j * columns.stride - columns.before + s * columns.dilation;
                if (column < 0 || column >= columns.n) continue;
                auto v = Neighbours<V>::load(x + ((int64_t(p.b) * rows.n + row) * columns.n + column) * c + p.k * V);
#pragma unroll
                for (int k = 0; k < V; ++k)
                    if (!found || exceeds(v[k], best[k])) best[k] = v[k], first.value[k] = r * columns.kernel + s;
                found = true;
            }
        }
        best.store(y + at * V);
        first.store(index + at * V);
    }
};

template <int V, typename I>
struct MaxWindowBackward {
    float* __restrict__ dx;
    const float* __restrict__ dy;
    const I* __restrict__ index;
    int h, w, c;
    Axis rows, columns;
    __device__ void operator()(int64_t at) const {
        Place p(at, rows.n, columns.n, c / V);
        Neighbours<V> sum{};
        for (int i = rows.first(p.i, h); i < h && rows.reach(p.i, i) >= 0; ++i) {
            int r = rows.reach(p.i, i);
            if (r % rows.dilation) continue;
            for (int j = columns.first(p.j, w); j < w && columns.reach(p.j, j) >= 0; ++j) {
                int s = columns.reach(p.j, j);
                if (s % columns.dilation) continue;
                int64_t from = ((int64_t(p.b) * h + i) * w + j) * c + p.k * V;
                int tap = r / rows.dilation * columns.kernel + s / columns.dilation;
                auto which = Taps<V, I>::load(index + from);
                auto d = Neighbours<V>::load(dy + from);
#pragma unroll
                for (int k = 0; k < V; ++k)
                    if (which.value[k] == tap) sum[k] += d[k];
            }
        }
        sum.store(dx + at * V);
    }
};

Axis axis_of(int n, int a, const Lengths& kernel, const Lengths& stride, const Lengths& before,
             const Lengths& dilation) {
    return {n, int(kernel[a]), int(stride[a]), int(before[a]), int(dilation[a])};
}

// The largest of the four pixels of each 2 x 2 window, and which (0, 1 / 2, 3) it was: `V` channels by a thread.
template <int V>
__global__ void __launch_bounds__(256)
    max_pool_2x2_kernel(float* __restrict__ y, uint8_t* __restrict__ index, const float* __restrict__ x, int64_t n,
                        int h, int w, int c, int height, int width) {
    int64_t at = (int64_t(blockIdx.x) * 256 + threadIdx.x) * V;
    if (at >= n) return;
    Place p(at, h, w, c);
    const float* from = x + ((int64_t(p.b) * height + 2 * p.i) * width + 2 * p.j) * c + p.k;
    float best[V];
    unsigned first[V] = {};
#pragma unroll
    for (int tap = 0; tap < 4; ++tap) {
        const float* pixel = from + (int64_t(tap / 2) * width + tap % 2) * c;
        float v[V];
        if constexpr (V == 4) {
            float4 four = *reinterpret_cast<const float4*>(pixel);
            v[0] = four.x, v[1] = four.y, v[2] = four.z, v[3] = four.w;
        } else {
            v[0] = *pixel;
        }
#pragma unroll
        for (int k = 0; k < V; ++k)
            if (tap == 0 || exceeds(v[k], best[k])) best[k] = v[k], first[k] = tap;
    }
    if constexpr (V == 4) {
        *reinterpret_cast<float4*>(y + at) = make_float4(best[0], best[1], best[2], best[3]);
        *reinterpret_cast<unsigned*>(index + at) = first[0] | first[1] << 8 | first[2] << 16 | first[3] << 24;
    } else {
        y[at] = best[0];
        index[at] = uint8_t(first[0]);
    }
}

// dx = dy at the pixel that won its 2 x 2 window, 0 at the others and in a last odd row or column.  A thread takes V
// channels of a window, or of what of one is left at the far ends: it reads dy once and writes four pixels.
template <int V>
struct MaxPool2x2Backward {
    float* __restrict__ dx;
    const float* __restrict__ dy;
    const uint8_t* __restrict__ index;
    int height, width, h, w, c;
    __device__ void operator()(int64_t at) const {
        Place p(at, (height + 1) / 2, (width + 1) / 2, c / V);
        Neighbours<V> d{};
        Taps<V, uint8_t> won{};
        if (p.i < h && p.j < w) {
            int64_t from = ((int64_t(p.b) * h + p.i) * w + p.j) * c + p.k * V;
            d = Neighbours<V>::load(dy + from), won = Taps<V, uint8_t>::load(index + from);
        }
#pragma unroll
        for (int tap = 0; tap < 4; ++tap) {
            int row = 2 * p.i + tap / 2, column = 2 * p.j + tap % 2;
            if (row >= height || column >= width) continue;
            Neighbours<V> out;
#pragma unroll
            for (int k = 0; k < V; ++k) out[k] = won.value[k] == tap ? d[k] : 0.0f;
            out.store(dx + ((int64_t(p.b) * height + row) * width + column) * c + p.k * V);
        }
    }
};

// ------------------------------------------------------------------------------------------------------- mean

struct Box {  // of window i: pixels first .. last, and how many it is said to have
    int first, last, count;
};
__device__ __forceinline__ Box box_of(const Axis& a, int i, int after, bool include_pad) {
    int start = i * a.stride - a.before, end = start + a.kernel;
    int first = max(0, start), last = min(a.n, end);
    return {first, last, include_pad ? min(end, a.n + after) - start : max(1, last - first)};
}

struct Mean {
    int below, after;  // the padding at the far ends
    bool include_pad;
    int divisor;  // 0: the window's pixels
    __device__ float count(const Box& rows, const Box& columns) const {
        return float(divisor ? divisor : rows.count * columns.count);
    }
};

template <int V>
struct AvgPool {
    float* __restrict__ y;
    const float* __restrict__ x;
    int h, w, c;
    Axis rows, columns;
    Mean mean;
    __device__ void operator()(int64_t at) const {
        Place p(at, h, w, c / V);
        Box r = box_of(rows, p.i, mean.below, mean.include_pad), s = box_of(columns, p.j, mean.after, mean.include_pad);
        const float* image = x + int64_t(p.b) * rows.n * columns.n * c + p.k * V;
        auto sum = pool::box_sums<V>(image, r.first, r.last, s.first, s.last, columns.n, c);
        float count = mean.count(r, s);
#pragma unroll
        for (int k = 0; k < V; ++k) sum[k] /= count;
        sum.store(y + at * V);
    }
};

template <int V>
struct AvgPoolBackward {
    float* __restrict__ dx;
    const float* __restrict__ dy;
    int h, w, c;
    Axis rows, columns;
    Mean mean;
    __device__ void operator()(int64_t at) const {
        Place p(at, rows.n, columns.n, c / V);
        Neighbours<V> sum{};
        for (int i = rows.first(p.i, h); i < h && rows.reach(p.i, i) >= 0; ++i) {
            Box r = box_of(rows, i, mean.below, mean.include_pad);
            for (int j = columns.first(p.j, w); j < w && columns.reach(p.j, j) >= 0; ++j) {
                Box s = box_of(columns, j, mean.after, mean.include_pad);
                auto d = Neighbours<V>::load(dy + ((int64_t(p.b) * h + i) * w + j) * c + p.k * V);
                float count = mean.count(r, s);
#pragma unroll
                for (int k = 0; k < V; ++k) sum[k] += d[k] / count;
            }
        }
        sum.store(dx + at * V);
    }
};

// Run by fours of channels, as a constant, where all arrays allow it, else one by one: f(V, groups of V numbers).
template <class F, class... A>
void by_channels(int c, int64_t n, F f, const A&... arrays) {
    if (in_fours(c, arrays...))
        f(std::integral_constant<int, 4>(), n / 4);
    else
        f(std::integral_constant<int, 1>(), n);
}
}  // namespace

void max_pool_2x2(Out<float> y, Out<uint8_t> index, In<float> x, Lengths, cudaStream_t stream) {
    int h = y.length(1), w = y.length(2), c = y.length(3), height = x.length(1), width = x.length(2);
    require(2 * h <= height && 2 * w <= width, "max_pool2d: x has shape ", x.shape, ", y ", y.shape);
    int64_t n = y.size();
    if (c % 4 == 0 && x.aligned(16) && y.aligned(16) && index.aligned(4))
        LAUNCH((max_pool_2x2_kernel<4>), blocks(n, 4 * 256), 256, 0, stream, y.data, index.data, x.data, n, h, w, c,
               height, width);
    else
        LAUNCH((max_pool_2x2_kernel<1>), blocks(n, 256), 256, 0, stream, y.data, index.data, x.data, n, h, w, c, height,
               width);
}
BIND(max_pool_2x2, "y index x size");

void max_pool_2x2_backward(Out<float> dx, In<float> dy, In<uint8_t> index, Lengths, cudaStream_t stream) {
    require(index.size() == dy.size(), "max_pool2d_backward: dy has shape ", dy.shape, ", index ", index.shape);
    int height = dx.length(1), width = dx.length(2), c = dx.length(3);
    int64_t n = dx.shape[0] * ((height + 1) / 2) * ((width + 1) / 2) * c;
    auto run = [&](auto v, int64_t groups) {
        MaxPool2x2Backward<v.value> f{dx.data, dy.data, index.data, height, width, dy.length(1), dy.length(2), c};
        each<1>(f, groups, stream);
    };
    by_channels(c, n, run, dx, dy, index);
}
BIND(max_pool_2x2_backward, "dx dy index x_shape");

template <typename I>
void max_window_of(Out<float> y, Out<I> index, In<float> x, Lengths kernel, Lengths stride, Lengths before,
                   Lengths dilation, cudaStream_t stream) {
    require(kernel.product() - 1 <= std::numeric_limits<I>::max(), "max_pool2d: a window of ", kernel,
            " pixels is more than its indices can count");
    Axis rows = axis_of(x.length(1), 0, kernel, stride, before, dilation);
    Axis columns = axis_of(x.length(2), 1, kernel, stride, before, dilation);
    auto run = [&](auto v, int64_t groups) {
        MaxWindow<v.value, I> f{y.data, index.data, x.data, y.length(1), y.length(2), y.length(3), rows, columns};
        each<1>(f, groups, stream);
    };
    by_channels(y.length(3), y.size(), run, y, index, x);
}

template <typename I>
void max_window_backward_of(Out<float> dx, In<float> dy, In<I> index, Lengths kernel, Lengths stride, Lengths before,
                            Lengths dilation, cudaStream_t stream) {
    require(index.size() == dy.size(), "max_pool2d_backward: dy has shape ", dy.shape, ", index ", index.shape);
    Axis rows = axis_of(dx.length(1), 0, kernel, stride, before, dilation);
    Axis columns = axis_of(dx.length(2), 1, kernel, stride, before, dilation);
    auto run = [&](auto v, int64_t groups) {
        MaxWindowBackward<v.value, I> f{dx.data,      dy.data,      index.data, dy.length(1),
                                        dy.length(2), dy.length(3), rows,       columns};
        each<1>(f, groups, stream);
    };
    by_channels(dx.length(3), dx.size(), run, dx, dy, index);
}

void max_window(Out<float> y, Out<uint8_t> index, In<float> x, Lengths kernel, Lengths stride, Lengths before,
                Lengths dilation, Lengths, cudaStream_t stream) {
    max_window_of(y, index, x, kernel, stride, before, dilation, stream);
}
BIND(max_window, "y index x kernel stride before dilation size");

void max_window_wide(Out<float> y, Out<int32_t> index, In<float> x, Lengths kernel, Lengths stride, Lengths before,
                     Lengths dilation, Lengths, cudaStream_t stream) {
    max_window_of(y, index, x, kernel, stride, before, dilation, stream);
}
BIND(max_window_wide, "y index x kernel stride before dilation size");

void max_window_backward(Out<float> dx, In<float> dy, In<uint8_t> index, Lengths, Lengths kernel, Lengths stride,
                         Lengths before, Lengths dilation, cudaStream_t stream) {
    max_window_backward_of(dx, dy, index, kernel, stride, before, dilation, stream);
}
BIND(max_window_backward, "dx dy index x_shape kernel stride before dilation");

void max_window_wide_backward(Out<float> dx, In<float> dy, In<int32_t> index, Lengths, Lengths kernel, Lengths stride,
                              Lengths before, Lengths dilation, cudaStream_t stream) {
    max_window_backward_of(dx, dy, index, kernel, stride, before, dilation, stream);
}
BIND(max_window_wide_backward, "dx dy index x_shape kernel stride before dilation");

// padding: before and after the rows, before and after the columns.
void avg_window(Out<float> y, In<float> x, Lengths kernel, Lengths stride, Lengths padding, Lengths, bool include_pad,
                int divisor, cudaStream_t stream) {
    Axis rows{x.length(1), int(kernel[0]), int(stride[0]), int(padding[0]), 1};
    Axis columns{x.length(2), int(kernel[1]), int(stride[1]), int(padding[2]), 1};
    Mean mean{int(padding[1]), int(padding[3]), include_pad, divisor};
    auto run = [&](auto v, int64_t groups) {
        AvgPool<v.value> f{y.data, x.data, y.length(1), y.length(2), y.length(3), rows, columns, mean};
        each<1>(f, groups, stream);
    };
    by_channels(y.length(3), y.size(), run, y, x);
}
BIND(avg_window, "y x kernel stride padding size include_pad divisor");

void avg_window_backward(Out<float> dx, In<float> dy, Lengths, Lengths kernel, Lengths stride, Lengths padding,
                         bool include_pad, int divisor, cudaStream_t stream) {
    Axis rows{dx.length(1), int(kernel[0]), int(stride[0]), int(padding[0]), 1};
    Axis columns{dx.length(2), int(kernel[1]), int(stride[1]), int(padding[2]), 1};
    Mean mean{int(padding[1]), int(padding[3]), include_pad, divisor};
    auto run = [&](auto v, int64_t groups) {
        AvgPoolBackward<v.value> f{dx.data, dy.data, dy.length(1), dy.length(2), dy.length(3), rows, columns, mean};
        each<1>(f, groups, stream);
    };
    by_channels(dx.length(3), dx.size(), run, dx, dy);
}
BIND(avg_window_backward, "dx dy x_shape kernel stride padding include_pad divisor");
