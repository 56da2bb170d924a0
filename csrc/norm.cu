// Batch normalisation, forward and backward, on rows of c channels.  Each direction is two kernels, one that sums over
// all rows and one that maps every number, so that a recorded program can fuse either with its neighbours.
//
// Moments are Welford's, a thread its own, merged by the update of Chan, Golub & LeVeque 1979: memory is read once, and
// a variance of 1 beside a mean of 1e4 survives float32.
#include "bf16.cuh"
#include "norm.cuh"
#include "norm_maps.cuh"
#include "philox.cuh"

namespace {
using columns::THREADS;
using statistics::Moments;
using namespace batch_norm;

// partial[chunk][0, 1][channel] = mean and squared deviations of a chunk's rows.
__global__ void __launch_bounds__(THREADS)
    moments_kernel(double* __restrict__ partial, const float* __restrict__ x, int64_t n, int c) {
    __shared__ double means[THREADS];
    __shared__ float squares[THREADS], counts[THREADS];
    int k = blockIdx.x * blockDim.x + threadIdx.x, at = threadIdx.y * blockDim.x + threadIdx.x;
    int64_t chunk = blockIdx.y, chunks = gridDim.y, last = (chunk + 1) * n / chunks;
    statistics::Welford mine{};
    if (k < c)
        for (int64_t row = chunk * n / chunks + threadIdx.y; row < last; row += blockDim.y) mine.add(x[row * c + k]);
    means[at] = mine.mean(), squares[at] = mine.m2, counts[at] = mine.count;
    __syncthreads();
    if (threadIdx.y || k >= c) return;
    Moments all{};
    for (unsigned t = at; t < THREADS; t += blockDim.x) all.merge(counts[t], means[t], squares[t]);
    partial[(chunk * 2) * c + k] = all.mean;
    partial[(chunk * 2 + 1) * c + k] = all.m2;
}

constexpr int CHANNELS = 8, PARTS = 32;  // of a block that merges

struct Rule {  // how running statistics move on
    float momentum, eps;
    bool corrected, unbiased;
};
struct Channels {  // arrays of a number a channel; the running ones and the count may be absent
    float *mean, *rstd, *map;
    const float *weight, *bias;
    float *running_mean, *running_var;
    const int64_t* count;
};

// y = (x - map[0]) map[1] + map[2]; the shift takes up what rounding the mean to float32 lost.
__device__ __forceinline__ void write_map(const Channels& a, int k, int c, double mean, double rstd) {
    float rounded = float(mean), r = float(rstd), scale = r * (a.weight ? a.weight[k] : 1.0f);
    a.mean[k] = rounded;
    a.rstd[k] = r;
    a.map[k] = rounded;
    a.map[c + k] = scale;
    a.map[2 * c + k] = float((double(rounded) - mean) * double(scale)) + (a.bias ? a.bias[k] : 0.0f);
}

__device__ __forceinline__ void move_on(const Channels& a, int k, double mean, double var, double n, const Rule& rule) {
    double rate = rule.momentum, bessel = rule.unbiased && n > 1 ? n / (n - 1) : 1.0;
    if (rule.corrected && a.count) {
        double share = 1.0 / double(*a.count + 1);
        rate = rate > share ? rate : share;
    }
    a.running_mean[k] = float(a.running_mean[k] + rate * (mean - a.running_mean[k]));
    a.running_var[k] = float(a.running_var[k] + rate * (var * bessel - a.running_var[k]));
}

// Merge the chunks.  A block is 8 channels by 32 parts of the chunks, which are merged in pairs at the end: each merge
// waits for the divisions of the one before it.
__global__ void __launch_bounds__(THREADS)
    merge_kernel(Channels a, const double* __restrict__ partial, int64_t n, int c, int chunks, Rule rule) {
    __shared__ Moments parts[PARTS][CHANNELS];
    int k = blockIdx.x * CHANNELS + threadIdx.x, part = threadIdx.y;
    Moments all{};
    if (k < c)
        for (int64_t t = part; t < chunks; t += PARTS) {
            double rows = double((t + 1) * n / chunks - t * n / chunks);
            all.merge(rows, partial[t * 2 * c + k], partial[(t * 2 + 1) * c + k]);
        }
    for (int half = PARTS / 2; half; half /= 2) {
        if (part < 2 * half) parts[part][threadIdx.x] = all;
        __syncthreads();
        if (part >= half) continue;
        const Moments& other = parts[part + half][threadIdx.x];
        all.merge(other.n, other.mean, other.m2);
    }
    if (part || k >= c) return;
    double var = all.m2 / (n > 1 ? double(n) : 1.0);
    if (a.running_mean && n > 0) move_on(a, k, all.mean, var, double(n), rule);
    write_map(a, k, c, all.mean, 1.0 / sqrt(double(float(var)) + double(rule.eps)));
}

__global__ void count_kernel(int64_t* count) { ++*count; }

struct RunningMap {
    Channels a;
    const float *mean, *var;
    double eps;
    int c;
    __device__ void operator()(int64_t k) const { write_map(a, int(k), c, mean[k], 1.0 / sqrt(var[k] + eps)); }
};

struct RoundedAddRelu {  // batch norm and the sum, each rounded to bfloat16
    Apply apply;
    __device__ float operator()(int k, float x, float z) const {
        float v = bf16::rounded(bf16::rounded(apply(k, x)) + z);
        return v < 0 ? 0.0f : v;
    }
};
struct NormDrop {  // dropout of batch norm, each rounded to bfloat16 if asked
    Apply apply;
    philox::Drop drop;
    bool rounds;
    __device__ float operator()(float x, unsigned bits, int64_t i) const {
        float v = apply(modulo(i, apply.c), x);
        return rounds ? bf16::rounded(drop(bf16::rounded(v), bits, i)) : drop(v, bits, i);
    }
};
struct Fold {  // filters with their channels last, and behind them the bias
    float *folded, *start;
    const float *w, *bias, *map;
    int64_t size;
    int c;
    __device__ void operator()(int64_t i) const {
        int k = modulo(i, c);
        if (i < size)
            folded[i] = w[i] * map[c + k];
        else
            start[k] = ((bias ? bias[k] : 0.0f) - map[k]) * map[c + k] + map[2 * c + k];
    }
};

struct Follow {  // running += rate (now - running)
    float* __restrict__ running;
    const float* __restrict__ now;
    float rate;
    __device__ void operator()(int64_t i) const { running[i] += rate * (now[i] - running[i]); }
};
}  // namespace

void batch_norm_moments(Out<float> mean, Out<float> rstd, Out<float> map, Work<double> partial, In<float> x,
                        Maybe<float> weight, Maybe<float> bias, InOut<float> running_mean, InOut<float> running_var,
                        InOut<int64_t> count, float momentum, float eps, bool corrected, bool unbiased,
                        cudaStream_t stream) {
    int64_t n = x.shape[0];
    int c = x.length(1), chunks = partial.length(0);
    require(partial.size() == int64_t(chunks) * 2 * c, "batch_norm: a workspace of shape ", partial.shape);
    dim3 block = columns::block_for(c);
    LAUNCH(moments_kernel, dim3(blocks(c, block.x), chunks), block, 0, stream, partial.data, x.data, n, c);
    bool running = running_mean.size() > 0, counted = count.size() > 0;
    Channels a{mean.data,
               rstd.data,
               map.data,
               weight.data,
               bias.data,
               running ? running_mean.data : nullptr,
               running ? running_var.data : nullptr,
               counted ? count.data : nullptr};
    LAUNCH(merge_kernel, blocks(c, CHANNELS), dim3(CHANNELS, PARTS), 0, stream, a, partial.data, n, c, chunks,
           Rule{momentum, eps, corrected, unbiased});
    if (counted && n > 0) LAUNCH(count_kernel, 1, 1, 0, stream, count.data);
}
BIND(batch_norm_moments,
     "mean rstd map partial x weight bias running_mean running_var count momentum eps corrected unbiased");

void batch_norm_map(Out<float> mean, Out<float> rstd, Out<float> map, In<float> running_mean, In<float> running_var,
                    Maybe<float> weight, Maybe<float> bias, float eps, cudaStream_t stream) {
    Channels a{mean.data, rstd.data, map.data, weight.data, bias.data, nullptr, nullptr, nullptr};
    int c = int(running_mean.size());
    each(RunningMap{a, running_mean.data, running_var.data, eps, c}, c, stream);
}
BIND(batch_norm_map, "mean rstd map running_mean running_var weight bias eps");

void batch_norm_apply(Out<float> y, In<float> x, In<float> map, cudaStream_t stream) {
    map_channels(Apply{map.data, x.length(1)}, "batch_norm_apply", stream, x.length(1), y, x);
}
BIND(batch_norm_apply, "y x map");

void batch_norm_relu(Out<float> y, In<float> x, In<float> map, cudaStream_t stream) {
    map_channels(ApplyRelu{{map.data, x.length(1)}}, "batch_norm_relu", stream, x.length(1), y, x);
}
BIND(batch_norm_relu, "y x map");

void batch_norm_add_relu(Out<float> y, In<float> x, In<float> map, In<float> z, cudaStream_t stream) {
    map_channels(ApplyAddRelu{{map.data, x.length(1)}}, "batch_norm_add_relu", stream, x.length(1), y, x, z);
}
BIND(batch_norm_add_relu, "y x map z");

void batch_norm_dropout(Out<float> y, Out<unsigned> ticket, In<float> x, In<float> map, InOut<unsigned> state,
                        int64_t limit, float scale, bool rounds, cudaStream_t stream) {
    philox::take_ticket("batch_norm_dropout", ticket, state, stream);
    NormDrop f{{map.data, x.length(1)}, {limit, scale}, rounds};
    philox::map_halves(f, "batch_norm_dropout", y, x, ticket.data, stream);
}
BIND(batch_norm_dropout, "y ticket x map state limit scale rounds");

void bf16_norm(Out<float> y, In<float> x, In<float> map, cudaStream_t stream) {
    bf16::Rounded<Apply> f{{map.data, x.length(1)}};
    map_channels(f, "bf16_norm", stream, x.length(1), y, x);
}
BIND(bf16_norm, "y x map");

void bf16_norm_relu(Out<float> y, In<float> x, In<float> map, cudaStream_t stream) {
    bf16::Rounded<ApplyRelu> f{{{map.data, x.length(1)}}};
    map_channels(f, "bf16_norm_relu", stream, x.length(1), y, x);
}
BIND(bf16_norm_relu, "y x map");

void bf16_norm_add_relu(Out<float> y, In<float> x, In<float> map, In<float> z, cudaStream_t stream) {
    map_channels(RoundedAddRelu{{map.data, x.length(1)}}, "bf16_norm_add_relu", stream, x.length(1), y, x, z);
}
BIND(bf16_norm_add_relu, "y x map z");

void batch_norm_sums(Out<float> dweight, Out<float> dbias, Out<float> map, Work<double> partial, In<float> dy,
                     In<float> x, Maybe<float> weight, In<float> mean, In<float> rstd, bool training,
                     cudaStream_t stream) {
    int64_t n = x.shape[0];
    int c = x.length(1);
    require(dy.size() == x.size(), "batch_norm_backward: dy has shape ", dy.shape, ", x ", x.shape);
    GradientMap g{dweight.data, dbias.data, map.data, weight.data, rstd.data, n, c, training && n > 0};
    columns::sum(Sums{dy.data, x.data, mean.data}, g, partial, n, c, stream);
}
BIND(batch_norm_sums, "dweight dbias map partial dy x weight mean rstd training");

void relu_batch_norm_sums(Out<float> g, Out<float> dweight, Out<float> dbias, Out<float> map, Work<double> partial,
                          In<float> dy, In<float> y, In<float> x, Maybe<float> weight, In<float> mean, In<float> rstd,
                          bool training, cudaStream_t stream) {
    int64_t n = x.shape[0];
    int c = x.length(1);
    require(dy.size() == x.size() && y.size() == x.size(), "relu_batch_norm_sums: dy has shape ", dy.shape, ", y ",
            y.shape, ", x ", x.shape);
    GradientMap to{dweight.data, dbias.data, map.data, weight.data, rstd.data, n, c, training && n > 0};
    columns::sum(ReluSums{g.data, dy.data, y.data, x.data, mean.data}, to, partial, n, c, stream);
}
BIND(relu_batch_norm_sums, "g dweight dbias map partial dy y x weight mean rstd training");

void batch_norm_apply_gradient(Out<float> dx, In<float> dy, In<float> x, In<float> mean, In<float> map, bool training,
                               cudaStream_t stream) {
    int c = x.length(1);
    map_channels(Gradient{mean.data, map.data, c, training}, "batch_norm_apply_gradient", stream, c, dx, dy, x);
}
BIND(batch_norm_apply_gradient, "dx dy x mean map training");

void norm_gradient_relu(Out<float> dx, In<float> dy, In<float> x, In<float> mean, In<float> map, bool training,
                        In<float> y, cudaStream_t stream) {
    int c = x.length(1);
    GradientRelu f{{mean.data, map.data, c, training}};
    map_channels(f, "norm_gradient_relu", stream, c, dx, dy, x, y);
}
BIND(norm_gradient_relu, "dx dy x mean map training y");

void bf16_norm_gradient(Out<float> dx, In<float> dy, In<float> x, In<float> mean, In<float> map, bool training,
                        cudaStream_t stream) {
    int c = x.length(1);
    bf16::Rounded<Gradient> f{{mean.data, map.data, c, training}};
    map_channels(f, "bf16_norm_gradient", stream, c, dx, dy, x);
}
BIND(bf16_norm_gradient, "dx dy x mean map training");

void fold_norm_filter(Out<float> folded, Out<float> start, In<float> w, Maybe<float> bias, In<float> map,
                      cudaStream_t stream) {
    int c = int(start.size());
    require(map.size() == 3 * c && w.size() % c == 0, "fold_norm_filter: w has shape ", w.shape, ", map ", map.shape);
    each(Fold{folded.data, start.data, w.data, bias.data, map.data, w.size(), c}, w.size() + c, stream);
}
BIND(fold_norm_filter, "folded start w bias map");

void follow_statistics(InOut<float> running_mean, InOut<float> running_var, In<float> mean, In<float> var, float rate,
                       cudaStream_t stream) {
    require(running_mean.size() == mean.size() && running_var.size() == var.size(),
            "instance_norm: running statistics ", running_mean.shape, " follow ", mean.shape);
    each(Follow{running_mean.data, mean.data, rate}, mean.size(), stream);
    each(Follow{running_var.data, var.data, rate}, var.size(), stream);
}
BIND(follow_statistics, "running_mean running_var mean var rate");
