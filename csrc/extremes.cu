// Along an axis, of [outer, n, inner]: the largest, the smallest, where they are, products, moments, logsumexp, truth,
// norms (sum |x|^p)^(1/p) and their limits at 0 and at infinity.
#include "lines.cuh"
#include "norm.cuh"

namespace {
using statistics::Moments;

// Of largest or smallest numbers; a NaN comes before all, and of equals the first.
struct Best {
    float value;
    int index;  // -1: none yet
};
template <bool largest>
__device__ __forceinline__ bool better(float v, float best) {
    if (best != best) return false;
    return v != v || (largest ? v > best : v < best);
}
template <bool largest>
struct Extreme {
    using State = Best;
    float* __restrict__ value;
    int64_t* __restrict__ index;
    static __device__ Best start() { return {0, -1}; }
    __device__ void add(Best& s, float v, int i) const {
        if (s.index < 0 || better<largest>(v, s.value)) s = {v, i};
    }
    __device__ void merge(Best& s, const Best& other) const {
        if (other.index < 0) return;
        bool equal = s.value == other.value || (s.value != s.value && other.value != other.value);
        if (s.index < 0 || (equal ? other.index < s.index : better<largest>(other.value, s.value))) s = other;
    }
    __device__ void finish(int64_t line, const Best& s) const {
        if (value) value[line] = s.value;
        if (index) index[line] = s.index;
    }
};

// Of how many numbers of a line equal its extreme, which share the gradient.
struct Share {
    using State = float;
    float* __restrict__ share;
    const float* __restrict__ dy;
    static __device__ float start() { return 0; }
    __device__ void add(float& s, float v, int) const { s += v; }
    __device__ void merge(float& s, float other) const { s += other; }
    __device__ void finish(int64_t line, float s) const { share[line] = dy[line] / s; }
};
struct Equal {  // 1 where x is the line's extreme
    float* __restrict__ chosen;
    const float* __restrict__ x;
    const float* __restrict__ y;
    int n, inner;
    __device__ void operator()(int64_t at) const {
        int64_t above = quotient(at, inner);
        chosen[at] = x[at] == y[quotient(above, n) * inner + (at - above * inner)] ? 1.0f : 0.0f;
    }
};
struct Spread {  // times what each line's share is
    float* __restrict__ dx;
    const float* __restrict__ chosen;
    const float* __restrict__ share;
    int n, inner;
    __device__ void operator()(int64_t at) const {
        int64_t above = quotient(at, inner);
        dx[at] = chosen[at] * share[quotient(above, n) * inner + (at - above * inner)];
    }
};

struct Product {
    using State = double;
    float* __restrict__ y;
    static __device__ double start() { return 1; }
    __device__ void add(double& s, float v, int) const { s *= v; }
    __device__ void merge(double& s, double other) const { s *= other; }
    __device__ void finish(int64_t line, double s) const { y[line] = float(s); }
};

// dx = dy times the product of all others: of those before, then times that of those behind; zeros need no division.
struct ProductBackward {  // a thread walks along each line, and back
    float* __restrict__ dx;
    const float* __restrict__ dy;
    const float* __restrict__ x;
    int n, inner;
    __device__ void operator()(int64_t line) const {
        int64_t row = quotient(line, inner), first = row * n * inner + (line - row * inner);
        double before = 1, behind = 1;
        for (int i = 0; i < n; ++i) {
            int64_t at = first + int64_t(i) * inner;
            dx[at] = float(before);
            before *= x[at];
        }
        for (int i = n; i-- > 0;) {
            int64_t at = first + int64_t(i) * inner;
            dx[at] = float(dy[line] * (dx[at] * behind));
            behind *= x[at];
        }
    }
};

struct OfMoments {
    using State = Moments;
    static __device__ Moments start() { return {0, 0, 0}; }
    __device__ void add(Moments& s, float v, int) const {
        s.n += 1;
        double off = v - s.mean;
        s.mean += off / s.n;
        s.m2 += off * (v - s.mean);
    }
    __device__ void merge(Moments& s, const Moments& other) const { s.merge(other.n, other.mean, other.m2); }
};
struct Variance : OfMoments {  // sum (x - mean)^2 / freedom
    float* __restrict__ y;
    double freedom;
    Variance(float* y, double freedom) : y(y), freedom(freedom) {}
    __device__ void finish(int64_t line, const Moments& s) const { y[line] = float(s.m2 / freedom); }
};
struct MeanOfLine : OfMoments {
    double* __restrict__ mean;
    explicit MeanOfLine(double* mean) : mean(mean) {}
    __device__ void finish(int64_t line, const Moments& s) const { mean[line] = s.mean; }
};
struct VarianceBackward {  // 2 dy (x - mean) / freedom
    float* __restrict__ dx;
    const float* __restrict__ dy;
    const float* __restrict__ x;
    const double* __restrict__ mean;
    float freedom;
    int n, inner;
    __device__ void operator()(int64_t at) const {
        int64_t above = quotient(at, inner), line = quotient(above, n) * inner + (at - above * inner);
        dx[at] = 2 * dy[line] / freedom * float(x[at] - mean[line]);
    }
};

template <bool all>
struct Truth {  // whether all, or any, of a line are not 0; a NaN is not
    using State = bool;
    bool* __restrict__ y;
    static __device__ bool start() { return all; }
    template <class T>
    __device__ void add(bool& s, T v, int) const {
        merge(s, v != 0);
    }
    __device__ void merge(bool& s, bool other) const { s = all ? s && other : s || other; }
    __device__ void finish(int64_t line, bool s) const { y[line] = s; }
};
template <class T>
void truth(const Out<bool>& y, const In<T>& x, bool all, cudaStream_t stream) {
    if (all)
        lines::reduce(Truth<true>{y.data}, x, stream);
    else
        lines::reduce(Truth<false>{y.data}, x, stream);
}

// Each thread's largest number, and the sum of e^(x - it).
struct Peak {
    float top;
    double sum;
};
struct LogSumExp {
    using State = Peak;
    float* __restrict__ y;
    static __device__ Peak start() { return {-INFINITY, 0}; }
    __device__ void add(Peak& s, float v, int) const { merge(s, {v, 1}); }
    __device__ void merge(Peak& s, const Peak& other) const {
        if (other.sum == 0) return;
        if (s.sum == 0 || other.top != other.top) {
            s = other;
            return;
        }
        if (s.top != s.top) return;
        float top = s.top > other.top ? s.top : other.top;
        double mine = s.top == top ? 1.0 : exp(double(s.top) - top);
        double theirs = other.top == top ? 1.0 : exp(double(other.top) - top);
        s = {top, s.sum * mine + other.sum * theirs};
    }
    __device__ void finish(int64_t line, const Peak& s) const {
        y[line] = s.sum == 0 ? -INFINITY : fabsf(s.top) == INFINITY ? s.top : float(log(s.sum) + s.top);
    }
};
struct LogSumExpBackward {
    float* __restrict__ dx;
    const float* __restrict__ dy;
    const float* __restrict__ x;
    const float* __restrict__ y;
    int n, inner;
    __device__ void operator()(int64_t at) const {
        int64_t above = quotient(at, inner), line = quotient(above, n) * inner + (at - above * inner);
        float top = y[line] == -INFINITY ? 0.0f : y[line];
        dx[at] = dy[line] * expf(x[at] - top);
    }
};

// --------------------------------------------------------------------------------------------------------------- norms

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

void largest_of_lines(Out<float> y, In<float> x, cudaStream_t stream) {
    lines::reduce(Extreme<true>{y.data, nullptr}, x, stream);
}
BIND(largest_of_lines, "y x");

void smallest_of_lines(Out<float> y, In<float> x, cudaStream_t stream) {
    lines::reduce(Extreme<false>{y.data, nullptr}, x, stream);
}
BIND(smallest_of_lines, "y x");

void place_of_extreme(Out<int64_t> index, In<float> x, bool largest, cudaStream_t stream) {
    if (largest)
        lines::reduce(Extreme<true>{nullptr, index.data}, x, stream);
    else
        lines::reduce(Extreme<false>{nullptr, index.data}, x, stream);
}
BIND(place_of_extreme, "index x largest");

void extreme_of_lines_backward(Out<float> dx, Work<float> chosen, Work<float> share, In<float> dy, In<float> x,
                               In<float> y, cudaStream_t stream) {
    int n = x.length(1), inner = x.length(2);
    require(dy.size() == y.size() && y.size() * n == x.size(), "extremes_backward: x ", x.shape, ", y ", y.shape);
    each(Equal{chosen.data, x.data, y.data, n, inner}, x.size(), stream);
    lines::reduce(Share{share.data, dy.data}, {chosen.data, x.shape}, stream);
    each(Spread{dx.data, chosen.data, share.data, n, inner}, x.size(), stream);
}
BIND(extreme_of_lines_backward, "dx chosen share dy x y");

void product_of_lines(Out<float> y, In<float> x, cudaStream_t stream) { lines::reduce(Product{y.data}, x, stream); }
BIND(product_of_lines, "y x");

void variance_of_lines(Out<float> y, In<float> x, double freedom, cudaStream_t stream) {
    lines::reduce(Variance(y.data, freedom), x, stream);
}
BIND(variance_of_lines, "y x freedom");

void logsumexp_of_lines(Out<float> y, In<float> x, cudaStream_t stream) { lines::reduce(LogSumExp{y.data}, x, stream); }
BIND(logsumexp_of_lines, "y x");

void logsumexp_of_lines_backward(Out<float> dx, In<float> dy, In<float> x, In<float> y, cudaStream_t stream) {
    require(dy.size() == y.size() && y.size() * x.length(1) == x.size(), "logsumexp_backward: x ", x.shape, ", y ",
            y.shape);
    each(LogSumExpBackward{dx.data, dy.data, x.data, y.data, x.length(1), x.length(2)}, x.size(), stream);
}
BIND(logsumexp_of_lines_backward, "dx dy x y");

void product_of_lines_backward(Out<float> dx, In<float> dy, In<float> x, cudaStream_t stream) {
    require(x.shape.count == 3 && dy.size() == x.shape[0] * x.shape[2], "prod_backward: x ", x.shape, ", dy ",
            dy.shape);
    each<1>(ProductBackward{dx.data, dy.data, x.data, x.length(1), x.length(2)}, dy.size(), stream);
}
BIND(product_of_lines_backward, "dx dy x");

void variance_of_lines_backward(Out<float> dx, Work<double> mean, In<float> dy, In<float> x, float freedom,
                                cudaStream_t stream) {
    int n = x.length(1), inner = x.length(2);
    require(dy.size() == mean.size() && dy.size() == x.shape[0] * inner, "var_backward: x ", x.shape, ", dy ",
            dy.shape);
    lines::reduce(MeanOfLine(mean.data), x, stream);
    each(VarianceBackward{dx.data, dy.data, x.data, mean.data, freedom, n, inner}, x.size(), stream);
}
BIND(variance_of_lines_backward, "dx mean dy x freedom");

void truth_of_lines(Out<bool> y, In<float> x, bool all, cudaStream_t stream) { truth(y, x, all, stream); }
BIND(truth_of_lines, "y x all");

void truth_of_bools(Out<bool> y, In<bool> x, bool all, cudaStream_t stream) { truth(y, x, all, stream); }
BIND(truth_of_bools, "y x all");

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
