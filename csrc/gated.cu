// Activations that multiply the input by a gate between 0 and 1.
#include "elementwise.cuh"
#include "smooth.cuh"

namespace {
constexpr float HALF_ROOT = 0.70710678f, DENSITY = 0.39894228f;  // sqrt(1 / 2), 1 / sqrt(2 pi)

// The normal distribution function; erfc keeps the digits of the left tail.
__device__ __forceinline__ float normal(float x) { return 0.5f * erfcf(-x * HALF_ROOT); }

struct Gelu {
    __device__ float operator()(float x) const { return x * normal(x); }
};
struct GeluBackward {
    __device__ float operator()(float dy, float x) const {
        return dy * (normal(x) + x * expf(-0.5f * x * x) * DENSITY);
    }
};
struct Silu {
    __device__ float operator()(float x) const { return x * sigmoid(x); }
};
struct SiluBackward {
    __device__ float operator()(float dy, float x) const {
        float s = sigmoid(x);
        return dy * s * (1 + x * (1 - s));
    }
};

struct Gate {
    float t, slope;
};
// t = tanh(ln(1 + e^x)) = n / (n + 2) with n = e^2x + 2 e^x, and its derivative; from x = 20 on, t is 1
__device__ __forceinline__ Gate mish_gate(float x) {
    float e = expf(x > 20 ? 20.0f : x), n = e * (e + 2), t = n / (n + 2);
    return {t, x > 20 ? 0.0f : (1 + t) * 2 / (n + 2) * (e / (1 + e))};
}
struct Mish {
    __device__ float operator()(float x) const { return x * mish_gate(x).t; }
};
struct MishBackward {
    __device__ float operator()(float dy, float x) const {
        Gate gate = mish_gate(x);
        return dy * (gate.t + x * gate.slope);
    }
};
struct Hardswish {
    __device__ float operator()(float x) const {
        float gate = x + 3;
        return x * ((gate < 0 ? 0.0f : gate > 6 ? 6.0f : gate) / 6);
    }
};
struct HardswishBackward {
    __device__ float operator()(float dy, float x) const { return x <= -3 ? 0.0f : x < 3 ? dy * (x / 3 + 0.5f) : dy; }
};
}  // namespace

void gelu_forward(Out<float> y, In<float> x, cudaStream_t stream) { map(Gelu{}, "gelu_forward", stream, y, x); }
BIND(gelu_forward, "y x");

void gelu_backward(Out<float> dx, In<float> dy, In<float> x, cudaStream_t stream) {
    map(GeluBackward{}, "gelu_backward", stream, dx, dy, x);
}
BIND(gelu_backward, "dx dy x");

void silu_forward(Out<float> y, In<float> x, cudaStream_t stream) { map(Silu{}, "silu_forward", stream, y, x); }
BIND(silu_forward, "y x");

void silu_backward(Out<float> dx, In<float> dy, In<float> x, cudaStream_t stream) {
    map(SiluBackward{}, "silu_backward", stream, dx, dy, x);
}
BIND(silu_backward, "dx dy x");

void mish_forward(Out<float> y, In<float> x, cudaStream_t stream) { map(Mish{}, "mish_forward", stream, y, x); }
BIND(mish_forward, "y x");

void mish_backward(Out<float> dx, In<float> dy, In<float> x, cudaStream_t stream) {
    map(MishBackward{}, "mish_backward", stream, dx, dy, x);
}
BIND(mish_backward, "dx dy x");

void hardswish_forward(Out<float> y, In<float> x, cudaStream_t stream) {
    map(Hardswish{}, "hardswish_forward", stream, y, x);
}
BIND(hardswish_forward, "y x");

void hardswish_backward(Out<float> dx, In<float> dy, In<float> x, cudaStream_t stream) {
    map(HardswishBackward{}, "hardswish_backward", stream, dx, dy, x);
}
BIND(hardswish_backward, "dx dy x");
