// More element-wise functions, forward and backward: what happens to one element, and its launcher.  Those of a table
// (trigonometric, hyperbolic, logarithmic, rounding) are chosen by number; logit and the inverse of erf follow.
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
__device__ inline float cut(float d, float delta) { return d < -delta ? -delta : d > delta ? delta : d; }
struct Huber {
    float delta;
    __device__ float operator()(float a, float b) const {
        float d = a - b, c = cut(d, delta);
        return c * (d - 0.5f * c);
    }
};
struct HuberBackward {
    float delta;
    __device__ float operator()(float dy, float a, float b) const { return dy * cut(a - b, delta); }
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

// -------------------------------------------------------------------------------------------- by number, logit, erfinv

constexpr float LN_2 = 0.6931471805599453f, LN_10 = 2.302585092994046f;

// All elements take the same case, so the switch costs one jump.
enum Function { TAN, ASIN, ACOS, ATAN, SINH, COSH, ASINH, ACOSH, ATANH, EXP2, LOG2, LOG10, FLOOR, CEIL, TRUNC, ROUND };
struct Analytic {
    float* __restrict__ y;
    const float* __restrict__ x;
    int function;
    __device__ float of(float v) const {
        switch (function) {
            case TAN: return tanf(v);
            case ASIN: return asinf(v);
            case ACOS: return acosf(v);
            case ATAN: return atanf(v);
            case SINH: return sinhf(v);
            case COSH: return coshf(v);
            case ASINH: return asinhf(v);
            case ACOSH: return acoshf(v);
            case ATANH: return atanhf(v);
            case EXP2: return exp2f(v);
            case LOG2: return log2f(v);
            case LOG10: return log10f(v);
            case FLOOR: return floorf(v);
            case CEIL: return ceilf(v);
            case TRUNC: return truncf(v);
        }
        return rintf(v);
    }
    __device__ void operator()(int64_t i) const { y[i] = of(x[i]); }
};
struct AnalyticSlope {
    float* __restrict__ dx;
    const float* __restrict__ dy;
    const float* __restrict__ x;
    const float* __restrict__ y;
    int function;
    __device__ float of(float v, float value) const {
        switch (function) {
            case TAN: return 1 + value * value;
            case ASIN: return 1 / sqrtf(1 - v * v);
            case ACOS: return -1 / sqrtf(1 - v * v);
            case ATAN: return 1 / (1 + v * v);
            case SINH: return coshf(v);
            case COSH: return sinhf(v);
            case ASINH: return 1 / sqrtf(v * v + 1);
            case ACOSH: return 1 / sqrtf(v * v - 1);
            case ATANH: return 1 / (1 - v * v);
            case EXP2: return value * LN_2;
            case LOG2: return 1 / (v * LN_2);
        }
        return 1 / (v * LN_10);
    }
    __device__ void operator()(int64_t i) const { dx[i] = dy[i] * of(x[i], y[i]); }
};

struct Logit {  // ln(x / (1 - x)) of x between bounds; NaN passes
    float low, high;
    __device__ float operator()(float x) const {
        float inside = x < low ? low : x > high ? high : x;
        return logf(inside / (1 - inside));
    }
};
struct LogitBackward {
    float low, high;
    bool bounded;
    __device__ float operator()(float dy, float x) const {
        return x >= low && x <= high ? dy / (x * (1 - x)) : bounded ? 0.0f : NAN;
    }
};

// One polynomial over another, by Horner's rule; coefficients with the constant last.
__device__ double quotient_of(const double (&upper)[8], const double (&lower)[8], double r) {
    double a = upper[0], b = lower[0];
    for (int i = 1; i < 8; ++i) a = a * r + upper[i], b = b * r + lower[i];
    return a / b;
}
// The normal distribution's quantile of 1/2 + q, in float64; outside = 1/2 - |q|.  Wichura, "Algorithm AS 241",
// Applied Statistics 37(3), 1988.
__device__ double normal_quantile(double q, double outside) {
    if (fabs(q) <= 0.425)
        return q * quotient_of({2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4,
                                4.5921953931549871457e4, 1.3731693765509461125e4, 1.9715909503065514427e3,
                                1.3314166789178437745e2, 3.3871328727963666080e0},
                               {5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4,
                                2.1213794301586595867e4, 5.3941960214247511077e3, 6.8718700749205790830e2,
                                4.2313330701600911252e1, 1.0},
                               0.180625 - q * q);
    double r = sqrt(-log(outside));
    double tail = r <= 5 ? quotient_of({7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1,
                                        1.27045825245236838258e0, 3.64784832476320460504e0, 5.76949722146069140550e0,
                                        4.63033784615654529590e0, 1.42343711074968357734e0},
                                       {1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2,
                                        1.48103976427480074590e-1, 6.89767334985100004550e-1, 1.67638483018380384940e0,
                                        2.05319162663775882187e0, 1.0},
                                       r - 1.6)
                         : quotient_of({2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3,
                                        2.65321895265761230930e-2, 2.96560571828504891230e-1, 1.78482653991729133580e0,
                                        5.46378491116411436990e0, 6.65790464350110377720e0},
                                       {2.04426310338993978564e-15, 1.42151175831644588870e-7,
                                        1.84631831751005468180e-5, 7.86869131145613259100e-4, 1.48753612908506148525e-2,
                                        1.36929880922735805310e-1, 5.99832206555887937690e-1, 1.0},
                                       r - 5);
    return copysign(tail, q);
}
struct Erfinv {
    float* __restrict__ y;
    const float* __restrict__ x;
    __device__ void operator()(int64_t i) const {
        double v = x[i], outside = (1 - fabs(v)) / 2;
        if (outside > 0)
            y[i] = float(normal_quantile(v / 2, outside) * 0.7071067811865476);
        else
            y[i] = outside == 0 ? copysignf(INFINITY, x[i]) : NAN;
    }
};
struct ErfinvBackward {
    __device__ float operator()(float dy, float y) const { return dy * 0.8862269254527580f * expf(y * y); }
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

void huber_forward(Out<float> y, In<float> a, In<float> b, float delta, cudaStream_t stream) {
    map(Huber{delta}, "huber_forward", stream, y, a, b);
}
BIND(huber_forward, "y a b delta");

void huber_backward(Out<float> da, In<float> dy, In<float> a, In<float> b, float delta, cudaStream_t stream) {
    map(HuberBackward{delta}, "huber_backward", stream, da, dy, a, b);
}
BIND(huber_backward, "da dy a b delta");

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

void analytic_function(Out<float> y, In<float> x, int function, cudaStream_t stream) {
    require(y.size() == x.size(), "analytic: x has shape ", x.shape, ", y ", y.shape);
    each<1>(Analytic{y.data, x.data, function}, x.size(), stream);
}
BIND(analytic_function, "y x function");

void analytic_slope(Out<float> dx, In<float> dy, In<float> x, In<float> y, int function, cudaStream_t stream) {
    require(x.size() == dy.size() && y.size() == dy.size(), "analytic_backward: x has shape ", x.shape, ", dy ",
            dy.shape);
    each<1>(AnalyticSlope{dx.data, dy.data, x.data, y.data, function}, dy.size(), stream);
}
BIND(analytic_slope, "dx dy x y function");

void logit_between(Out<float> y, In<float> x, float low, float high, cudaStream_t stream) {
    map(Logit{low, high}, "logit", stream, y, x);
}
BIND(logit_between, "y x low high");

void logit_gradient(Out<float> dx, In<float> dy, In<float> x, float low, float high, bool bounded,
                    cudaStream_t stream) {
    map(LogitBackward{low, high, bounded}, "logit_backward", stream, dx, dy, x);
}
BIND(logit_gradient, "dx dy x low high bounded");

void erfinv_forward(Out<float> y, In<float> x, cudaStream_t stream) {
    require(y.size() == x.size(), "erfinv: x has shape ", x.shape, ", y ", y.shape);
    each<1>(Erfinv{y.data, x.data}, x.size(), stream);
}
BIND(erfinv_forward, "y x");

void erfinv_backward(Out<float> dx, In<float> dy, In<float> y, cudaStream_t stream) {
    map(ErfinvBackward{}, "erfinv_backward", stream, dx, dy, y);
}
BIND(erfinv_backward, "dx dy y");
