// Dropout of elements and of channels, and SELU's alpha dropout.  No mask is kept: backward draws the same bits again
// from the ticket.
#include "bf16.cuh"
#include "elementwise.cuh"
#include "philox.cuh"

namespace {
using philox::Drop;

struct Factor {  // of a channel of a sample
    float* __restrict__ factors;
    int64_t limit;
    float scale;
    __device__ void operator()(int64_t i, unsigned bits) const { factors[i] = bits >= limit ? scale : 0.0f; }
};
struct AlphaDrop {  // y = a x + b where the bits reach the limit, else one value
    int64_t limit;
    float a, b, dropped;
    __device__ float operator()(float x, unsigned bits, int64_t) const { return bits >= limit ? a * x + b : dropped; }
};

// y[n, s, c] = f(x[n, s, c], factors[n, c]), V channels by a thread; sample: of how many such groups.
template <class F, int V>
struct ByChannel {
    F f;
    float* __restrict__ y;
    const float* __restrict__ x;
    const float* __restrict__ factors;
    int sample, c;
    __device__ void operator()(int64_t i) const {
        auto v = Neighbours<V>::load(x + i * V);
        auto factor = Neighbours<V>::load(factors + quotient(i, sample) * c + modulo(i, c / V) * V);
#pragma unroll
        for (int k = 0; k < V; ++k) v[k] = f(v[k], factor[k]);
        v.store(y + i * V);
    }
};
struct Scale {
    __device__ float operator()(float x, float factor) const { return x * factor; }
};
struct AlphaScale {  // the factor is 1 or 0
    float a, b, dropped;
    __device__ float operator()(float x, float kept) const { return kept != 0 ? a * x + b : dropped; }
};

template <class F>
void drop_channels(F f, const char* op, const Out<float>& y, const Work<float>& factors, const In<float>& x,
                   const unsigned* ticket, int64_t limit, float scale, cudaStream_t stream) {
    int64_t samples = factors.shape[0], n = y.size();
    int c = factors.length(1);
    require(x.size() == n, op, ": x has shape ", x.shape, ", y ", y.shape);
    if (!n) return;
    require(is_short(n / samples), op, ": x has shape ", x.shape, "; a sample has fewer than 2^31 numbers");
    philox::each_half(Factor{factors.data, limit, scale}, ticket, factors.size(), stream);
    int sample = int(n / samples);
    if (in_fours(c, y, x, factors))
        each<1>(ByChannel<F, 4>{f, y.data, x.data, factors.data, sample / 4, c}, n / 4, stream);
    else
        each(ByChannel<F, 1>{f, y.data, x.data, factors.data, sample, c}, n, stream);
}
}  // namespace

void dropout_forward(Out<float> y, Out<unsigned> ticket, In<float> x, InOut<unsigned> state, int64_t limit, float scale,
                     cudaStream_t stream) {
    philox::take_ticket("dropout_forward", ticket, state, stream);
    philox::map_halves(Drop{limit, scale}, "dropout_forward", y, x, ticket.data, stream);
}
BIND(dropout_forward, "y ticket x state limit scale");

void dropout_backward(Out<float> dx, In<float> dy, In<unsigned> ticket, int64_t limit, float scale,
                      cudaStream_t stream) {
    philox::map_halves(Drop{limit, scale}, "dropout_backward", dx, dy, ticket.data, stream);
}
BIND(dropout_backward, "dx dy ticket limit scale");

void bf16_dropout_backward(Out<float> dx, In<float> dy, In<unsigned> ticket, int64_t limit, float scale,
                           cudaStream_t stream) {
    bf16::Rounded<Drop> f{{limit, scale}};
    philox::map_halves(f, "bf16_dropout_backward", dx, dy, ticket.data, stream);
}
BIND(bf16_dropout_backward, "dx dy ticket limit scale");

void dropout_channels_forward(Out<float> y, Out<unsigned> ticket, Work<float> factors, In<float> x,
                              InOut<unsigned> state, int64_t limit, float scale, cudaStream_t stream) {
    philox::take_ticket("dropout_channels_forward", ticket, state, stream);
    drop_channels(Scale{}, "dropout_channels_forward", y, factors, x, ticket.data, limit, scale, stream);
}
BIND(dropout_channels_forward, "y ticket factors x state limit scale");

void dropout_channels_backward(Out<float> dx, Work<float> factors, In<float> dy, In<unsigned> ticket, int64_t limit,
                               float scale, cudaStream_t stream) {
    drop_channels(Scale{}, "dropout_channels_backward", dx, factors, dy, ticket.data, limit, scale, stream);
}
BIND(dropout_channels_backward, "dx factors dy ticket limit scale");

void take_ticket(Out<unsigned> ticket, InOut<unsigned> state, cudaStream_t stream) {
    philox::take_ticket("take_ticket", ticket, state, stream);
}
BIND(take_ticket, "ticket state");

void alpha_drop(Out<float> y, In<float> x, In<unsigned> ticket, int64_t limit, float a, float b, float dropped,
                cudaStream_t stream) {
    philox::map_halves(AlphaDrop{limit, a, b, dropped}, "alpha_drop", y, x, ticket.data, stream);
}
BIND(alpha_drop, "y x ticket limit a b dropped");

void alpha_drop_channels(Out<float> y, Work<float> kept, In<float> x, In<unsigned> ticket, int64_t limit, float a,
                         float b, float dropped, cudaStream_t stream) {
    drop_channels(AlphaScale{a, b, dropped}, "alpha_drop_channels", y, kept, x, ticket.data, limit, 1.0f, stream);
}
BIND(alpha_drop_channels, "y kept x ticket limit a b dropped");
