// More element-wise functions, forward and backward: what happens to one element, and its launcher.
#include "elementwise.cuh"
#include "smooth.cuh"

namespace {
constexpr float SLOPE = 0.7978845608028654f, CUBIC = 0.044715f;  // of gelu's approximation: sqrt(2 / pi)

struct Expm1 {
    __device__ float operator()(float x) const { return expm1f(x); }
};
struct Log1p {
    __device__ float operator()(float x) const { return log1pf(x); }
};
struct Sin {
    __device__ float operator()(float x) const { return sinf(x); }
};
struct Cos {
    __device__ float operator()(float x) const { return cosf(x); }
};
struct Erf {
    __device__ float operator()(float x) const { return erff(x); }
};
struct Rsqrt {
    __device__ float operator()(float x) const { return 1 / sqrtf(x); }
};
struct Hardsigmoid {
    __device__ float operator()(float x) const { return x != x ? x : fminf(fmaxf(x + 3, 0), 6) / 6; }
};
struct GeluTanh {
    __device__ float operator()(float x) const { return 0.5f * x * (1 + tanhf(SLOPE * (x + CUBIC * x * x * x))); }
};
struct RsqrtBackward {
    __device__ float operator()(float dy, float y) const { return -0.5f * dy * y * y * y; }
};
struct ReciprocalBackward {
    __device__ float operator()(float dy, float y) const { return -dy * y * y; }
};
struct ErfBackward {
    __device__ float operator()(float dy, float x) const { return dy * 1.1283791670955126f * expf(-x * x); }
};
struct HardsigmoidBackward {
    __device__ float operator()(float dy, float y) const { return y > 0 && y < 1 ? dy / 6 : 0.0f; }
};
struct GeluTanhBackward {
    __device__ float operator()(float dy, float x) const {
        float t = tanhf(SLOPE * (x + CUBIC * x * x * x));
        return dy * (0.5f * (1 + t) + 0.5f * x * (1 - t * t) * SLOPE * (1 + 3 * CUBIC * x * x));
    }
};
struct Hardshrink {
    float limit;
    __device__ float operator()(float x) const { return -limit <= x && x <= limit ? 0.0f : x; }
};
struct Softshrink {
    float limit;
    __device__ float operator()(float x) const { return x > limit ? x - limit : x < -limit ? x + limit : 0 * x; }
};
struct ShrinkBackward {
    float limit;
    __device__ float operator()(float dy, float x) const { return -limit <= x && x <= limit ? 0.0f : dy; }
};
struct Threshold {
    float limit, value;
    __device__ float operator()(float x) const { return x <= limit ? value : x; }
};
struct ThresholdBackward {
    float limit;
    __device__ float operator()(float dy, float x) const { return x <= limit ? 0.0f : dy; }
};
struct Softtanh {  // an odd function: with |x|, both exponents are negative
    float beta;
    __device__ float operator()(float x) const {
        float size = fabsf(x), rest = log1pf(expf(-beta * (size + 1))) - log1pf(expf(-beta * fabsf(size - 1)));
        float v = (size < 1 ? size : 1.0f) + rest / beta;
        return x != x ? x : x > 0 ? v : x < 0 ? -v : 0.0f;
    }
};
struct SofttanhBackward {
    float beta;
    __device__ float operator()(float dy, float x) const {
        return dy * (sigmoid(beta * (x + 1)) - sigmoid(beta * (x - 1)));
    }
};
}  // namespace

void expm1_forward(Out<float> y, In<float> x, cudaStream_t stream) { map(Expm1{}, "expm1_forward", stream, y, x); }
BIND(expm1_forward, "y x");

void log1p_forward(Out<float> y, In<float> x, cudaStream_t stream) { map(Log1p{}, "log1p_forward", stream, y, x); }
BIND(log1p_forward, "y x");

void sin_forward(Out<float> y, In<float> x, cudaStream_t stream) { map(Sin{}, "sin_forward", stream, y, x); }
BIND(sin_forward, "y x");

void cos_forward(Out<float> y, In<float> x, cudaStream_t stream) { map(Cos{}, "cos_forward", stream, y, x); }
BIND(cos_forward, "y x");

void erf_forward(Out<float> y, In<float> x, cudaStream_t stream) { map(Erf{}, "erf_forward", stream, y, x); }
BIND(erf_forward, "y x");

void rsqrt_forward(Out<float> y, In<float> x, cudaStream_t stream) { map(Rsqrt{}, "rsqrt_forward", stream, y, x); }
BIND(rsqrt_forward, "y x");

void hardsigmoid_forward(Out<float> y, In<float> x, cudaStream_t stream) {
    map(Hardsigmoid{}, "hardsigmoid_forward", stream, y, x);
}
BIND(hardsigmoid_forward, "y x");

void gelu_tanh_forward(Out<float> y, In<float> x, cudaStream_t stream) {
    map(GeluTanh{}, "gelu_tanh_forward", stream, y, x);
}
BIND(gelu_tanh_forward, "y x");

void rsqrt_backward(Out<float> dx, In<float> dy, In<float> y, cudaStream_t stream) {
    map(RsqrtBackward{}, "rsqrt_backward", stream, dx, dy, y);
}
BIND(rsqrt_backward, "dx dy y");

void reciprocal_backward(Out<float> dx, In<float> dy, In<float> y, cudaStream_t stream) {
    map(ReciprocalBackward{}, "reciprocal_backward", stream, dx, dy, y);
}
BIND(reciprocal_backward, "dx dy y");

void erf_backward(Out<float> dx, In<float> dy, In<float> x, cudaStream_t stream) {
    map(ErfBackward{}, "erf_backward", stream, dx, dy, x);
}
BIND(erf_backward, "dx dy x");

void hardsigmoid_backward(Out<float> dx, In<float> dy, In<float> y, cudaStream_t stream) {
    map(HardsigmoidBackward{}, "hardsigmoid_backward", stream, dx, dy, y);
}
BIND(hardsigmoid_backward, "dx dy y");

void gelu_tanh_backward(Out<float> dx, In<float> dy, In<float> x, cudaStream_t stream) {
    map(GeluTanhBackward{}, "gelu_tanh_backward", stream, dx, dy, x);
}
BIND(gelu_tanh_backward, "dx dy x");

void hardshrink_forward(Out<float> y, In<float> x, float limit, cudaStream_t stream) {
    map(Hardshrink{limit}, "hardshrink_forward", stream, y, x);
}
BIND(hardshrink_forward, "y x limit");

void softshrink_forward(Out<float> y, In<float> x, float limit, cudaStream_t stream) {
    map(Softshrink{limit}, "softshrink_forward", stream, y, x);
}
BIND(softshrink_forward, "y x limit");

void shrink_backward(Out<float> dx, In<float> dy, In<float> x, float limit, cudaStream_t stream) {
    map(ShrinkBackward{limit}, "shrink_backward", stream, dx, dy, x);
}
BIND(shrink_backward, "dx dy x limit");

void threshold_backward(Out<float> dx, In<float> dy, In<float> x, float limit, cudaStream_t stream) {
    map(ThresholdBackward{limit}, "threshold_backward", stream, dx, dy, x);
}
BIND(threshold_backward, "dx dy x limit");

void softtanh_backward(Out<float> dx, In<float> dy, In<float> x, float beta, cudaStream_t stream) {
    map(SofttanhBackward{beta}, "softtanh_backward", stream, dx, dy, x);
}
BIND(softtanh_backward, "dx dy x beta");

void threshold_forward(Out<float> y, In<float> x, float limit, float value, cudaStream_t stream) {
    map(Threshold{limit, value}, "threshold_forward", stream, y, x);
}
BIND(threshold_forward, "y x limit value");

void softtanh_forward(Out<float> y, In<float> x, float beta, cudaStream_t stream) {
    map(Softtanh{beta}, "softtanh_forward", stream, y, x);
}
BIND(softtanh_forward, "y x beta");
