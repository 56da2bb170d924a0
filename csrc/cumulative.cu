// Running sums and products along an axis, of [outer, n, inner]: a thread walks along each line.
#include "elementwise.cuh"

namespace {
struct Walk {  // line number `at`: where it begins, and how far its numbers lie apart
    int64_t first;
    int step;
    __device__ Walk(int64_t at, int n, int inner) : step(inner) {
        int64_t row = quotient(at, inner);
        first = row * n * inner + (at - row * inner);
    }
    __device__ int64_t operator[](int i) const { return first + int64_t(i) * step; }
};

template <bool product>
struct Running {
    float* __restrict__ y;
    const float* __restrict__ x;
    int n, inner;
    bool backwards;
    __device__ void operator()(int64_t at) const {
        Walk line(at, n, inner);
        double so_far = product ? 1 : 0;
        for (int i = 0; i < n; ++i) {
            int64_t p = line[backwards ? n - 1 - i : i];
            so_far = product ? so_far * x[p] : so_far + x[p];
            y[p] = float(so_far);
        }
    }
};

// dx[j] = sum over i >= j of dy[i] times the product of x[0] ... x[i] without x[j]; zeros need no division.
struct ProductBackward {
    float* __restrict__ dx;
    const float* __restrict__ dy;
    const float* __restrict__ x;
    int n, inner;
    __device__ void operator()(int64_t at) const {
        Walk line(at, n, inner);
        double before = 1;
        for (int j = 0; j < n; ++j) {
            double others = before, sum = 0;
            for (int i = j; i < n; ++i) {
                if (i > j) others *= x[line[i]];
                sum += dy[line[i]] * others;
            }
            dx[line[j]] = float(sum);
            before *= x[line[j]];
        }
    }
};

template <bool product>
void run(const char* op, const Out<float>& y, const In<float>& x, bool backwards, cudaStream_t stream) {
    require(x.shape.count == 3 && y.size() == x.size(), op, ": takes [outer, n, inner], got ", x.shape, " and ",
            y.shape);
    int n = x.length(1), inner = x.length(2);
    each<1>(Running<product>{y.data, x.data, n, inner, backwards}, x.shape[0] * inner, stream);
}
}  // namespace

void running_sum(Out<float> y, In<float> x, bool backwards, cudaStream_t stream) {
    run<false>("cumsum", y, x, backwards, stream);
}
BIND(running_sum, "y x backwards");

void running_product(Out<float> y, In<float> x, cudaStream_t stream) { run<true>("cumprod", y, x, false, stream); }
BIND(running_product, "y x");

void running_product_backward(Out<float> dx, In<float> dy, In<float> x, cudaStream_t stream) {
    require(x.shape.count == 3 && dy.size() == x.size(), "cumprod_backward: x ", x.shape, ", dy ", dy.shape);
    each<1>(ProductBackward{dx.data, dy.data, x.data, x.length(1), x.length(2)}, x.shape[0] * x.length(2), stream);
}
BIND(running_product_backward, "dx dy x");
