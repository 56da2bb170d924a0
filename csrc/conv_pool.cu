// Convolution, ReLU and 2 x 2 max-pooling in one kernel: conv.cu's product with the places of y in the order of their
// windows, four after each other, and gemm_pool.cuh's end.  Neither the map nor its last odd row and column is made.
#include "gemm_pool.cuh"
#include "tiles.cuh"
#include "window.cuh"

namespace {
// Window::place for images, place 4 q + t being pixel (t / 2, t % 2) of window q.
template <class T>
struct PooledWindows : gemm::Operand<T> {
    static constexpr bool DEEP = true;
    Window window;  // its places are the pooled ones
    int down, right;  // from place to place of y
    __device__ __forceinline__ gemm::Spot row(int i) const {
        gemm::Spot s = window.place<false>(i / 4);
        int y = i / 2 % 2 * down, x = i % 2 * right;
        return {s.offset + (y * window.size.x + x) * window.pixel, s.y + y, s.x + x, 0};
    }
    __device__ __forceinline__ gemm::Spot depth(int k) const { return window.tap<false>(k); }
};

template <class T>
struct PooledForward {
    static constexpr bool POOLED = true;
    PooledWindows<T> a;
    gemm::Matrix<T, false> b;
    const float* bias;
    float* y;
    uint8_t* index;
    int rows, columns, begin, end, pitch;
    int each;  // columns of b for a group
    bool wide;

    __device__ PooledForward part(int group) const {
        PooledForward p = *this;
        p.a.data += group * a.window.channels;
        p.b.data += group * each;
        p.bias += bias ? group * columns : 0;
        p.y += group * columns;
        p.index += group * columns;
        return p;
    }
    __device__ float finish(float v, int n) const {
        if (bias) v += bias[n];
        return bf16::stored<T>(v < 0 ? 0.0f : v, true);  // a NaN stays
    }
    template <int COUNT>
    __device__ void pooled(int window, int n, const float (&best)[COUNT], const int (&tap)[COUNT]) const {
        size_t at = size_t(window) * pitch + n;
        if (!wide) {
            for (int e = 0; e < COUNT; ++e)
                if (n + e < columns) y[at + e] = best[e], index[at + e] = uint8_t(tap[e]);
        } else if (n < columns) {
            if constexpr (COUNT == 4) {
                *reinterpret_cast<float4*>(y + at) = make_float4(best[0], best[1], best[2], best[3]);
                *reinterpret_cast<unsigned*>(index + at) = tap[0] | tap[1] << 8 | tap[2] << 16 | tap[3] << 24;
            } else {
                *reinterpret_cast<float2*>(y + at) = make_float2(best[0], best[1]);
                *reinterpret_cast<uint16_t*>(index + at) = uint16_t(tap[0] | tap[1] << 8);
            }
        }
    }
};

// size: of the map before pooling, its last two numbers.
template <class T>
void pooled(const char* op, const Out<float>& y, const Out<uint8_t>& index, const In<T>& x, const In<T>& weight,
            const Maybe<float>& bias, const Lengths& size, const Lengths& stride, const Lengths& before,
            const Lengths& dilation, int groups, int tile, cudaStream_t stream) {
    int h = int(size[size.count - 2]), w = int(size[size.count - 1]), pitch = y.length(y.shape.count - 1);
    require(y.shape.count == 4 && y.shape[1] == h / 2 && y.shape[2] == w / 2 && index.size() == y.size(), op,
            ": y has shape ", y.shape, " and index ", index.shape, " for a map of ", size);
    Lengths map = bf16::packed<T>(y.shape, groups);
    map.length[1] = h, map.length[2] = w;
    Shapes s(op, x.shape, weight.shape, map, stride, before, dilation, groups);
    int filters = pitch / groups;
    require(!bias || bias.size() == pitch, op, ": bias of shape ", bias.shape, " for ", pitch, " filters");
    Window window = s.over_x();
    int down = window.step.y, right = window.step.x;
    window.places.y /= 2, window.places.x /= 2, window.step.y *= 2, window.step.x *= 2;
    gemm::Operand<T> image{x.data, window.size.y, window.size.x, gemm::wide(x.data, window.pixel, window.channels)};
    bool wide = y.aligned(16) && index.aligned(4) && pitch % 4 == 0 && filters % 4 == 0;
    int64_t rows = 4 * window.all_places(s.images);
    PooledForward<T> p{{image, window, down, right},
                       gemm::matrix<false>(weight.data, s.filters, s.group_filters()),
                       bias.data,
                       y.data,
                       index.data,
                       int(rows),
                       filters,
                       0,
                       window.depth(),
                       pitch,
                       s.group_filters(),
                       wide};
    gemm::run(op, tile, p, rows, s.groups, stream);
}
}  // namespace

void conv2d_relu_pool(Out<float> y, Out<uint8_t> index, In<float> x, In<float> weight, Maybe<float> bias, Lengths size,
                      Lengths stride, Lengths before, Lengths dilation, int groups, int tile, Lengths,
                      cudaStream_t stream) {
    pooled("conv2d_relu_pool", y, index, x, weight, bias, size, stride, before, dilation, groups, tile, stream);
}
BIND(conv2d_relu_pool, "y index x weight bias size stride before dilation groups tile pooled");

void bf16_conv2d_relu_pool(Out<float> y, Out<uint8_t> index, In<bf16::Bits> x, In<bf16::Bits> weight,
                           Maybe<float> bias, Lengths shape, Lengths stride, Lengths before, Lengths dilation,
                           int groups, int tile, Lengths, cudaStream_t stream) {
    pooled("bf16_conv2d_relu_pool", y, index, x, weight, bias, shape, stride, before, dilation, groups, tile, stream);
}
BIND(bf16_conv2d_relu_pool, "y index x weight bias shape stride before dilation groups tile pooled");
