// Along an axis, of [outer, n, inner]: the largest, the smallest, where they are, products, moments, logsumexp.
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

// sum (x - mean)^2 / freedom
struct Variance {
    using State = Moments;
    float* __restrict__ y;
    double freedom;
    static __device__ Moments start() { return {0, 0, 0}; }
    __device__ void add(Moments& s, float v, int) const {
        s.n += 1;
        double off = v - s.mean;
        s.mean += off / s.n;
        s.m2 += off * (v - s.mean);
    }
    __device__ void merge(Moments& s, const Moments& other) const { s.merge(other.n, other.mean, other.m2); }
    __device__ void finish(int64_t line, const Moments& s) const { y[line] = float(s.m2 / freedom); }
};

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
    lines::reduce(Variance{y.data, freedom}, x, stream);
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
