// Image processing: what smooths and keeps edges, of images of bytes or float32: median, bilateral, non-local means.
#include "pictures.cuh"

namespace {
using namespace pictures;

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
}  // namespace

void median_bytes(Out<uint8_t> y, In<uint8_t> x, Lengths sizes, In<int64_t> at0, In<int64_t> at1, In<int64_t> at2,
                  cudaStream_t stream) {
    median(y, x, sizes, at0, at1, at2, stream);
}
BIND(median_bytes, "y x sizes at0 at1 at2");

void bilateral_bytes(Out<uint8_t> y, In<uint8_t> x, In<float> space, In<float> tones, float factor, In<int64_t> at1,
                     In<int64_t> at2, cudaStream_t stream) {
    bilateral(y, x, space, tones, factor, at1, at2, stream);
}
BIND(bilateral_bytes, "y x space tones factor at1 at2");

void non_local_bytes(Out<uint8_t> y, In<uint8_t> x, int patch, int search, float factor, float noise, In<int64_t> at1,
                     In<int64_t> at2, cudaStream_t stream) {
    non_local(y, x, patch, search, factor, noise, at1, at2, stream);
}
BIND(non_local_bytes, "y x patch search factor noise at1 at2");

void median_floats(Out<float> y, In<float> x, Lengths sizes, In<int64_t> at0, In<int64_t> at1, In<int64_t> at2,
                   cudaStream_t stream) {
    median(y, x, sizes, at0, at1, at2, stream);
}
BIND(median_floats, "y x sizes at0 at1 at2");

void bilateral_floats(Out<float> y, In<float> x, In<float> space, In<float> tones, float factor, In<int64_t> at1,
                      In<int64_t> at2, cudaStream_t stream) {
    bilateral(y, x, space, tones, factor, at1, at2, stream);
}
BIND(bilateral_floats, "y x space tones factor at1 at2");

void non_local_floats(Out<float> y, In<float> x, int patch, int search, float factor, float noise, In<int64_t> at1,
                      In<int64_t> at2, cudaStream_t stream) {
    non_local(y, x, patch, search, factor, noise, at1, at2, stream);
}
BIND(non_local_floats, "y x patch search factor noise at1 at2");
