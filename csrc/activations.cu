// Activations made of straight pieces, forward and backward: what happens to one element, and its launcher.
// A NaN comes out where one went in, so every comparison is written to let it through.
#include "columns.cuh"
#include "elementwise.cuh"
#include "philox.cuh"

namespace {
struct Relu {
    __device__ float operator()(float x) const { return x < 0 ? 0.0f : x; }
};
struct ReluBackward {
    __device__ float operator()(float dy, float y) const { return y <= 0 ? 0.0f : dy; }
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
    __device__ float operator()(float x) const {
        float v = x < low ? low : x;
        return v > high ? high : v;
    }
};
struct HardtanhBackward {
    float low, high;
    __device__ float operator()(float dy, float y) const { return y <= low || y >= high ? 0.0f : dy; }  // NaN: dy
};
struct Prelu {
    const float* __restrict__ weight;
    bool shared;  // one slope for all channels
    __device__ float operator()(int c, float x) const { return x > 0 ? x : weight[shared ? 0 : c] * x; }
};
struct PreluBackward {  // dx on the way, and the sum of x dy where x <= 0
    using Sum = double;
    static constexpr int COUNT = 1;
    float* __restrict__ dx;
    const float* __restrict__ dy;
    const float* __restrict__ x;
    Prelu slope;
    __device__ void operator()(double* sums, int64_t i, int c, int64_t) const {
        float v = x[i], d = dy[i];
        dx[i] = v > 0 ? d : slope.weight[slope.shared ? 0 : c] * d;
        sums[0] += v > 0 ? 0.0 : double(v) * d;
    }
};
template <class T>
struct PerChannel {
    T* __restrict__ sum;
    __device__ void operator()(int c, const double* sums) const { sum[c] = T(sums[0]); }
};
__global__ void add_up_kernel(float* __restrict__ dweight, const double* __restrict__ each, int c) {
    double sum = 0;
    for (int k = 0; k < c; ++k) sum += each[k];
    *dweight = float(sum);
}
struct Lean {  // y = v where x > 0, else v times a slope drawn uniformly from lower to lower + width
    float* __restrict__ y;
    const float* __restrict__ v;
    const float* __restrict__ x;
    float lower, width;
    __device__ void operator()(int64_t i, unsigned word) const {
        float slope = lower + width * ((float(word) + 0.5f) * 0x1p-32f);
        y[i] = x[i] > 0 ? v[i] : v[i] * slope;
    }
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

void prelu_forward(Out<float> y, In<float> x, In<float> weight, cudaStream_t stream) {
    map_channels(Prelu{weight.data, weight.size() == 1}, "prelu_forward", stream, x.length(1), y, x);
}
BIND(prelu_forward, "y x weight");

void prelu_backward(Out<float> dx, Out<float> dweight, Work<double> partial, Work<double> each, In<float> dy,
                    In<float> x, In<float> weight, cudaStream_t stream) {
    int c = x.length(1);
    bool shared = weight.size() == 1;
    require(shared || weight.size() == c, "prelu_backward: ", weight.shape, " slopes for ", c, " channels");
    PreluBackward f{dx.data, dy.data, x.data, {weight.data, shared}};
    if (shared) {
        columns::sum(f, PerChannel<double>{each.data}, partial, x.shape[0], c, stream);
        LAUNCH(add_up_kernel, 1, 1, 0, stream, dweight.data, each.data, c);
    } else {
        columns::sum(f, PerChannel<float>{dweight.data}, partial, x.shape[0], c, stream);
    }
}
BIND(prelu_backward, "dx dweight partial each dy x weight");

void rrelu_forward(Out<float> y, Out<unsigned> ticket, In<float> x, InOut<unsigned> state, float lower, float upper,
                   cudaStream_t stream) {
    philox::take_ticket("rrelu_forward", ticket, state, stream);
    philox::each_word(Lean{y.data, x.data, x.data, lower, upper - lower}, ticket.data, x.size(), stream);
}
BIND(rrelu_forward, "y ticket x state lower upper");

void rrelu_backward(Out<float> dx, In<float> dy, In<float> x, In<unsigned> ticket, float lower, float upper,
                    cudaStream_t stream) {
    philox::each_word(Lean{dx.data, dy.data, x.data, lower, upper - lower}, ticket.data, x.size(), stream);
}
BIND(rrelu_backward, "dx dy x ticket lower upper");
