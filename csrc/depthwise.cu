// Depthwise convolution, in three directions: each channel of x has filters of its own, as many as y has channels for
// it. There is no sum over channels to share, so a number is used a few times only and memory sets the pace: a thread
// makes one number, or four neighbouring channels by 16-byte accesses where every channel has one filter.
#include "split.cuh"
#include "window.cuh"

namespace {
constexpr int THREADS = 256, TAPS = 9;  // taps whose sums one thread keeps in registers

template <int V>
struct Numbers {
    float v[V] = {};
    __device__ static Numbers load(const float* p) {
        Numbers r;
        if constexpr (V == 4) {
            float4 f = *reinterpret_cast<const float4*>(p);
            r.v[0] = f.x, r.v[1] = f.y, r.v[2] = f.z, r.v[3] = f.w;
        } else {
            r.v[0] = *p;
        }
        return r;
    }
    __device__ void store(float* p) const {
        if constexpr (V == 4)
            *reinterpret_cast<float4*>(p) = make_float4(v[0], v[1], v[2], v[3]);
        else
            *p = v[0];
    }
    __device__ void add_product(Numbers a, Numbers b) {
#pragma unroll
        for (int i = 0; i < V; ++i) v[i] += a.v[i] * b.v[i];
    }
};

// y[place][o] = bias[o] + sum over taps of x[where both meet][o / per] weight[tap][o]
template <int V>
__global__ void __launch_bounds__(THREADS)
    forward_kernel(float* __restrict__ y, const float* __restrict__ x, const float* __restrict__ weight,
                   const float* __restrict__ bias, Window w, int numbers, int filters) {
    int i = (blockIdx.x * THREADS + threadIdx.x) * V;
    if (i >= numbers) return;
    int o = i % filters, c = o / (filters / w.pixel);
    gemm::Spot place = w.place<false>(i / filters);
    Numbers<V> sum = bias ? Numbers<V>::load(bias + o) : Numbers<V>();
    for (int r = 0; r < w.taps.y; ++r)
        for (int s = 0; s < w.taps.x; ++s) {
            int py = place.y + r * w.reach.y, px = place.x + s * w.reach.x;
            if (unsigned(py) >= unsigned(w.size.y) || unsigned(px) >= unsigned(w.size.x)) continue;
            int at = place.offset + (r * w.reach.y * w.size.x + s * w.reach.x) * w.pixel + c;
            sum.add_product(Numbers<V>::load(x + at), Numbers<V>::load(weight + (r * w.taps.x + s) * filters + o));
        }
    sum.store(y + i);
}

// dx[pixel][c] = sum over the taps that fall on the pixel, and over the filters of c.  w: the windows of forward.
template <int V>
__global__ void __launch_bounds__(THREADS)
    input_kernel(float* __restrict__ dx, const float* __restrict__ dy, const float* __restrict__ weight, Window w,
                 int numbers, int filters) {
    int i = (blockIdx.x * THREADS + threadIdx.x) * V;
    if (i >= numbers) return;
    int c = i % w.pixel, p = i / w.pixel, per = filters / w.pixel;
    int x = p % w.size.x, y = p / w.size.x % w.size.y, image = p / w.size.x / w.size.y;
    Numbers<V> sum;
    for (int r = 0; r < w.taps.y; ++r) {
        int up = y - w.base.y - r * w.reach.y, row = up / w.step.y;
        if (up < 0 || up % w.step.y || row >= w.places.y) continue;
        for (int s = 0; s < w.taps.x; ++s) {
            int left = x - w.base.x - s * w.reach.x, column = left / w.step.x;
            if (left < 0 || left % w.step.x || column >= w.places.x) continue;
            const float* from = dy + ((image * w.places.y + row) * w.places.x + column) * filters + c * per;
            const float* taps = weight + (r * w.taps.x + s) * filters + c * per;
            for (int j = 0; j < per; ++j) sum.add_product(Numbers<V>::load(from + j), Numbers<V>::load(taps + j));
        }
    }
    sum.store(dx + i);
}

// partial[part][tap][o] = sum over the places of a part of x[where both meet][o / per] dy[place][o].  A block is 32
// filters by 8 lanes, which take every eighth place, and TAPS taps.
__global__ void __launch_bounds__(THREADS)
    weight_kernel(float* __restrict__ partial, const float* __restrict__ dy, const float* __restrict__ x, Window w,
                  int places, int filters) {
    __shared__ float sums[THREADS];
    __shared__ gemm::Spot taps[TAPS];
    int t = threadIdx.x, lane = t / 32, o = blockIdx.x * 32 + t % 32, c = o / (filters / w.pixel);
    int first = blockIdx.z * TAPS, count = w.taps.y * w.taps.x;
    if (t < TAPS) taps[t] = gemm::depth_spot(Windows<float, true, false>{{nullptr, 0, 0, false}, w}, first + t, count);
    __syncthreads();
    float sum[TAPS] = {};
    split::Range range = split::range(blockIdx.y, gridDim.y, places, 1);
    gemm::Operand<float> image{x, w.size.y, w.size.x, false};
    if (o < filters)
        for (int p = range.begin + lane; p < range.end; p += 8) {
            float g = dy[size_t(p) * filters + o];
            gemm::Spot place = w.place<false>(p);
#pragma unroll
            for (int k = 0; k < TAPS; ++k)
                if (const float* at = image.find(place, taps[k])) sum[k] += at[c] * g;
        }
#pragma unroll
    for (int k = 0; k < TAPS; ++k) {
        sums[t] = sum[k];
        for (int half = 4; half; half /= 2) {
            __syncthreads();
            if (lane < half) sums[t] += sums[t + half * 32];
        }
        if (lane == 0 && o < filters && first + k < count)
            partial[(size_t(blockIdx.y) * count + first + k) * filters + o] = sums[t];
        __syncthreads();
    }
}

void check(const char* op, const Shapes& s) {
    require(s.groups == s.channels, op, ": ", s.groups, " groups of ", s.channels,
            " channels; it takes one channel a group");
    require(!s.volume, op, ": it takes images");
}
bool fours(const Shapes& s) { return s.filters == s.channels && s.channels % 4 == 0; }
}  // namespace

void depthwise2d_forward(Out<float> y, In<float> x, In<float> weight, Maybe<float> bias, Lengths size, Lengths stride,
                         Lengths before, Lengths dilation, cudaStream_t stream) {
    (void)size;  // of y
    const char* op = "depthwise2d_forward";
    Shapes s(op, x.shape, weight.shape, y.shape, stride, before, dilation, int(x.shape[3]));
    check(op, s);
    require(!bias || bias.size() == s.filters, op, ": bias of shape ", bias.shape, " for ", s.filters, " filters");
    bool wide = fours(s) && y.aligned(16) && x.aligned(16) && weight.aligned(16) && bias.aligned(16);
    LAUNCH((wide ? forward_kernel<4> : forward_kernel<1>), blocks(y.size(), wide ? 4 * THREADS : THREADS), THREADS, 0,
           stream, y.data, x.data, weight.data, bias.data, s.over_x(), int(y.size()), s.filters);
}
BIND(depthwise2d_forward, "y x weight bias size stride before dilation");

void depthwise2d_backward_input(Out<float> dx, In<float> dy, In<float> weight, Lengths x_shape, Lengths stride,
                                Lengths before, Lengths dilation, cudaStream_t stream) {
    (void)x_shape;  // of dx
    const char* op = "depthwise2d_backward_input";
    Shapes s(op, dx.shape, weight.shape, dy.shape, stride, before, dilation, int(dx.shape[3]));
    check(op, s);
    bool wide = fours(s) && dx.aligned(16) && dy.aligned(16) && weight.aligned(16);
    LAUNCH((wide ? input_kernel<4> : input_kernel<1>), blocks(dx.size(), wide ? 4 * THREADS : THREADS), THREADS, 0,
           stream, dx.data, dy.data, weight.data, s.over_x(), int(dx.size()), s.filters);
}
BIND(depthwise2d_backward_input, "dx dy weight x_shape stride before dilation");

void depthwise2d_backward_weight(Out<float> dweight, Work<float> partial, In<float> dy, In<float> x,
                                 Lengths weight_shape, Lengths stride, Lengths before, Lengths dilation,
                                 cudaStream_t stream) {
    (void)weight_shape;  // of dweight
    const char* op = "depthwise2d_backward_weight";
    Shapes s(op, x.shape, dweight.shape, dy.shape, stride, before, dilation, int(x.shape[3]));
    check(op, s);
    int parts = partial.length(0), taps = s.taps.product();
    require(partial.size() == parts * dweight.size() && parts <= 65535, op, ": partial sums of shape ", partial.shape);
    Window w = s.over_x();
    w.channels = 1;
    LAUNCH(weight_kernel, dim3(blocks(s.filters, 32), parts, blocks(taps, TAPS)), THREADS, 0, stream, partial.data,
           dy.data, x.data, w, int(w.all_places(s.images)), s.filters);
    split::add_parts(dweight, partial, nullptr, 1, stream);
}
BIND(depthwise2d_backward_weight, "dweight partial dy x weight_shape stride before dilation");
