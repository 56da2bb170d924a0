// Image processing: linear filters, morphology, histograms and look-up tables of images of bytes or float32.
#include <array>

#include "pictures.cuh"

namespace {
using namespace pictures;

// ------------------------------------------------------------------------------------------------- linear filters

// Sums along one axis: of x as [outer, n, inner].
template <class T>
struct Line {
    float* __restrict__ y;
    const T* __restrict__ x;
    const float* __restrict__ taps;
    const int64_t* __restrict__ at;
    int size, n, inner;
    __device__ float sum(int64_t here) const {
        int i = modulo(quotient(here, inner), n);
        const T* line = x + (here - int64_t(i) * inner);
        float total = __fmul_rn(taps[0], float(line[at[i] * inner]));
        for (int t = 1; t < size; ++t) total = plus(total, taps[t], float(line[at[i + t] * inner]));
        return total;
    }
    __device__ void operator()(int64_t here) const { y[here] = sum(here); }
};
template <class Y>
struct LastLine {
    Y* __restrict__ y;
    Line<float> line;
    __device__ void operator()(int64_t here) const { store(y + here, line.sum(here)); }
};
template <class T>
struct Sharpened {
    T* __restrict__ y;
    const T* __restrict__ x;
    Line<float> line;
    float amount;
    __device__ void operator()(int64_t here) const {
        float value = float(x[here]), detail = __fadd_rn(value, -line.sum(here));
        store(y + here, plus(value, amount, detail));
    }
};

// Sums along depth and height: what is left is the sum along the width, of which the kernels above make the result.
template <class T>
Line<float> two_lines(const Work<float>& one, const Work<float>& two, const In<T>& x,
                      const std::array<In<float>, 3>& taps, const std::array<In<int64_t>, 3>& at,
                      cudaStream_t stream) {
    Size s(x.shape);
    Line<T> depth{one.data, x.data, taps[0].data, at[0].data, taps[0].length(0), s.d, s.h * s.w * s.c};
    each(depth, x.size(), stream);
    each(Line<float>{two.data, one.data, taps[1].data, at[1].data, taps[1].length(0), s.h, s.w * s.c}, x.size(),
         stream);
    return {nullptr, two.data, taps[2].data, at[2].data, taps[2].length(0), s.w, s.c};
}

// ----------------------------------------------------------------------------------------------------- morphology

template <class T>
__device__ __forceinline__ T better(T a, T b, bool largest) {  // NaN where one is NaN
    if (a != a) return a;
    return b != b || (largest ? b > a : b < a) ? b : a;
}
template <class T>
struct ExtremeLine {  // along one axis, of x as [outer, n, inner]
    T* __restrict__ y;
    const T* __restrict__ x;
    const int64_t* __restrict__ at;
    int size, n, inner;
    bool largest;
    __device__ void operator()(int64_t here) const {
        int i = modulo(quotient(here, inner), n);
        const T* line = x + (here - int64_t(i) * inner);
        T found = line[at[i] * inner];
        for (int t = 1; t < size; ++t) found = better(found, line[at[i + t] * inner], largest);
        y[here] = found;
    }
};
template <class T>
void extreme_lines(const Out<T>& y, const Work<T>& one, const Work<T>& two, const In<T>& x, const Lengths& sizes,
                   const In<int64_t>& at0, const In<int64_t>& at1, const In<int64_t>& at2, bool largest,
                   cudaStream_t stream) {
    Size s(x.shape);
    int row = s.w * s.c;
    each(ExtremeLine<T>{one.data, x.data, at0.data, int(sizes[0]), s.d, s.h * row, largest}, x.size(), stream);
    each(ExtremeLine<T>{two.data, one.data, at1.data, int(sizes[1]), s.h, row, largest}, x.size(), stream);
    each(ExtremeLine<T>{y.data, two.data, at2.data, int(sizes[2]), s.w, s.c, largest}, x.size(), stream);
}
template <class T>
struct Extreme {
    T* __restrict__ y;
    const T* __restrict__ x;
    const uint8_t* __restrict__ footprint;
    const int64_t *__restrict__ at0, *__restrict__ at1, *__restrict__ at2;
    Size s;
    int depth, height, width;
    bool largest;
    __device__ void operator()(int64_t here) const {
        Spot spot(here, s);
        T found = x[here];
        for (int a = 0; a < depth; ++a)
            for (int b = 0; b < height; ++b)
                for (int e = 0; e < width; ++e)
                    if (footprint[(a * height + b) * width + e])
                        found = better(found, x[s.at(at0[spot.p + a], at1[spot.i + b], at2[spot.j + e], spot.k)],
                                       largest);
        y[here] = found;
    }
};
template <class T>
void extreme(const Out<T>& y, const In<T>& x, const In<uint8_t>& footprint, const In<int64_t>& at0,
             const In<int64_t>& at1, const In<int64_t>& at2, bool largest, cudaStream_t stream) {
    Extreme<T> f{y.data,   x.data,        footprint.data,      at0.data,            at1.data,
                 at2.data, Size(x.shape), footprint.length(0), footprint.length(1), footprint.length(2),
                 largest};
    each(f, x.size(), stream);
}

// -------------------------------------------------------------------------------------------- histogram and table

struct Zero {
    int64_t* y;
    __device__ void operator()(int64_t i) const { y[i] = 0; }
};
constexpr int LEVELS = 256, THREADS = 256, PIXELS = 4096;  // of a block

// A block counts its pixels in shared memory, then adds its counts to all: whole numbers, in whatever order.
__global__ void __launch_bounds__(THREADS)
count_kernel(unsigned long long* y, const uint8_t* x, int64_t pixels, int c) {
    __shared__ unsigned counts[LEVELS];
    int channel = blockIdx.y;
    counts[threadIdx.x] = 0;
    __syncthreads();
    int64_t first = int64_t(blockIdx.x) * PIXELS, end = min(first + PIXELS, pixels);
    for (int64_t i = first + threadIdx.x; i < end; i += THREADS) atomicAdd(counts + x[i * c + channel], 1u);
    __syncthreads();
    unsigned found = counts[threadIdx.x];
    if (found) atomicAdd(y + channel * LEVELS + threadIdx.x, (unsigned long long)found);
}

struct LookUp {
    uint8_t* __restrict__ y;
    const uint8_t *__restrict__ x, *__restrict__ values;
    int c, from, columns;
    __device__ void operator()(int64_t here) const {
        int k = modulo(here, c);
        int64_t pixel = quotient(here, c);
        y[here] = values[int(x[pixel * from + (from > 1 ? k : 0)]) * columns + (columns > 1 ? k : 0)];
    }
};
}  // namespace

void separable_bytes(Out<uint8_t> y, Work<float> one, Work<float> two, In<uint8_t> x, In<float> taps0, In<float> taps1,
                     In<float> taps2, In<int64_t> at0, In<int64_t> at1, In<int64_t> at2, cudaStream_t stream) {
    Line<float> line = two_lines(one, two, x, {taps0, taps1, taps2}, {at0, at1, at2}, stream);
    each(LastLine<uint8_t>{y.data, line}, x.size(), stream);
}
BIND(separable_bytes, "y one two x taps0 taps1 taps2 at0 at1 at2");

void unsharp_bytes(Out<uint8_t> y, Work<float> one, Work<float> two, In<uint8_t> x, In<float> taps0, In<float> taps1,
                   In<float> taps2, In<int64_t> at0, In<int64_t> at1, In<int64_t> at2, float amount,
                   cudaStream_t stream) {
    Line<float> line = two_lines(one, two, x, {taps0, taps1, taps2}, {at0, at1, at2}, stream);
    each(Sharpened<uint8_t>{y.data, x.data, line, amount}, x.size(), stream);
}
BIND(unsharp_bytes, "y one two x taps0 taps1 taps2 at0 at1 at2 amount");

void extreme_box_bytes(Out<uint8_t> y, Work<uint8_t> one, Work<uint8_t> two, In<uint8_t> x, Lengths sizes,
                       In<int64_t> at0, In<int64_t> at1, In<int64_t> at2, bool largest, cudaStream_t stream) {
    extreme_lines(y, one, two, x, sizes, at0, at1, at2, largest, stream);
}
BIND(extreme_box_bytes, "y one two x sizes at0 at1 at2 largest");

void extreme_bytes(Out<uint8_t> y, In<uint8_t> x, In<uint8_t> footprint, In<int64_t> at0, In<int64_t> at1,
                   In<int64_t> at2, bool largest, cudaStream_t stream) {
    extreme(y, x, footprint, at0, at1, at2, largest, stream);
}
BIND(extreme_bytes, "y x footprint at0 at1 at2 largest");

void separable_floats(Out<float> y, Work<float> one, Work<float> two, In<float> x, In<float> taps0, In<float> taps1,
                      In<float> taps2, In<int64_t> at0, In<int64_t> at1, In<int64_t> at2, cudaStream_t stream) {
    Line<float> line = two_lines(one, two, x, {taps0, taps1, taps2}, {at0, at1, at2}, stream);
    each(LastLine<float>{y.data, line}, x.size(), stream);
}
BIND(separable_floats, "y one two x taps0 taps1 taps2 at0 at1 at2");

void unsharp_floats(Out<float> y, Work<float> one, Work<float> two, In<float> x, In<float> taps0, In<float> taps1,
                    In<float> taps2, In<int64_t> at0, In<int64_t> at1, In<int64_t> at2, float amount,
                    cudaStream_t stream) {
    Line<float> line = two_lines(one, two, x, {taps0, taps1, taps2}, {at0, at1, at2}, stream);
    each(Sharpened<float>{y.data, x.data, line, amount}, x.size(), stream);
}
BIND(unsharp_floats, "y one two x taps0 taps1 taps2 at0 at1 at2 amount");

void extreme_box_floats(Out<float> y, Work<float> one, Work<float> two, In<float> x, Lengths sizes, In<int64_t> at0,
                        In<int64_t> at1, In<int64_t> at2, bool largest, cudaStream_t stream) {
    extreme_lines(y, one, two, x, sizes, at0, at1, at2, largest, stream);
}
BIND(extreme_box_floats, "y one two x sizes at0 at1 at2 largest");

void extreme_floats(Out<float> y, In<float> x, In<uint8_t> footprint, In<int64_t> at0, In<int64_t> at1, In<int64_t> at2,
                    bool largest, cudaStream_t stream) {
    extreme(y, x, footprint, at0, at1, at2, largest, stream);
}
BIND(extreme_floats, "y x footprint at0 at1 at2 largest");

void count_bytes(Out<int64_t> y, In<uint8_t> x, cudaStream_t stream) {
    require(x.shape.count == 2, "count_values: x is [pixels, channels], got ", x.shape);
    each(Zero{y.data}, y.size(), stream);
    LAUNCH(count_kernel, dim3(blocks(x.shape[0], PIXELS), unsigned(x.length(1))), THREADS, 0, stream,
           reinterpret_cast<unsigned long long*>(y.data), x.data, x.shape[0], x.length(1));
}
BIND(count_bytes, "y x");

void look_up_bytes(Out<uint8_t> y, In<uint8_t> x, In<uint8_t> values, cudaStream_t stream) {
    each(LookUp{y.data, x.data, values.data, y.length(1), x.length(1), values.length(1)}, y.size(), stream);
}
BIND(look_up_bytes, "y x values");
