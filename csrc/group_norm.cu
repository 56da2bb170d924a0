// Group, instance and layer normalisation, and local response normalisation.  Images lie [n, pixels, channels]; a group
// is some neighbouring channels of a sample, normalised by one block; layer norm is one group of rows of one pixel, and
// one warp normalises a row of up to 1024 numbers, which it holds in registers.
#include "columns.cuh"
#include "elementwise.cuh"
#include "norm.cuh"
#include "reduce.cuh"

namespace {
constexpr int THREADS = reduce::THREADS;
using statistics::Moments;
using statistics::Welford;

struct Layout {
    int pixels, channels, groups;
    bool is_rows() const { return pixels == 1 && groups == 1; }
    __device__ int size() const { return channels / groups; }
    __device__ int64_t numbers() const { return int64_t(pixels) * size(); }
    // f(place, channel) for the numbers of a group that a thread of a block meets, in order: the first is that of its
    // index, and THREADS lie between.  A division for the first, none after.
    template <class F>
    __device__ __forceinline__ void each(int64_t sample, int group, F f) const {
        int size = this->size();
        if (!size) return;
        int pixel = threadIdx.x / size, c = threadIdx.x % size;
        int further = THREADS / size, on = THREADS % size, first = group * size;
        int64_t start = sample * pixels * channels + first;
        while (pixel < pixels) {
            f(start + int64_t(pixel) * channels + c, first + c);
            pixel += further, c += on;
            if (c >= size) c -= size, ++pixel;
        }
    }
};

__global__ void __launch_bounds__(THREADS)
    normalise_kernel(float* __restrict__ y, float* __restrict__ means, float* __restrict__ rstds,
                     const float* __restrict__ x, const float* __restrict__ weight, const float* __restrict__ bias,
                     Layout l, double eps) {
    __shared__ Moments parts[THREADS / 32];
    __shared__ double shared[2];
    int64_t sample = blockIdx.x / l.groups, n = l.numbers();
    int group = blockIdx.x % l.groups;
    Welford mine{};
    l.each(sample, group, [&](int64_t at, int) { mine.add(x[at]); });
    Moments all{double(mine.count), mine.mean(), double(mine.m2)};
    for (int d = 16; d; d /= 2) {  // the lanes of a warp in pairs, then the warps in order
        Moments other{__shfl_down_sync(~0u, all.n, d), __shfl_down_sync(~0u, all.mean, d),
                      __shfl_down_sync(~0u, all.m2, d)};
        all.merge(other.n, other.mean, other.m2);
    }
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = all;
    __syncthreads();
    if (threadIdx.x == 0) {
        for (int w = 1; w < THREADS / 32; ++w) all.merge(parts[w].n, parts[w].mean, parts[w].m2);
        double rstd = 1.0 / sqrt(double(float(all.m2 / double(n ? n : 1))) + eps);
        shared[0] = all.mean, shared[1] = rstd;
        means[blockIdx.x] = float(all.mean), rstds[blockIdx.x] = float(rstd);
    }
    __syncthreads();
    double mean = shared[0];
    float rounded = float(mean), lost = float(double(rounded) - mean), rstd = float(shared[1]);
    l.each(sample, group, [&](int64_t at, int c) {
        float xhat = ((x[at] - rounded) + lost) * rstd;
        y[at] = xhat * (weight ? weight[c] : 1.0f) + (bias ? bias[c] : 0.0f);
    });
}

// A row to a warp: lane l holds numbers l, l + 32, ... of up to 32 HELD, so each is read once.
constexpr int ROW_THREADS = 128;

struct Row {
    int64_t number;
    int lane, length;
    bool exists;
    __device__ Row(int64_t rows, int length)
        : number(int64_t(blockIdx.x) * (ROW_THREADS / 32) + threadIdx.x / 32),
          lane(threadIdx.x % 32),
          length(length),
          exists(number < rows) {}
    // f(k, i) for the numbers i of this lane, k of those that it holds.
    template <int HELD, class F>
    __device__ __forceinline__ void each(F f) const {
#pragma unroll
        for (int k = 0; k < HELD; ++k)
            if (lane + 32 * k < length) f(k, lane + 32 * k);
    }
    __device__ double mean(float v) const {
        double sum = v;
        for (int d = 16; d; d /= 2) sum += __shfl_xor_sync(~0u, sum, d);
        return sum / (length ? length : 1);
    }
};

// The moments are those of what is left when the mean, as float32 has it, is taken off: twice over registers.
template <int HELD>
__global__ void __launch_bounds__(ROW_THREADS)
    normalise_row_kernel(float* __restrict__ y, float* __restrict__ means, float* __restrict__ rstds,
                         const float* __restrict__ x, const float* __restrict__ weight,
                         const float* __restrict__ bias, int64_t rows, int length, double eps) {
    Row row(rows, length);
    if (!row.exists) return;  // a whole warp
    x += row.number * length, y += row.number * length;
    float held[HELD], sum = 0, rest = 0, squares = 0;
    row.each<HELD>([&](int k, int i) { held[k] = x[i]; });
    row.each<HELD>([&](int k, int) { sum += held[k]; });
    float near = float(row.mean(sum));
    row.each<HELD>([&](int k, int) {
        float off = held[k] - near;
        rest += off, squares += off * off;
    });
    double left = row.mean(rest), mean = near + left, variance = row.mean(squares) - left * left;
    double exact = 1.0 / sqrt(double(float(variance < 0 ? 0 : variance)) + eps);  // a NaN stays
    float rounded = float(mean), lost = float(double(rounded) - mean), rstd = float(exact);
    row.each<HELD>([&](int k, int i) {
        y[i] = ((held[k] - rounded) + lost) * rstd * (weight ? weight[i] : 1.0f) + (bias ? bias[i] : 0.0f);
    });
    if (row.lane == 0) means[row.number] = rounded, rstds[row.number] = rstd;
}

template <int HELD>
__global__ void __launch_bounds__(ROW_THREADS)
    row_gradient_kernel(float* __restrict__ dx, const float* __restrict__ dy, const float* __restrict__ x,
                        const float* __restrict__ weight, const float* __restrict__ means,
                        const float* __restrict__ rstds, int64_t rows, int length) {
    Row row(rows, length);
    if (!row.exists) return;
    dx += row.number * length, dy += row.number * length, x += row.number * length;
    float mean = means[row.number], rstd = rstds[row.number], g[HELD], xhat[HELD], sum = 0, product = 0;
    row.each<HELD>([&](int k, int i) { g[k] = dy[i], xhat[k] = x[i]; });
    row.each<HELD>([&](int k, int i) {
        if (weight) g[k] *= weight[i];
        xhat[k] = (xhat[k] - mean) * rstd;
        sum += g[k], product += g[k] * xhat[k];
    });
    float a = float(row.mean(sum)), b = float(row.mean(product));
    row.each<HELD>([&](int k, int i) { dx[i] = rstd * (g[k] - a - xhat[k] * b); });
}

// Run with HELD as small as a row allows: f(8), f(32), as constants; false if it has more numbers.
template <class F>
bool held(int length, F f) {
    if (length <= 32 * 8) return f(std::integral_constant<int, 8>()), true;
    if (length <= 32 * 32) return f(std::integral_constant<int, 32>()), true;
    return false;
}

// dx = rstd (g - mean(g) - xhat mean(g xhat)), g = weight dy
__global__ void __launch_bounds__(THREADS)
    gradient_kernel(float* __restrict__ dx, const float* __restrict__ dy, const float* __restrict__ x,
                    const float* __restrict__ weight, const float* __restrict__ means, const float* __restrict__ rstds,
                    Layout l) {
    __shared__ double scratch[THREADS / 32], totals[2];
    int64_t sample = blockIdx.x / l.groups, n = l.numbers();
    int group = blockIdx.x % l.groups;
    float mean = means[blockIdx.x], rstd = rstds[blockIdx.x];
    double sum = 0, product = 0;
    l.each(sample, group, [&](int64_t at, int c) {
        double g = dy[at] * (weight ? weight[c] : 1.0f);
        sum += g, product += g * ((x[at] - mean) * rstd);
    });
    sum = reduce::of_block(sum, scratch), product = reduce::of_block(product, scratch);
    if (threadIdx.x == 0) totals[0] = sum / double(n), totals[1] = product / double(n);
    __syncthreads();
    float a = float(totals[0]), b = float(totals[1]);
    l.each(sample, group, [&](int64_t at, int c) {
        float g = dy[at] * (weight ? weight[c] : 1.0f);
        dx[at] = rstd * (g - a - (x[at] - mean) * rstd * b);
    });
}

template <bool is_rows>
struct Affine {  // sums of dy xhat and of dy for each channel
    using Sum = double;
    static constexpr int COUNT = 2;
    const float* __restrict__ dy;
    const float* __restrict__ x;
    const float* __restrict__ means;
    const float* __restrict__ rstds;
    Layout l;
    __device__ void operator()(double* sums, int64_t i, int c, int64_t row) const {
        int64_t group = is_rows ? row : int64_t(unsigned(row) / unsigned(l.pixels)) * l.groups + c / l.size();
        sums[0] += dy[i] * ((x[i] - means[group]) * rstds[group]);
        sums[1] += dy[i];
    }
};
struct StoreAffine {
    float* __restrict__ dweight;
    float* __restrict__ dbias;
    __device__ void operator()(int c, const double* sums) const {
        dweight[c] = float(sums[0]), dbias[c] = float(sums[1]);
    }
};

void forward(const char* op, const Out<float>& y, const Out<float>& mean, const Out<float>& rstd, const In<float>& x,
             const Maybe<float>& weight, const Maybe<float>& bias, const Layout& l, double eps, cudaStream_t stream) {
    bool fit = (!weight || weight.size() == l.channels) && (!bias || bias.size() == l.channels);
    require(fit && mean.size() == rstd.size(), op, ": x ", x.shape, ", weight ", weight.shape, ", bias ", bias.shape);
    auto by_rows = [&](auto numbers) {
        LAUNCH((normalise_row_kernel<numbers.value>), blocks(mean.size(), ROW_THREADS / 32), ROW_THREADS, 0, stream,
               y.data, mean.data, rstd.data, x.data, weight.data, bias.data, mean.size(), l.channels, eps);
    };
    if (l.is_rows() && held(l.channels, by_rows)) return;
    LAUNCH(normalise_kernel, unsigned(mean.size()), THREADS, 0, stream, y.data, mean.data, rstd.data, x.data,
           weight.data, bias.data, l, eps);
}

void backward(const Out<float>& dx, const Out<float>& dweight, const Out<float>& dbias, const Work<double>& partial,
              const In<float>& dy, const In<float>& x, const Maybe<float>& weight, const In<float>& mean,
              const In<float>& rstd, const Layout& l, cudaStream_t stream) {
    auto by_rows = [&](auto numbers) {
        LAUNCH((row_gradient_kernel<numbers.value>), blocks(mean.size(), ROW_THREADS / 32), ROW_THREADS, 0, stream,
               dx.data, dy.data, x.data, weight.data, mean.data, rstd.data, mean.size(), l.channels);
    };
    if (!(l.is_rows() && held(l.channels, by_rows)))
        LAUNCH(gradient_kernel, unsigned(mean.size()), THREADS, 0, stream, dx.data, dy.data, x.data, weight.data,
               mean.data, rstd.data, l);
    int64_t n = mean.size() / l.groups * l.pixels;
    require(is_short(n), "group_norm_backward: ", n, " pixels; it takes fewer than 2^31");
    auto sums = [&](auto affine) {
        columns::sum(affine, StoreAffine{dweight.data, dbias.data}, partial, n, l.channels, stream);
    };
    if (l.is_rows())
        sums(Affine<true>{dy.data, x.data, mean.data, rstd.data, l});
    else
        sums(Affine<false>{dy.data, x.data, mean.data, rstd.data, l});
}

// [n, pixels, channels] of an image in memory
Layout of_image(const Lengths& x, int groups) {
    int channels = int(x[x.count - 1]);
    require(groups > 0 && channels % groups == 0, "group_norm: ", channels, " channels in ", groups, " groups");
    int64_t pixels = 1;
    for (int a = 1; a < x.count - 1; ++a) pixels *= x[a];
    return {int(pixels), channels, groups};
}

// Rows of the last axes, which are one pixel.
Layout of_rows(const Lengths& x, int axes) {
    int64_t length = 1;
    for (int a = x.count - axes; a < x.count; ++a) length *= x[a];
    return {1, int(length), 1};
}

// ---------------------------------------------------------------------------------------- local response norm

struct Energy {  // k + alpha / size times the sum of x^2 over the channels around
    const float* __restrict__ x;
    int channels, size;
    float scale, k;
    __device__ float operator()(int64_t at) const {
        int c = modulo(at, channels);
        float sum = 0;
        for (int i = -(size / 2); i <= (size - 1) / 2; ++i)
            if (c + i >= 0 && c + i < channels) sum += x[at + i] * x[at + i];
        return k + scale * sum;
    }
};
struct Respond {
    float* __restrict__ y;
    Energy energy;
    float beta;
    __device__ void operator()(int64_t at) const { y[at] = energy.x[at] * powf(energy(at), -beta); }
};
struct Share {  // s^-beta, and dy x s^(-beta - 1)
    float* __restrict__ scale;
    float* __restrict__ share;
    const float* __restrict__ dy;
    Energy energy;
    float beta;
    __device__ void operator()(int64_t at) const {
        float s = energy(at), power = powf(s, -beta);
        scale[at] = power, share[at] = dy[at] * energy.x[at] * power / s;
    }
};
struct RespondBackward {
    float* __restrict__ dx;
    const float* __restrict__ dy;
    const float* __restrict__ scale;
    const float* __restrict__ share;
    Energy energy;
    float beta;
    __device__ void operator()(int64_t at) const {
        int c = modulo(at, energy.channels);
        float sum = 0;
        for (int i = -((energy.size - 1) / 2); i <= energy.size / 2; ++i)
            if (c + i >= 0 && c + i < energy.channels) sum += share[at + i];
        dx[at] = dy[at] * scale[at] - 2 * energy.scale * beta * energy.x[at] * sum;
    }
};
}  // namespace

void group_norm_forward(Out<float> y, Out<float> mean, Out<float> rstd, In<float> x, Maybe<float> weight,
                        Maybe<float> bias, int groups, double eps, cudaStream_t stream) {
    forward("group_norm", y, mean, rstd, x, weight, bias, of_image(x.shape, groups), eps, stream);
}
BIND(group_norm_forward, "y mean rstd x weight bias groups eps");

void group_norm_backward(Out<float> dx, Out<float> dweight, Out<float> dbias, Work<double> partial, In<float> dy,
                         In<float> x, Maybe<float> weight, In<float> mean, In<float> rstd, cudaStream_t stream) {
    backward(dx, dweight, dbias, partial, dy, x, weight, mean, rstd, of_image(x.shape, mean.length(1)), stream);
}
BIND(group_norm_backward, "dx dweight dbias partial dy x weight mean rstd");

void layer_norm_forward(Out<float> y, Out<float> mean, Out<float> rstd, In<float> x, Maybe<float> weight,
                        Maybe<float> bias, int axes, double eps, cudaStream_t stream) {
    forward("layer_norm", y, mean, rstd, x, weight, bias, of_rows(x.shape, axes), eps, stream);
}
BIND(layer_norm_forward, "y mean rstd x weight bias axes eps");

void layer_norm_backward(Out<float> dx, Out<float> dweight, Out<float> dbias, Work<double> partial, In<float> dy,
                         In<float> x, Maybe<float> weight, In<float> mean, In<float> rstd, int axes,
                         cudaStream_t stream) {
    backward(dx, dweight, dbias, partial, dy, x, weight, mean, rstd, of_rows(x.shape, axes), stream);
}
BIND(layer_norm_backward, "dx dweight dbias partial dy x weight mean rstd axes");

void local_response_norm_forward(Out<float> y, In<float> x, int size, float alpha, float beta, float k,
                                 cudaStream_t stream) {
    Energy energy{x.data, x.length(1), size, alpha / float(size), k};
    each<1>(Respond{y.data, energy, beta}, y.size(), stream);
}
BIND(local_response_norm_forward, "y x size alpha beta k");

void local_response_norm_backward(Out<float> dx, Work<float> scale, Work<float> share, In<float> dy, In<float> x,
                                  int size, float alpha, float beta, float k, cudaStream_t stream) {
    require(dy.size() == x.size(), "local_response_norm_backward: dy ", dy.shape, ", x ", x.shape);
    Energy energy{x.data, x.length(1), size, alpha / float(size), k};
    each<1>(Share{scale.data, share.data, dy.data, energy, beta}, x.size(), stream);
    each<1>(RespondBackward{dx.data, dy.data, scale.data, share.data, energy, beta}, x.size(), stream);
}
BIND(local_response_norm_backward, "dx scale share dy x size alpha beta k");
