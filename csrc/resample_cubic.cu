// Resampling by wider filters, of one axis of [outer, n, inner]: cubic convolution, and with antialiasing a triangle or
// a cubic as wide as the step.  Weights are computed where they are used, in float64 as in ops/resample_cubic.py.
// Keys 1981; the antialiased forms are Pillow's.
#include <cstring>

#include "elementwise.cuh"

namespace {
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
    double step;
    std::memcpy(&step, &bits, sizeof step);
    return {n, m, mode, step};
}
}  // namespace

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
