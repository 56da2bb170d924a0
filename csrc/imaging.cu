// Image processing: windows over images [plane, row, column, channel] of bytes or float32, a thread for each number of
// the result.  A window comes as positions: at[i + t] is what tap t of pixel i's window covers, whatever the border
// rule.  Sums run tap by tap and unfused, as in the reference, so that whole numbers are rounded alike.
#include "elementwise.cuh"

namespace {
struct Size {  // of an image
    int d, h, w, c;
    explicit Size(const Lengths& l) : d(int(l[0])), h(int(l[1])), w(int(l[2])), c(int(l[3])) {}
    __device__ int64_t at(int64_t p, int64_t i, int64_t j, int k) const { return ((p * h + i) * w + j) * c + k; }
};
struct Spot {  // where a thread stands
    int p, i, j, k;
    __device__ Spot(int64_t at, const Size& s) {
        k = modulo(at, s.c);
        at = quotient(at, s.c);
        j = modulo(at, s.w);
        at = quotient(at, s.w);
        i = modulo(at, s.h);
        p = int(quotient(at, s.h));
    }
};

// The nearest whole number, of two the even one, from 0 to white; a float as it is.
__device__ __forceinline__ void store(uint8_t* y, float v) { *y = uint8_t(fminf(fmaxf(rintf(v), 0.0f), 255.0f)); }
__device__ __forceinline__ void store(float* y, float v) { *y = v; }

// ------------------------------------------------------------------------------------------------- linear filters

__device__ __forceinline__ float plus(float sum, float weight, float x) {
    return __fadd_rn(sum, __fmul_rn(weight, x));
}

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
Line<float> two_lines(const Work<float>& one, const Work<float>& two, const In<T>& x, const In<float>* taps,
                      const In<int64_t>* at, cudaStream_t stream) {
    Size s(x.shape);
    Line<T> depth{one.data, x.data, taps[0].data, at[0].data, taps[0].length(0), s.d, s.h * s.w * s.c};
    each(depth, x.size(), stream);
    each(Line<float>{two.data, one.data, taps[1].data, at[1].data, taps[1].length(0), s.h, s.w * s.c}, x.size(),
         stream);
    return {nullptr, two.data, taps[2].data, at[2].data, taps[2].length(0), s.w, s.c};
}

// ------------------------------------------------------------------------------------------- what keeps edges

// Whole numbers in the order of the numbers: of a float its bits, those of negative ones turned over.
__device__ __forceinline__ unsigned key(uint8_t v) { return v; }
__device__ __forceinline__ unsigned key(float v) {
    unsigned bits = __float_as_uint(v);
    return bits >> 31 ? ~bits : bits | 0x80000000u;
}
__device__ __forceinline__ void restore(uint8_t* y, unsigned k) { *y = uint8_t(k); }
__device__ __forceinline__ void restore(float* y, unsigned k) {
    *y = __uint_as_float(k >> 31 ? k & 0x7fffffffu : ~k);
}

// The median, bit by bit from the highest: it has the bit if at most half of the numbers are smaller with it.
template <class T>
struct Median {
    T* __restrict__ y;
    const T* __restrict__ x;
    const int64_t *__restrict__ at0, *__restrict__ at1, *__restrict__ at2;
    Size s;
    int depth, height, width, bits;
    __device__ int smaller(const Spot& spot, unsigned bound) const {
        int count = 0;
        for (int a = 0; a < depth; ++a)
            for (int b = 0; b < height; ++b)
                for (int e = 0; e < width; ++e)
                    count += key(x[s.at(at0[spot.p + a], at1[spot.i + b], at2[spot.j + e], spot.k)]) < bound;
        return count;
    }
    __device__ bool broken(const Spot& spot) const {
        bool found = false;
        for (int a = 0; a < depth; ++a)
            for (int b = 0; b < height; ++b)
                for (int e = 0; e < width; ++e) {
                    T v = x[s.at(at0[spot.p + a], at1[spot.i + b], at2[spot.j + e], spot.k)];
                    found = found || v != v;
                }
        return found;
    }
    __device__ void operator()(int64_t here) const {
        Spot spot(here, s);
        int middle = depth * height * width / 2;
        unsigned found = 0;
        for (int bit = bits - 1; bit >= 0; --bit)
            if (smaller(spot, found | 1u << bit) <= middle) found |= 1u << bit;
        if (bits == 32 && broken(spot)) found = key(__int_as_float(0x7fc00000));
        restore(y + here, found);
    }
};
template <class T>
void median(const Out<T>& y, const In<T>& x, const Lengths& sizes, const In<int64_t>& at0, const In<int64_t>& at1,
            const In<int64_t>& at2, cudaStream_t stream) {
    int bits = 8 * int(sizeof(T));
    Size s(x.shape);
    Median<T> f{y.data, x.data, at0.data, at1.data, at2.data, s, int(sizes[0]), int(sizes[1]), int(sizes[2]), bits};
    each<1>(f, x.size(), stream);
}

template <class T>
struct Bilateral {
    T* __restrict__ y;
    const T* __restrict__ x;
    const float *__restrict__ space, *__restrict__ tones;
    float factor;
    const int64_t *__restrict__ at1, *__restrict__ at2;
    Size s;
    int size;
    __device__ float tone(float difference) const {
        return sizeof(T) == 1 ? tones[int(difference)] : expf(factor * difference * difference);
    }
    __device__ void operator()(int64_t here) const {  // of a whole pixel
        int j = modulo(here, s.w), i = modulo(quotient(here, s.w), s.h);
        int64_t p = quotient(quotient(here, s.w), s.h);
        const T* mine = x + here * s.c;
        float weighted[3] = {}, total = 0;
        for (int a = 0; a < size; ++a)
            for (int b = 0; b < size; ++b) {
                if (!(space[a * size + b] > 0)) continue;
                const T* other = x + s.at(p, at1[i + a], at2[j + b], 0);
                float difference = 0;
                for (int k = 0; k < s.c; ++k) difference += fabsf(float(other[k]) - float(mine[k]));
                float weight = __fmul_rn(space[a * size + b], tone(difference));
                total = __fadd_rn(total, weight);
                for (int k = 0; k < s.c; ++k) weighted[k] = plus(weighted[k], weight, float(other[k]));
            }
        for (int k = 0; k < s.c; ++k) store(y + here * s.c + k, weighted[k] / total);
    }
};
template <class T>
void bilateral(const Out<T>& y, const In<T>& x, const In<float>& space, const In<float>& tones, float factor,
               const In<int64_t>& at1, const In<int64_t>& at2, cudaStream_t stream) {
    Size s(x.shape);
    require(s.c <= 3, "bilateral_filter: x has ", s.c, " channels, at most 3 are taken");
    Bilateral<T> f{y.data, x.data, space.data, tones.data, factor, at1.data, at2.data, s, space.length(0)};
    each<1>(f, x.size() / s.c, stream);
}

template <class T>
struct NonLocal {
    T* __restrict__ y;
    const T* __restrict__ x;
    int patch, search;
    float factor, noise;
    const int64_t *__restrict__ at1, *__restrict__ at2;
    Size s;
    __device__ float distance(int64_t p, int i, int j, int a, int b) const {
        int margin = search / 2;
        float sum = 0;
        for (int e = 0; e < patch; ++e)
            for (int f = 0; f < patch; ++f) {
                const T* mine = x + s.at(p, at1[i + margin + e], at2[j + margin + f], 0);
                const T* other = x + s.at(p, at1[i + a + e], at2[j + b + f], 0);
                for (int k = 0; k < s.c; ++k) {
                    float difference = float(other[k]) - float(mine[k]);
                    sum += difference * difference;
                }
            }
        return sum / float(patch * patch * s.c);
    }
    __device__ void operator()(int64_t here) const {  // of a whole pixel
        int j = modulo(here, s.w), i = modulo(quotient(here, s.w), s.h), middle = patch / 2;
        int64_t p = quotient(quotient(here, s.w), s.h);
        float weighted[3] = {}, total = 0;
        for (int a = 0; a < search; ++a)
            for (int b = 0; b < search; ++b) {
                float excess = distance(p, i, j, a, b) - noise, weight = expf(factor * (excess < 0 ? 0.0f : excess));
                const T* other = x + s.at(p, at1[i + a + middle], at2[j + b + middle], 0);
                total += weight;
                for (int k = 0; k < s.c; ++k) weighted[k] += weight * float(other[k]);
            }
        for (int k = 0; k < s.c; ++k) store(y + here * s.c + k, weighted[k] / total);
    }
};
template <class T>
void non_local(const Out<T>& y, const In<T>& x, int patch, int search, float factor, float noise,
               const In<int64_t>& at1, const In<int64_t>& at2, cudaStream_t stream) {
    Size s(x.shape);
    require(s.c <= 3, "non_local_filter: x has ", s.c, " channels, at most 3 are taken");
    each<1>(NonLocal<T>{y.data, x.data, patch, search, factor, noise, at1.data, at2.data, s}, x.size() / s.c, stream);
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

#define FILTERS(T, suffix)                                                                                           \
    void separable_##suffix(Out<T> y, Work<float> one, Work<float> two, In<T> x, In<float> taps0, In<float> taps1,   \
                            In<float> taps2, In<int64_t> at0, In<int64_t> at1, In<int64_t> at2, cudaStream_t stream) { \
        const In<float> taps[] = {taps0, taps1, taps2};                                                              \
        const In<int64_t> at[] = {at0, at1, at2};                                                                    \
        each(LastLine<T>{y.data, two_lines(one, two, x, taps, at, stream)}, x.size(), stream);                       \
    }                                                                                                                \
    BIND(separable_##suffix, "y one two x taps0 taps1 taps2 at0 at1 at2");                                           \
    void unsharp_##suffix(Out<T> y, Work<float> one, Work<float> two, In<T> x, In<float> taps0, In<float> taps1,     \
                          In<float> taps2, In<int64_t> at0, In<int64_t> at1, In<int64_t> at2, float amount,          \
                          cudaStream_t stream) {                                                                     \
        const In<float> taps[] = {taps0, taps1, taps2};                                                              \
        const In<int64_t> at[] = {at0, at1, at2};                                                                    \
        each(Sharpened<T>{y.data, x.data, two_lines(one, two, x, taps, at, stream), amount}, x.size(), stream);      \
    }                                                                                                                \
    BIND(unsharp_##suffix, "y one two x taps0 taps1 taps2 at0 at1 at2 amount");                                      \
    void median_##suffix(Out<T> y, In<T> x, Lengths sizes, In<int64_t> at0, In<int64_t> at1, In<int64_t> at2,        \
                         cudaStream_t stream) {                                                                      \
        median(y, x, sizes, at0, at1, at2, stream);                                                                  \
    }                                                                                                                \
    BIND(median_##suffix, "y x sizes at0 at1 at2");                                                                  \
    void bilateral_##suffix(Out<T> y, In<T> x, In<float> space, In<float> tones, float factor, In<int64_t> at1,      \
                            In<int64_t> at2, cudaStream_t stream) {                                                  \
        bilateral(y, x, space, tones, factor, at1, at2, stream);                                                     \
    }                                                                                                                \
    BIND(bilateral_##suffix, "y x space tones factor at1 at2");                                                      \
    void non_local_##suffix(Out<T> y, In<T> x, int patch, int search, float factor, float noise, In<int64_t> at1,    \
                            In<int64_t> at2, cudaStream_t stream) {                                                  \
        non_local(y, x, patch, search, factor, noise, at1, at2, stream);                                             \
    }                                                                                                                \
    BIND(non_local_##suffix, "y x patch search factor noise at1 at2");                                               \
    void extreme_box_##suffix(Out<T> y, Work<T> one, Work<T> two, In<T> x, Lengths sizes, In<int64_t> at0,           \
                              In<int64_t> at1, In<int64_t> at2, bool largest, cudaStream_t stream) {                 \
        extreme_lines(y, one, two, x, sizes, at0, at1, at2, largest, stream);                                        \
    }                                                                                                                \
    BIND(extreme_box_##suffix, "y one two x sizes at0 at1 at2 largest");                                             \
    void extreme_##suffix(Out<T> y, In<T> x, In<uint8_t> footprint, In<int64_t> at0, In<int64_t> at1,                \
                          In<int64_t> at2, bool largest, cudaStream_t stream) {                                      \
        extreme(y, x, footprint, at0, at1, at2, largest, stream);                                                    \
    }                                                                                                                \
    BIND(extreme_##suffix, "y x footprint at0 at1 at2 largest")

FILTERS(uint8_t, bytes);
FILTERS(float, floats);

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
