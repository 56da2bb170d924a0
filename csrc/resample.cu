// Nearest and bilinear resampling of images [n, h, w, c].  Places are computed as in the reference, in float32 for
// nearest and float64 for bilinear, so both choose the same pixels; steps arrive as the bits of float64 numbers.
// Backward gathers: the output pixels that took one input pixel are a run, found by halving.
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
