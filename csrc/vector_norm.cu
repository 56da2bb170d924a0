// Norms of lines, of [outer, n, inner]: (sum |x|^p)^(1/p), and their limits at 0 and at infinity.
#include "lines.cuh"

namespace {
enum Kind { COUNT, ONE, TWO, LARGEST, SMALLEST, POWER };  // p = 0, 1, 2, inf, -inf, any other

struct Seen {
    double value;
    bool any;
};
struct Norm {
    using State = Seen;
    float* __restrict__ y;
    double p;
    int kind;
    static __device__ Seen start() { return {0, false}; }
    __device__ double size(double v) const {
        switch (kind) {
            case COUNT: return v != 0;
            case TWO: return v * v;
            case POWER: return pow(fabs(v), p);
        }
        return fabs(v);
    }
    __device__ void add(Seen& s, float v, int) const { merge(s, {size(v), true}); }
    __device__ void merge(Seen& s, const Seen& other) const {
        if (!other.any) return;
        double v = other.value;
        if (!s.any)
            s = other;
        else if (kind != LARGEST && kind != SMALLEST)
            s.value += v;
        else if (s.value == s.value && (v != v || (kind == LARGEST ? v > s.value : v < s.value)))  // a NaN stays
            s.value = v;
    }
    __device__ void finish(int64_t line, const Seen& s) const {
        double v = !s.any && kind == SMALLEST ? INFINITY : s.value;
        y[line] = float(kind == TWO ? sqrt(v) : kind == POWER ? pow(v, 1 / p) : v);
    }
};

struct NormBackward {  // dy sign(x) (|x| / y)^(p - 1), 0 where x or y is 0
    float* __restrict__ dx;
    const float* __restrict__ dy;
    const float* __restrict__ x;
    const float* __restrict__ y;
    float p;
    int kind, n, inner;
    __device__ float of(float d, float v, float norm) const {
        float sign = v > 0 ? 1.0f : v < 0 ? -1.0f : v;  // of NaN it is NaN
        if (kind == ONE) return d * sign;
        if (norm == 0) return 0;
        if (kind == TWO) return d * v / norm;
        return v == 0 ? 0.0f : d * sign * powf(fabsf(v) / norm, p - 1);
    }
    __device__ void operator()(int64_t at) const {
        int64_t above = quotient(at, inner), line = quotient(above, n) * inner + (at - above * inner);
        dx[at] = of(dy[line], x[at], y[line]);
    }
};
}  // namespace

void norm_of_lines(Out<float> y, In<float> x, float p, int kind, cudaStream_t stream) {
    lines::reduce(Norm{y.data, p, kind}, x, stream);
}
BIND(norm_of_lines, "y x p kind");

void norm_of_lines_backward(Out<float> dx, In<float> dy, In<float> x, In<float> y, float p, int kind,
                            cudaStream_t stream) {
    int n = x.length(1), inner = x.length(2);
    require(kind == ONE || kind == TWO || kind == POWER, "norm_backward: another kernel shares a limit's gradient");
    require(dy.size() == y.size() && y.size() == x.shape[0] * inner, "norm_backward: x ", x.shape, ", y ", y.shape);
    each<1>(NormBackward{dx.data, dy.data, x.data, y.data, p, kind, n, inner}, x.size(), stream);
}
BIND(norm_of_lines_backward, "dx dy x y p kind");
