// Functions of two inputs beside arithmetic: angles, lengths, remainders, powers, bounds that are arrays; and their
// gradients.  An input is an array of the output's shape, or one number for all elements.
#include "elementwise.cuh"

namespace {
struct Operand {
    const float* __restrict__ x;  // null: the number
    float number;
    __device__ float operator[](int64_t i) const { return x ? x[i] : number; }
};

// a - b n, n = floor(a / b), with the divisor's sign, exactly; and n.
__device__ __forceinline__ float floor_remainder(float a, float b) {
    float rest = fmodf(a, b);
    if (b == 0) return rest;
    return rest == 0 ? copysignf(0, b) : (b < 0) != (rest < 0) ? rest + b : rest;
}
__device__ __forceinline__ float floor_quotient(float a, float b) {
    if (b == 0) return a / b;
    float rest = fmodf(a, b), n = (a - rest) / b;
    if (rest != 0 && (b < 0) != (rest < 0)) n -= 1;
    if (n == 0) return copysignf(0, a / b);
    float below = floorf(n);
    return n - below > 0.5f ? below + 1 : below;
}

// All elements take the same case, so the switch costs one jump.
enum Function { ATAN2, HYPOT, FMAX, REMAINDER, FMOD, FLOOR_QUOTIENT, TRUNC_QUOTIENT, POW, RATIO };
__device__ float value_of(int function, float a, float b) {
    switch (function) {
        case ATAN2: return atan2f(a, b);
        case HYPOT: return hypotf(a, b);
        case FMAX: return fmaxf(a, b);
        case REMAINDER: return floor_remainder(a, b);
        case FMOD: return fmodf(a, b);
        case FLOOR_QUOTIENT: return floor_quotient(a, b);
        case TRUNC_QUOTIENT: return truncf(a / b);
        case POW: return powf(a, b);
    }
    return b == 0 ? 0.0f : a / b;
}
struct Pair {
    float* __restrict__ y;
    Operand a, b;
    int function;
    __device__ void operator()(int64_t i) const { y[i] = value_of(function, a[i], b[i]); }
};

enum Slope { POW_BASE, POW_EXPONENT, FLOOR_DIVISOR, TRUNC_DIVISOR };
struct PairSlope {
    float* __restrict__ dx;
    const float* __restrict__ dy;
    Operand a, b;
    int slope;
    __device__ float of(int64_t i) const {
        float d = dy[i], p = a[i], q = b[i];
        switch (slope) {
            case POW_BASE: return q == 0 ? 0.0f : d * q * powf(p, q - 1);
            case POW_EXPONENT:  // terms that cancel where the exponent was broadcast
                return p == 0 && q >= 0 ? 0.0f : float(d * (pow(double(p), double(q)) * log(double(p))));
            case FLOOR_DIVISOR: return -d * floor_quotient(p, q);
        }
        return -d * truncf(p / q);
    }
    __device__ void operator()(int64_t i) const { dx[i] = of(i); }
};

struct Atan2Gradient {
    float* __restrict__ da;
    float* __restrict__ db;
    const float* __restrict__ dy;
    Operand a, b;
    __device__ void operator()(int64_t i) const {
        float p = a[i], q = b[i], square = p * p + q * q, share = square == 0 ? 0.0f : dy[i] / square;
        da[i] = share * q;
        db[i] = -share * p;
    }
};
struct FmaxGradient {  // to a where it is not below b, and where b is NaN
    float* __restrict__ da;
    float* __restrict__ db;
    const float* __restrict__ dy;
    Operand a, b;
    __device__ void operator()(int64_t i) const {
        bool first = a[i] >= b[i] || b[i] != b[i];
        da[i] = first ? dy[i] : 0.0f;
        db[i] = first ? 0.0f : dy[i];
    }
};

struct ClampBetween {  // a NaN in any of the three comes out
    __device__ float operator()(float x, float low, float high) const {
        float raised = x != x || x > low ? x : low;
        return raised != raised || raised < high ? raised : high;
    }
};
struct ClampBetweenGradient {
    float* __restrict__ dx;
    float* __restrict__ dlow;
    float* __restrict__ dhigh;
    const float* __restrict__ dy;
    const float* __restrict__ x;
    const float* __restrict__ low;
    const float* __restrict__ high;
    bool low_alone;
    __device__ void operator()(int64_t i) const {
        float v = x[i], least = low[i], most = high[i], d = dy[i];
        dx[i] = v >= least && v <= most ? d : 0.0f;
        dlow[i] = (least < most || low_alone) && v < least ? d : 0.0f;
        dhigh[i] = most < least || v > most ? d : 0.0f;
    }
};

void require_alike(const char* op, const Maybe<float>& a, const Maybe<float>& b, int64_t n) {
    require((a || b || n == 0) && (!a || a.size() == n) && (!b || b.size() == n), op, ": inputs of shapes ", a.shape,
            " and ", b.shape, " for ", n, " elements");
}
}  // namespace

void pair_function(Out<float> y, Maybe<float> a, Maybe<float> b, float number, int function, cudaStream_t stream) {
    require_alike("pair_function", a, b, y.size());
    each<1>(Pair{y.data, {a.data, number}, {b.data, number}, function}, y.size(), stream);
}
BIND(pair_function, "y a b number function");

void pair_slope(Out<float> dx, In<float> dy, Maybe<float> a, Maybe<float> b, float number, int slope,
                cudaStream_t stream) {
    require_alike("pair_slope", a, b, dy.size());
    each<1>(PairSlope{dx.data, dy.data, {a.data, number}, {b.data, number}, slope}, dy.size(), stream);
}
BIND(pair_slope, "dx dy a b number slope");

void atan2_gradient(Out<float> da, Out<float> db, In<float> dy, Maybe<float> a, Maybe<float> b, float number,
                    cudaStream_t stream) {
    require_alike("atan2_backward", a, b, dy.size());
    each(Atan2Gradient{da.data, db.data, dy.data, {a.data, number}, {b.data, number}}, dy.size(), stream);
}
BIND(atan2_gradient, "da db dy a b number");

void fmax_gradient(Out<float> da, Out<float> db, In<float> dy, Maybe<float> a, Maybe<float> b, float number,
                   cudaStream_t stream) {
    require_alike("fmax_backward", a, b, dy.size());
    each(FmaxGradient{da.data, db.data, dy.data, {a.data, number}, {b.data, number}}, dy.size(), stream);
}
BIND(fmax_gradient, "da db dy a b number");

void clamp_between_forward(Out<float> y, In<float> x, In<float> low, In<float> high, cudaStream_t stream) {
    map(ClampBetween{}, "clamp_between", stream, y, x, low, high);
}
BIND(clamp_between_forward, "y x low high");

void clamp_between_gradient(Out<float> dx, Out<float> dlow, Out<float> dhigh, In<float> dy, In<float> x, In<float> low,
                            In<float> high, bool low_alone, cudaStream_t stream) {
    require(x.size() == dy.size() && low.size() == dy.size() && high.size() == dy.size(), "clamp_between: ", x.shape,
            ", ", low.shape, ", ", high.shape);
    each(ClampBetweenGradient{dx.data, dlow.data, dhigh.data, dy.data, x.data, low.data, high.data, low_alone},
         dy.size(), stream);
}
BIND(clamp_between_gradient, "dx dlow dhigh dy x low high low_alone");
