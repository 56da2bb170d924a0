// Smooth activations: sigmoid, tanh and what is made of exponentials.  expf, log1pf and their kin are CUDA's accurate
// ones; none overflows, since every exponent is negative.
#include "elementwise.cuh"
#include "smooth.cuh"

namespace {
struct Sigmoid {
    __device__ float operator()(float x) const { return sigmoid(x); }
};
struct SigmoidBackward {
    __device__ float operator()(float dy, float y) const { return dy * y * (1 - y); }
};
struct Tanh {
    float amplitude, slope;
    __device__ float operator()(float x) const { return amplitude * tanhf(slope * x); }
};
struct TanhBackward {
    float top, curve;
    __device__ float operator()(float dy, float y) const { return dy * (top - curve * y * y); }
};
struct Elu {
    float alpha, scale, rate;
    __device__ float operator()(float x) const { return x > 0 ? scale * x : scale * alpha * expm1f(rate * x); }
};
struct EluBackward {
    float alpha, scale, rate;
    __device__ float operator()(float dy, float y) const {
        return y <= 0 ? rate * dy * (y + scale * alpha) : scale * dy;  // NaN: as above 0
    }
};
struct Softplus {
    float beta, threshold;
    __device__ float operator()(float x) const { return beta * x > threshold ? x : softplus(beta * x) / beta; }
};
struct SoftplusBackward {
    float beta, threshold;
    __device__ float operator()(float dy, float x) const { return beta * x > threshold ? dy : dy * sigmoid(beta * x); }
};
struct LogSigmoid {
    __device__ float operator()(float x) const { return -softplus(-x); }
};
struct LogSigmoidBackward {
    __device__ float operator()(float dy, float y) const { return -dy * expm1f(y); }
};
struct Softsign {
    __device__ float operator()(float x) const { return x / (1 + fabsf(x)); }
};
struct SoftsignBackward {
    __device__ float operator()(float dy, float x) const {
        float d = 1 + fabsf(x);
        return dy / (d * d) + 0 * x;  // NaN where x is infinite, as y is
    }
};
}  // namespace

void sigmoid_forward(Out<float> y, In<float> x, cudaStream_t stream) {
    map(Sigmoid{}, "sigmoid_forward", stream, y, x);
}
BIND(sigmoid_forward, "y x");

void sigmoid_backward(Out<float> dx, In<float> dy, In<float> y, cudaStream_t stream) {
    map(SigmoidBackward{}, "sigmoid_backward", stream, dx, dy, y);
}
BIND(sigmoid_backward, "dx dy y");

void tanh_forward(Out<float> y, In<float> x, float amplitude, float slope, cudaStream_t stream) {
    map(Tanh{amplitude, slope}, "tanh_forward", stream, y, x);
}
BIND(tanh_forward, "y x amplitude slope");

void tanh_backward(Out<float> dx, In<float> dy, In<float> y, float amplitude, float slope, cudaStream_t stream) {
    map(TanhBackward{slope * amplitude, slope / amplitude}, "tanh_backward", stream, dx, dy, y);
}
BIND(tanh_backward, "dx dy y amplitude slope");

void elu_forward(Out<float> y, In<float> x, float alpha, float scale, float rate, cudaStream_t stream) {
    map(Elu{alpha, scale, rate}, "elu_forward", stream, y, x);
}
BIND(elu_forward, "y x alpha scale rate");

void elu_backward(Out<float> dx, In<float> dy, In<float> y, float alpha, float scale, float rate, cudaStream_t stream) {
    map(EluBackward{alpha, scale, rate}, "elu_backward", stream, dx, dy, y);
}
BIND(elu_backward, "dx dy y alpha scale rate");

void softplus_forward(Out<float> y, In<float> x, float beta, float threshold, cudaStream_t stream) {
    map(Softplus{beta, threshold}, "softplus_forward", stream, y, x);
}
BIND(softplus_forward, "y x beta threshold");

void softplus_backward(Out<float> dx, In<float> dy, In<float> x, float beta, float threshold, cudaStream_t stream) {
    map(SoftplusBackward{beta, threshold}, "softplus_backward", stream, dx, dy, x);
}
BIND(softplus_backward, "dx dy x beta threshold");

void logsigmoid_forward(Out<float> y, In<float> x, cudaStream_t stream) {
    map(LogSigmoid{}, "logsigmoid_forward", stream, y, x);
}
BIND(logsigmoid_forward, "y x");

void logsigmoid_backward(Out<float> dx, In<float> dy, In<float> y, cudaStream_t stream) {
    map(LogSigmoidBackward{}, "logsigmoid_backward", stream, dx, dy, y);
}
BIND(logsigmoid_backward, "dx dy y");

void softsign_forward(Out<float> y, In<float> x, cudaStream_t stream) {
    map(Softsign{}, "softsign_forward", stream, y, x);
}
BIND(softsign_forward, "y x");

void softsign_backward(Out<float> dx, In<float> dy, In<float> x, cudaStream_t stream) {
    map(SoftsignBackward{}, "softsign_backward", stream, dx, dy, x);
}
BIND(softsign_backward, "dx dy x");
