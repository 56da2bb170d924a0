// Dropout of elements and of channels, and SELU's alpha dropout.  No mask is kept: backward draws the same bits again
// from the ticket.
#include "bf16.cuh"
#include "elementwise.cuh"
#include "philox.cuh"

namespace {
struct Drop {  // y = x times the scale where the bits reach the limit, else times 0: a NaN comes out either way
    float* __restrict__ y;
    const float* __restrict__ x;
    int64_t limit;
    float scale;
    __device__ void operator()(int64_t i, unsigned bits) const {
        y[i] = x[i] * (bits >= limit ? scale : 0.0f);
    }
};
struct DropRounded {
    Drop drop;
    __device__ void operator()(int64_t i, unsigned bits) const {
        drop.y[i] = bf16::rounded(drop.x[i] * (bits >= drop.limit ? drop.scale : 0.0f));
    }
};
struct Factor {  // of a channel of a sample
    float* __restrict__ factors;
    int64_t limit;
    float scale;
    __device__ void operator()(int64_t i, unsigned bits) const { factors[i] = bits >= limit ? scale : 0.0f; }
};
struct DropChannels {  // y[n, s, c] = x[n, s, c] factors[n, c]
    float* __restrict__ y;
    const float* __restrict__ x;
    const float* __restrict__ factors;
    int64_t sample;
    int c;
    __device__ void operator()(int64_t i) const { y[i] = x[i] * factors[i / sample * c + modulo(i, c)]; }
};

struct AlphaDrop {  // y = a x + b where the bits reach the limit, else one value
    float* __restrict__ y;
    const float* __restrict__ x;
    int64_t limit;
    float a, b, dropped;
    __device__ void operator()(int64_t i, unsigned bits) const { y[i] = bits >= limit ? a * x[i] + b : dropped; }
};
struct AlphaDropChannels {  // by the channel's factor, which is 1 or 0
    float* __restrict__ y;
    const float* __restrict__ x;
    const float* __restrict__ kept;
    int64_t sample;
    int c;
    float a, b, dropped;
    __device__ void operator()(int64_t i) const {
        y[i] = kept[i / sample * c + modulo(i, c)] != 0 ? a * x[i] + b : dropped;
    }
};

void drop_channels(const char* op, const Out<float>& y, const Work<float>& factors, const In<float>& x,
                   const unsigned* ticket, int64_t limit, float scale, cudaStream_t stream) {
    int64_t samples = factors.shape[0], n = y.size();
    require(x.size() == n, op, ": x has shape ", x.shape, ", y ", y.shape);
    if (!n) return;
    philox::each_half(Factor{factors.data, limit, scale}, ticket, factors.size(), stream);
    each(DropChannels{y.data, x.data, factors.data, n / samples, factors.length(1)}, n, stream);
}
}  // namespace

void dropout_forward(Out<float> y, Out<unsigned> ticket, In<float> x, InOut<unsigned> state, int64_t limit, float scale,
                     cudaStream_t stream) {
    philox::take_ticket("dropout_forward", ticket, state, stream);
    philox::each_half(Drop{y.data, x.data, limit, scale}, ticket.data, x.size(), stream);
}
BIND(dropout_forward, "y ticket x state limit scale");

void dropout_backward(Out<float> dx, In<float> dy, In<unsigned> ticket, int64_t limit, float scale,
                      cudaStream_t stream) {
    philox::each_half(Drop{dx.data, dy.data, limit, scale}, ticket.data, dy.size(), stream);
}
BIND(dropout_backward, "dx dy ticket limit scale");

void bf16_dropout_backward(Out<float> dx, In<float> dy, In<unsigned> ticket, int64_t limit, float scale,
                           cudaStream_t stream) {
    philox::each_half(DropRounded{{dx.data, dy.data, limit, scale}}, ticket.data, dy.size(), stream);
}
BIND(bf16_dropout_backward, "dx dy ticket limit scale");

void dropout_channels_forward(Out<float> y, Out<unsigned> ticket, Work<float> factors, In<float> x,
                              InOut<unsigned> state, int64_t limit, float scale, cudaStream_t stream) {
    philox::take_ticket("dropout_channels_forward", ticket, state, stream);
    drop_channels("dropout_channels_forward", y, factors, x, ticket.data, limit, scale, stream);
}
BIND(dropout_channels_forward, "y ticket factors x state limit scale");

void dropout_channels_backward(Out<float> dx, Work<float> factors, In<float> dy, In<unsigned> ticket, int64_t limit,
                               float scale, cudaStream_t stream) {
    drop_channels("dropout_channels_backward", dx, factors, dy, ticket.data, limit, scale, stream);
}
BIND(dropout_channels_backward, "dx factors dy ticket limit scale");

void take_ticket(Out<unsigned> ticket, InOut<unsigned> state, cudaStream_t stream) {
    philox::take_ticket("take_ticket", ticket, state, stream);
}
BIND(take_ticket, "ticket state");

void alpha_drop(Out<float> y, In<float> x, In<unsigned> ticket, int64_t limit, float a, float b, float dropped,
                cudaStream_t stream) {
    philox::each_half(AlphaDrop{y.data, x.data, limit, a, b, dropped}, ticket.data, x.size(), stream);
}
BIND(alpha_drop, "y x ticket limit a b dropped");

void alpha_drop_channels(Out<float> y, Work<float> kept, In<float> x, In<unsigned> ticket, int64_t limit, float a,
                         float b, float dropped, cudaStream_t stream) {
    int64_t samples = kept.shape[0], n = y.size();
    if (!n) return;
    philox::each_half(Factor{kept.data, limit, 1.0f}, ticket.data, kept.size(), stream);
    each(AlphaDropChannels{y.data, x.data, kept.data, n / samples, kept.length(1), a, b, dropped}, n, stream);
}
BIND(alpha_drop_channels, "y kept x ticket limit a b dropped");
