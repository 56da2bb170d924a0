// Numbers of bfloat16: rounded in float32, and packed for the products of bf16.cuh.
#include "bf16.cuh"
#include "elementwise.cuh"

namespace {
struct Add {
    __device__ float operator()(float a, float b) const { return a + b; }
};
struct Round {
    __device__ float operator()(float x) const { return bf16::rounded(x); }
};

// x [outer][rows][groups][length] becomes y [outer][all_rows][groups][line], zeros where x has nothing.
struct Packing {
    int rows, all_rows, groups, length, line;
    bool wide;  // eight numbers of x are two aligned float4
};

__global__ void __launch_bounds__(elementwise::THREADS)
    pack_kernel(uint4* __restrict__ y, const float* __restrict__ x, int64_t blocks, Packing p) {
    int64_t i = int64_t(blockIdx.x) * elementwise::THREADS + threadIdx.x;  // a thread makes 16 bytes
    if (i >= blocks) return;
    int each = p.line / bf16::GRAIN, first = modulo(i, each) * bf16::GRAIN;
    int64_t line = quotient(i, each), place = quotient(line, p.groups);
    int group = modulo(line, p.groups), row = modulo(place, p.all_rows);
    const float* from = x + ((quotient(place, p.all_rows) * p.rows + row) * p.groups + group) * p.length + first;
    int there = row < p.rows ? p.length - first : 0;
    float v[bf16::GRAIN];
    if (p.wide && there) {
        float4 low = *reinterpret_cast<const float4*>(from), high = *reinterpret_cast<const float4*>(from + 4);
        v[0] = low.x, v[1] = low.y, v[2] = low.z, v[3] = low.w;
        v[4] = high.x, v[5] = high.y, v[6] = high.z, v[7] = high.w;
    } else {
#pragma unroll
        for (int k = 0; k < bf16::GRAIN; ++k) v[k] = k < there ? from[k] : 0.0f;
    }
    auto pair = [&](int k) { return bf16::upper_half(v[k]) | bf16::upper_half(v[k + 1]) << 16; };
    y[i] = make_uint4(pair(0), pair(2), pair(4), pair(6));
}

// rows: whether the last axis but one is filled up, too.
void pack(const char* op, const Out<bf16::Bits>& y, const In<float>& x, int groups, bool rows, cudaStream_t stream) {
    int last = x.shape.count - 1, above = last ? x.length(last - 1) : 1;
    Lengths wanted = bf16::packed<bf16::Bits>(x.shape, groups, rows);
    bool same = y.shape.count == x.shape.count;
    for (int i = 0; i <= last; ++i) same = same && y.shape[i] == wanted[i];
    require(same, op, ": the output has shape ", y.shape, ", x ", x.shape, " packed ", wanted);
    require(y.aligned(16), op, ": the output begins at a multiple of 16 bytes");
    int length = x.length(last) / groups;
    bool wide = x.aligned(16) && length % bf16::GRAIN == 0;
    Packing p{above, rows ? y.length(last - 1) : above, groups, length, y.length(last) / groups, wide};
    int64_t count = y.size() / bf16::GRAIN;
    LAUNCH(pack_kernel, blocks(count, elementwise::THREADS), elementwise::THREADS, 0, stream,
           reinterpret_cast<uint4*>(y.data), x.data, count, p);
}
// A pixel of what 2 x 2 windows send back, packed: dy of its window where its tap is the argmax, else 0.
struct Unpooling {
    const float* __restrict__ dy;
    const uint8_t* __restrict__ index;
    uint4* __restrict__ y;
    int height, width, h, w, groups, length, line;  // of the map, of the pooled one; of a group, as it is and packed
    __device__ void operator()(int64_t i) const {
        int each = line / bf16::GRAIN, first = modulo(i, each) * bf16::GRAIN;
        int64_t place = quotient(i, each), pixel = quotient(place, groups), row = quotient(pixel, width);
        int group = modulo(place, groups), column = modulo(pixel, width), r = modulo(row, height);
        int tap = r % 2 * 2 + column % 2, there = r / 2 < h && column / 2 < w ? length - first : 0;
        int64_t window = (quotient(row, height) * h + r / 2) * w + column / 2;
        int64_t from = (window * groups + group) * length + first;
        unsigned half[bf16::GRAIN];
#pragma unroll
        for (int k = 0; k < bf16::GRAIN; ++k)
            half[k] = k < there && index[from + k] == tap ? bf16::upper_half(dy[from + k]) : 0u;
        y[i] = make_uint4(half[0] | half[1] << 16, half[2] | half[3] << 16, half[4] | half[5] << 16,
                          half[6] | half[7] << 16);
    }
};
}  // namespace

void bf16_round(Out<float> y, In<float> x, cudaStream_t stream) { map(Round{}, "bf16_round", stream, y, x); }
BIND(bf16_round, "y x");
void bf16_add(Out<float> y, In<float> a, In<float> b, cudaStream_t stream) {
    map(bf16::Rounded<Add>{}, "bf16_add", stream, y, a, b);
}
BIND(bf16_add, "y a b");

void bf16_pixels(Out<bf16::Bits> y, In<float> x, int groups, cudaStream_t stream) {
    pack("bf16_pixels", y, x, groups, false, stream);
}
BIND(bf16_pixels, "y x groups");

void bf16_unpool_pixels(Out<bf16::Bits> y, In<float> dy, In<uint8_t> index, Lengths, int groups, cudaStream_t stream) {
    require(y.shape.count == 4 && index.size() == dy.size() && y.aligned(16), "bf16_unpool_pixels: dy has shape ",
            dy.shape, ", index ", index.shape, ", the output ", y.shape);
    int h = dy.length(1), w = dy.length(2), length = dy.length(3) / groups, line = y.length(3) / groups;
    require(y.shape[1] / 2 == h && y.shape[2] / 2 == w && line == bf16::filled_up(length),
            "bf16_unpool_pixels: dy has shape ", dy.shape, ", the output ", y.shape);
    uint4* to = reinterpret_cast<uint4*>(y.data);
    Unpooling f{dy.data, index.data, to, y.length(1), y.length(2), h, w, groups, length, line};
    each<1>(f, y.size() / bf16::GRAIN, stream);
}
BIND(bf16_unpool_pixels, "y dy index shape groups");

void bf16_filters(Out<bf16::Bits> y, In<float> x, int groups, cudaStream_t stream) {
    pack("bf16_filters", y, x, groups, true, stream);
}
BIND(bf16_filters, "y x groups");

void bf16_lines(Out<bf16::Bits> y, In<float> x, cudaStream_t stream) { pack("bf16_lines", y, x, 1, false, stream); }
BIND(bf16_lines, "y x");
