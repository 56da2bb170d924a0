// Gradients through batch norm and its neighbours in fewer passes over memory: ReLU's mask found again from x, so that
// no masked gradient is stored; the sum of two gradients; dropout's gradient; the sum of what is written.  rounds: what
// is written, to bfloat16.
#include "bf16.cuh"
#include "norm_maps.cuh"
#include "philox.cuh"

namespace {
using namespace batch_norm;

struct Masked {  // dy where the map of forward is above 0 or no number
    Apply forward;
    __device__ float operator()(int k, float dy, float x) const { return forward(k, x) <= 0 ? 0.0f : dy; }
};
struct MaskedSums {
    using Sum = float;
    static constexpr int COUNT = 2;
    Masked mask;
    const float* __restrict__ dy, * __restrict__ x, * __restrict__ mean;
    __device__ void operator()(float* sums, int64_t i, int k, int64_t) const {
        float v = x[i], d = mask(k, dy[i], v);
        sums[0] += d;
        sums[1] += d * (v - mean[k]);
    }
};
struct MaskedGradient {
    Masked mask;
    Gradient gradient;
    __device__ float operator()(int k, float dy, float x) const { return gradient(k, mask(k, dy, x), x); }
};
struct AddReluSums {  // of g = a + b where y > 0 or NaN, else 0, written on the way
    using Sum = float;
    static constexpr int COUNT = 2;
    float* __restrict__ g;
    const float* __restrict__ a, * __restrict__ b, * __restrict__ y, * __restrict__ x, * __restrict__ mean;
    __device__ void operator()(float* sums, int64_t i, int k, int64_t) const {
        float dy = a[i] + b[i], d = y[i] <= 0 ? 0.0f : dy;
        g[i] = d;
        sums[0] += d;
        sums[1] += d * (x[i] - mean[k]);
    }
};
// Each thread draws for its own number: neighbours of a column lie far apart, and memory is waited for anyway.
struct DropSums {
    using Sum = float;
    static constexpr int COUNT = 2;
    float* __restrict__ g;
    const float* __restrict__ dy, * __restrict__ x, * __restrict__ mean;
    const unsigned* __restrict__ ticket;
    philox::Drop drop;
    bool rounds;
    __device__ void operator()(float* sums, int64_t i, int k, int64_t) const {
        uint4 w = philox::draw(unsigned(i / 8), philox::read(ticket));
        unsigned at = unsigned(i) % 8, word = at < 4 ? (at < 2 ? w.x : w.y) : at < 6 ? w.z : w.w;
        unsigned bits = word >> 16 * (at % 2) & 0xFFFFu;
        float d = drop(dy[i], bits, i);
        if (rounds) d = bf16::rounded(d);
        g[i] = d;
        sums[0] += d;
        sums[1] += d * (x[i] - mean[k]);
    }
};
struct GradientReluSum {  // in float64, as channel_sum adds
    using Sum = double;
    static constexpr int COUNT = 1;
    GradientRelu gradient;
    float* __restrict__ dx;
    const float* __restrict__ dy, * __restrict__ x, * __restrict__ y;
    bool rounds;
    __device__ void operator()(double* sums, int64_t i, int k, int64_t) const {
        float d = gradient(k, dy[i], x[i], y[i]);
        if (rounds) d = bf16::rounded(d);
        dx[i] = d;
        sums[0] += d;
    }
};
struct Total {
    float* __restrict__ y;
    __device__ void operator()(int k, const double* sums) const { y[k] = float(sums[0]); }
};
}  // namespace

void batch_norm_relu_backward_sums(Out<float> dweight, Out<float> dbias, Out<float> map, Work<double> partial,
                                   In<float> dy, In<float> x, In<float> forward, Maybe<float> weight, In<float> mean,
                                   In<float> rstd, bool training, cudaStream_t stream) {
    int64_t n = x.shape[0];
    int c = x.length(1);
    require(dy.size() == x.size(), "batch_norm_relu_backward_sums: dy has shape ", dy.shape, ", x ", x.shape);
    GradientMap to{dweight.data, dbias.data, map.data, weight.data, rstd.data, n, c, training && n > 0};
    columns::sum(MaskedSums{{{forward.data, c}}, dy.data, x.data, mean.data}, to, partial, n, c, stream);
}
BIND(batch_norm_relu_backward_sums, "dweight dbias map partial dy x forward weight mean rstd training");

void batch_norm_relu_backward(Out<float> dx, In<float> dy, In<float> x, In<float> forward, In<float> mean,
                              In<float> map, bool training, cudaStream_t stream) {
    int c = x.length(1);
    MaskedGradient f{{{forward.data, c}}, {mean.data, map.data, c, training}};
    map_channels(f, "batch_norm_relu_backward", stream, c, dx, dy, x);
}
BIND(batch_norm_relu_backward, "dx dy x forward mean map training");

void add_relu_batch_norm_sums(Out<float> g, Out<float> dweight, Out<float> dbias, Out<float> map, Work<double> partial,
                              In<float> a, In<float> b, In<float> y, In<float> x, Maybe<float> weight, In<float> mean,
                              In<float> rstd, bool training, cudaStream_t stream) {
    int64_t n = x.shape[0];
    int c = x.length(1);
    require(a.size() == x.size() && b.size() == x.size() && y.size() == x.size(),
            "add_relu_batch_norm_sums: a has shape ", a.shape, ", b ", b.shape, ", y ", y.shape, ", x ", x.shape);
    GradientMap to{dweight.data, dbias.data, map.data, weight.data, rstd.data, n, c, training && n > 0};
    columns::sum(AddReluSums{g.data, a.data, b.data, y.data, x.data, mean.data}, to, partial, n, c, stream);
}
BIND(add_relu_batch_norm_sums, "g dweight dbias map partial a b y x weight mean rstd training");

void dropout_batch_norm_sums(Out<float> g, Out<float> dweight, Out<float> dbias, Out<float> map, Work<double> partial,
                             In<float> dy, In<unsigned> ticket, int64_t limit, float scale, In<float> x,
                             Maybe<float> weight, In<float> mean, In<float> rstd, bool training, bool rounds,
                             cudaStream_t stream) {
    int64_t n = x.shape[0];
    int c = x.length(1);
    require(dy.size() == x.size() && ticket.size() == 5, "dropout_batch_norm_sums: dy has shape ", dy.shape, ", x ",
            x.shape, ", ticket ", ticket.shape);
    GradientMap to{dweight.data, dbias.data, map.data, weight.data, rstd.data, n, c, training && n > 0};
    DropSums f{g.data, dy.data, x.data, mean.data, ticket.data, {limit, scale}, rounds};
    columns::sum(f, to, partial, n, c, stream);
}
BIND(dropout_batch_norm_sums, "g dweight dbias map partial dy ticket limit scale x weight mean rstd training rounds");

void norm_gradient_relu_sum(Out<float> dx, Out<float> total, Work<double> partial, In<float> dy, In<float> x,
                            In<float> mean, In<float> map, bool training, In<float> y, bool rounds,
                            cudaStream_t stream) {
    int64_t n = x.shape[0];
    int c = x.length(1);
    require(dy.size() == x.size() && y.size() == x.size(), "norm_gradient_relu_sum: dy has shape ", dy.shape, ", y ",
            y.shape, ", x ", x.shape);
    GradientReluSum f{{{mean.data, map.data, c, training}}, dx.data, dy.data, x.data, y.data, rounds};
    columns::sum(f, Total{total.data}, partial, n, c, stream);
}
BIND(norm_gradient_relu_sum, "dx total partial dy x mean map training y rounds");
