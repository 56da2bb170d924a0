// What happens to the channels of an image: a bias is added to each, and its gradient is the sum over each.
#include "split.cuh"

namespace {
constexpr int THREADS = 256;

template <class T>
__global__ void __launch_bounds__(THREADS) add_channels_kernel(T* __restrict__ y, const T* __restrict__ x,
                                                               const T* __restrict__ bias, int64_t n, int channels) {
    int64_t i = int64_t(blockIdx.x) * THREADS + threadIdx.x;
    if (i >= n) return;
    T v = x[i], b = bias[i % channels];
    if constexpr (sizeof(T) == 16)
        y[i] = make_float4(v.x + b.x, v.y + b.y, v.z + b.z, v.w + b.w);
    else
        y[i] = v + b;
}

// partial[part][c] = the sum of dy[p][c] over the pixels of a part.  A block is `width` channels by 256 / width lanes,
// which take every 256 / width-th pixel; their sums meet in shared memory, halves onto halves.
__global__ void __launch_bounds__(THREADS)
    channel_sum_kernel(float* __restrict__ partial, const float* __restrict__ dy, int pixels, int channels, int width) {
    __shared__ float sums[THREADS];
    int t = threadIdx.x, lanes = THREADS / width, lane = t / width, c = blockIdx.x * width + t % width;
    split::Range r = split::range(blockIdx.y, gridDim.y, pixels, 1);
    float sum = 0;
    if (c < channels)
#pragma unroll 4
        for (int p = r.begin + lane; p < r.end; p += lanes) sum += dy[size_t(p) * channels + c];
    sums[t] = sum;
    for (int half = lanes / 2; half; half /= 2) {
        __syncthreads();
        if (lane < half) sums[t] += sums[t + half * width];
    }
    if (lane == 0 && c < channels) partial[size_t(blockIdx.y) * channels + c] = sums[t];
}
}  // namespace

void add_channels(Out<float> y, In<float> x, In<float> bias, cudaStream_t stream) {
    int channels = y.length(1);
    require(x.size() == y.size() && bias.size() == channels, "add_channels: x ", x.shape, ", y ", y.shape, ", bias ",
            bias.shape);
    if (channels % 4 == 0 && y.aligned(16) && x.aligned(16) && bias.aligned(16))
        LAUNCH((add_channels_kernel<float4>), blocks(y.size() / 4, THREADS), THREADS, 0, stream,
               reinterpret_cast<float4*>(y.data), reinterpret_cast<const float4*>(x.data),
               reinterpret_cast<const float4*>(bias.data), y.size() / 4, channels / 4);
    else
        LAUNCH((add_channels_kernel<float>), blocks(y.size(), THREADS), THREADS, 0, stream, y.data, x.data, bias.data,
               y.size(), channels);
}
BIND(add_channels, "y x bias");

void channel_sum(Out<float> total, Work<float> partial, In<float> dy, cudaStream_t stream) {
    int pixels = dy.length(0), channels = dy.length(1), parts = partial.length(0), width = 32;
    require(total.size() == channels && partial.size() == int64_t(parts) * channels && parts <= 65535,
            "channel_sum: dy of shape ", dy.shape, ", partial sums ", partial.shape, ", total ", total.shape);
    require(dy.shape[0] < 1 << 30, "channel_sum: ", dy.shape[0], " pixels; it takes fewer than 2^30");
    while (width > 1 && width / 2 >= channels) width /= 2;
    LAUNCH(channel_sum_kernel, dim3(blocks(channels, width), parts), THREADS, 0, stream, partial.data, dy.data, pixels,
           channels, width);
    split::add_parts(total, partial, nullptr, 1, stream);
}
BIND(channel_sum, "total partial dy");
