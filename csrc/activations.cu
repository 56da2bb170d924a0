// Activations made of straight pieces, forward and backward: what happens to one element, and its launcher.
// A NaN comes out where one went in, so every comparison is written to let it through.
#include "elementwise.cuh"

namespace {
struct Relu {
    __device__ float operator()(float x) const { return x < 0 ? 0.0f : x; }
};
struct ReluBackward {
    __device__ float operator()(float dy, float y) const { return y > 0 ? dy : 0.0f; }
};
struct LeakyRelu {
    float slope;
    __device__ float operator()(float x) const { return x > 0 ? x : slope * x; }
};
struct LeakyReluBackward {
    float slope;
    __device__ float operator()(float dy, float x) const { return x > 0 ? dy : slope * dy; }
};
struct Hardtanh {
    float low, high;
    __device__ float operator()(float x) const { return x < low ? low : x > high ? high : x; }
};
struct HardtanhBackward {
    float low, high;
    __device__ float operator()(float dy, float y) const { return low < y && y < high ? dy : 0.0f; }
};
}  // namespace

void relu_forward(Out<float> y, In<float> x, cudaStream_t stream) { map(Relu{}, "relu_forward", stream, y, x); }
BIND(relu_forward, "y x");

void relu_backward(Out<float> dx, In<float> dy, In<float> y, cudaStream_t stream) {
    map(ReluBackward{}, "relu_backward", stream, dx, dy, y);
}
BIND(relu_backward, "dx dy y");

void leaky_relu_forward(Out<float> y, In<float> x, float slope, cudaStream_t stream) {
    map(LeakyRelu{slope}, "leaky_relu_forward", stream, y, x);
}
BIND(leaky_relu_forward, "y x slope");

void leaky_relu_backward(Out<float> dx, In<float> dy, In<float> x, float slope, cudaStream_t stream) {
    map(LeakyReluBackward{slope}, "leaky_relu_backward", stream, dx, dy, x);
}
BIND(leaky_relu_backward, "dx dy x slope");

void hardtanh_forward(Out<float> y, In<float> x, float low, float high, cudaStream_t stream) {
    map(Hardtanh{low, high}, "hardtanh_forward", stream, y, x);
}
BIND(hardtanh_forward, "y x low high");

void hardtanh_backward(Out<float> dx, In<float> dy, In<float> y, float low, float high, cudaStream_t stream) {
    map(HardtanhBackward{low, high}, "hardtanh_backward", stream, dx, dy, y);
}
BIND(hardtanh_backward, "dx dy y low high");
