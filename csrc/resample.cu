// Nearest and bilinear resampling of images [n, h, w, c].  Places are computed as in the reference, in float32 for
// nearest and float64 for bilinear, so both choose the same pixels; steps arrive as the bits of float64 numbers.
// Backward gathers: the output pixels that took one input pixel are a run, found by halving.
//
// By wider filters along one axis of [outer, n, inner]: cubic convolution (Keys 1981), and with antialiasing a triangle
// or a cubic as wide as the step (Pillow's), their weights computed in float64 where they are used.
#include <cstring>

#include "elementwise.cuh"
#include "pool.cuh"

namespace {
using pool::Place;

double number(int64_t bits) {
    double v;
    std::memcpy(&v, &bits, sizeof v);
    return v;
}

struct Nearest {
    int n;
    float step, offset;
    __device__ int operator()(int i) const { return min(int((float(i) + offset) * step), n - 1); }
};
struct Between {  // the input pixels around output pixel i; the weight of the second
    int n;
    double step;
    bool align_corners;
    __device__ double place(int i) const {
        double at = align_corners ? i * step : (i + 0.5) * step - 0.5;
        return at < 0 ? 0 : at;
    }
    __device__ int operator()(int i) const { return min(int(place(i)), n - 1); }
    __device__ float weight(int i) const {
        double w = place(i) - (*this)(i);
        return float(w < 1 ? w : 1.0);
    }
    __device__ int second(int first) const { return min(first + 1, n - 1); }
};

// The first of m output pixels whose (first) input pixel is at least `pixel`.
template <class F>
__device__ __forceinline__ int lower(const F& f, int m, int pixel) {
    int a = 0, b = m;
    while (a < b) {
        int middle = (a + b) / 2;
        if (f(middle) < pixel)
            a = middle + 1;
        else
            b = middle;
    }
    return a;
}

struct NearestForward {
    float* __restrict__ y;
    const float* __restrict__ x;
    int h, w, c;
    Nearest rows, columns;
    __device__ void operator()(int64_t at) const {
        Place p(at, h, w, c);
        y[at] = x[((int64_t(p.b) * rows.n + rows(p.i)) * columns.n + columns(p.j)) * c + p.k];
    }
};
struct NearestBackward {
    float* __restrict__ dx;
    const float* __restrict__ dy;
    int h, w, c;
    Nearest rows, columns;
    __device__ void operator()(int64_t at) const {
        Place p(at, rows.n, columns.n, c);
        float sum = 0;
        int left = lower(columns, w, p.j);
        for (int i = lower(rows, h, p.i); i < h && rows(i) == p.i; ++i)
            for (int j = left; j < w && columns(j) == p.j; ++j) sum += dy[((int64_t(p.b) * h + i) * w + j) * c + p.k];
        dx[at] = sum;
    }
};

struct BilinearForward {
    float* __restrict__ y;
    const float* __restrict__ x;
    int h, w, c;
    Between rows, columns;
    __device__ void operator()(int64_t at) const {
        Place p(at, h, w, c);
        int top = rows(p.i), left = columns(p.j), right = columns.second(left);
        float down = rows.weight(p.i), along = columns.weight(p.j);
        const float* upper = x + (int64_t(p.b) * rows.n + top) * columns.n * c + p.k;
        const float* lower = x + (int64_t(p.b) * rows.n + rows.second(top)) * columns.n * c + p.k;
        int64_t first = int64_t(left) * c, second = int64_t(right) * c;
        float above = (1 - along) * upper[first] + along * upper[second];
        float below = (1 - along) * lower[first] + along * lower[second];
        y[at] = (1 - down) * above + down * below;
    }
};
// What input pixel `pixel` weighs in output pixel i.
__device__ __forceinline__ float share(const Between& axis, int i, int pixel) {
    int first = axis(i);
    float second = axis.weight(i);
    return (first == pixel ? 1 - second : 0.0f) + (axis.second(first) == pixel ? second : 0.0f);
}
struct BilinearBackward {
    float* __restrict__ dx;
    const float* __restrict__ dy;
    int h, w, c;
    Between rows, columns;
    __device__ void operator()(int64_t at) const {
        Place p(at, rows.n, columns.n, c);
        float sum = 0;
        int left = lower(columns, w, p.j - 1);
        for (int i = lower(rows, h, p.i - 1); i < h && rows(i) <= p.i; ++i) {
            float down = share(rows, i, p.i);
            for (int j = left; j < w && columns(j) <= p.j; ++j)
                sum += down * share(columns, j, p.j) * dy[((int64_t(p.b) * h + i) * w + j) * c + p.k];
        }
        dx[at] = sum;
    }
};

// ------------------------------------------------------------------------------------------------------- wider filters

enum Mode { CUBIC, CUBIC_CORNERS, WIDE_TRIANGLE, WIDE_CUBIC };

__device__ __forceinline__ double cubic(double x, double a) {
    x = fabs(x);
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

struct Taps {  // of output pixel i of m: input pixels first ... first + count - 1 of n
    int first, count;
    double at;  // where pixel i lies among the input's
};
struct Filter {
    int n, m, mode;
    double step;
    __device__ bool wide() const { return mode >= WIDE_TRIANGLE; }
    __device__ double stretch() const { return wide() && step > 1 ? step : 1; }
    __device__ double reach() const { return (mode == WIDE_TRIANGLE ? 1 : 2) * stretch(); }
    __device__ Taps taps(int i) const {
        if (!wide()) {  // the border is repeated
            double at = mode == CUBIC_CORNERS ? i * step : (i + 0.5) * step - 0.5;
            return {int(floor(at)) - 1, 4, at};
        }
        double center = (i + 0.5) * step, low = center - reach() + 0.5, high = center + reach() + 0.5;
        int first = low > 0 ? int(low) : 0, end = high < n ? int(high) : n;
        return {first, end - first, center - 0.5};
    }
    __device__ int pixel(const Taps& taps, int t) const {
        int p = taps.first + t;
        return p < 0 ? 0 : p < n ? p : n - 1;
    }
    __device__ double weight(const Taps& taps, int t) const {
        double distance = (taps.first + t - taps.at) / stretch();
        if (mode == WIDE_TRIANGLE) return fabs(distance) < 1 ? 1 - fabs(distance) : 0;
        return cubic(distance, wide() ? -0.5 : -0.75);
    }
    __device__ double total(const Taps& taps) const {  // what the weights are divided by
        double sum = 0;
        for (int t = 0; wide() && t < taps.count; ++t) sum += weight(taps, t);
        return sum != 0 ? sum : 1;
    }
    // Output pixels beyond these have no tap at pixel p.
    __device__ int first_output(int p) const {
        double at = (p - reach() - 1) / step - 2;
        return p == 0 || !(at > 0) ? 0 : at < m ? int(at) : m;
    }
    __device__ int end_of_outputs(int p) const {
        double at = (p + reach() + 2) / step + 2;
        return p == n - 1 || !(at < m) ? m : at > 0 ? int(at) : 0;
    }
};

struct Forward {
    float* __restrict__ y;
    const float* __restrict__ x;
    Filter f;
    int inner;
    __device__ void operator()(int64_t at) const {
        int64_t above = quotient(at, inner), o = quotient(above, f.m);
        Taps taps = f.taps(int(above - o * f.m));
        const float* line = x + o * f.n * inner + (at - above * inner);
        double sum = 0;
        for (int t = 0; t < taps.count; ++t) sum += f.weight(taps, t) * line[int64_t(f.pixel(taps, t)) * inner];
        y[at] = float(sum / f.total(taps));
    }
};
struct Backward {  // each pixel gathers from the output pixels that have a tap there
    float* __restrict__ dx;
    const float* __restrict__ dy;
    Filter f;
    int inner;
    __device__ void operator()(int64_t at) const {
        int64_t above = quotient(at, inner), o = quotient(above, f.n);
        int p = int(above - o * f.n);
        const float* line = dy + o * f.m * inner + (at - above * inner);
        double sum = 0;
        for (int i = f.first_output(p), end = f.end_of_outputs(p); i < end; ++i) {
            Taps taps = f.taps(i);
            double share = 0;
            for (int t = 0; t < taps.count; ++t)
                if (f.pixel(taps, t) == p) share += f.weight(taps, t);
            if (share != 0) sum += share / f.total(taps) * line[int64_t(i) * inner];
        }
        dx[at] = float(sum);
    }
};

Filter filter_of(int n, int m, int mode, int64_t bits) {
    return {n, m, mode, number(bits)};
}
}  // namespace

void nearest_resize(Out<float> y, In<float> x, Lengths, Lengths steps, float offset, cudaStream_t stream) {
    Nearest rows{x.length(1), float(number(steps[0])), offset}, columns{x.length(2), float(number(steps[1])), offset};
    each(NearestForward{y.data, x.data, y.length(1), y.length(2), y.length(3), rows, columns}, y.size(), stream);
}
BIND(nearest_resize, "y x size steps offset");

void nearest_resize_backward(Out<float> dx, In<float> dy, Lengths, Lengths steps, float offset, cudaStream_t stream) {
    Nearest rows{dx.length(1), float(number(steps[0])), offset}, columns{dx.length(2), float(number(steps[1])), offset};
    each(NearestBackward{dx.data, dy.data, dy.length(1), dy.length(2), dy.length(3), rows, columns}, dx.size(), stream);
}
BIND(nearest_resize_backward, "dx dy x_shape steps offset");

void bilinear_resize(Out<float> y, In<float> x, Lengths, Lengths steps, bool align_corners, cudaStream_t stream) {
    Between rows{x.length(1), number(steps[0]), align_corners}, columns{x.length(2), number(steps[1]), align_corners};
    each(BilinearForward{y.data, x.data, y.length(1), y.length(2), y.length(3), rows, columns}, y.size(), stream);
}
BIND(bilinear_resize, "y x size steps align_corners");

void bilinear_resize_backward(Out<float> dx, In<float> dy, Lengths, Lengths steps, bool align_corners,
                              cudaStream_t stream) {
    Between rows{dx.length(1), number(steps[0]), align_corners}, columns{dx.length(2), number(steps[1]), align_corners};
    BilinearBackward f{dx.data, dy.data, dy.length(1), dy.length(2), dy.length(3), rows, columns};
    each(f, dx.size(), stream);
}
BIND(bilinear_resize_backward, "dx dy x_shape steps align_corners");

void resample_line(Out<float> y, In<float> x, int size, int mode, int64_t step, cudaStream_t stream) {
    require(x.shape.count == 3 && x.shape[1] > 0, "resample: x has shape ", x.shape);
    Filter f = filter_of(x.length(1), size, mode, step);
    each<1>(Forward{y.data, x.data, f, x.length(2)}, y.size(), stream);
}
BIND(resample_line, "y x size mode step");

void resample_line_backward(Out<float> dx, In<float> dy, int size, int mode, int64_t step, cudaStream_t stream) {
    require(dy.shape.count == 3, "resample_backward: dy has shape ", dy.shape);
    Filter f = filter_of(size, dy.length(1), mode, step);
    each<1>(Backward{dx.data, dy.data, f, dy.length(2)}, dx.size(), stream);
}
BIND(resample_line_backward, "dx dy size mode step");
