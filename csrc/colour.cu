// Colour spaces, of pixels [pixel, channel]: grey, hue and saturation, inks, CIE L*a*b*, and densities of stains.
#include "pictures.cuh"

namespace {
using pictures::store;

__device__ __forceinline__ float larger(float a, float b) { return a != a || a > b ? a : b; }  // NaN where one is
__device__ __forceinline__ float smaller(float a, float b) { return a != a || a < b ? a : b; }
__device__ __forceinline__ float unit(float v) { return v < 0 ? 0.0f : v > 1 ? 1.0f : v; }  // NaN passes

__device__ __forceinline__ uint8_t grey(const uint8_t* p) {  // in 65536ths, as Pillow does
    return uint8_t((19595u * p[0] + 38470u * p[1] + 7471u * p[2] + 32768u) >> 16);
}
__device__ __forceinline__ float grey(const float* p) { return p[0] * 0.299f + p[1] * 0.587f + p[2] * 0.114f; }

template <class T>
struct Luma {
    T* __restrict__ y;
    const T* __restrict__ x;
    __device__ void operator()(int64_t i) const { y[i] = grey(x + 3 * i); }
};

struct ToHsv {
    float* __restrict__ y;
    const float* __restrict__ x;
    __device__ void operator()(int64_t i) const {
        float red = x[3 * i], green = x[3 * i + 1], blue = x[3 * i + 2];
        float value = larger(larger(red, green), blue), span = value - smaller(smaller(red, green), blue);
        float safe = span == 0 ? 1.0f : span;
        float sector = value == red     ? (green - blue) / safe
                       : value == green ? (blue - red) / safe + 2
                                        : (red - green) / safe + 4;
        y[3 * i] = span == 0 ? 0.0f : (sector < 0 ? sector + 6 : sector) / 6;
        y[3 * i + 1] = value == 0 ? 0.0f : span / value;
        y[3 * i + 2] = value;
    }
};
struct FromHsv {  // V - V S max(0, min(k, 4 - k, 1)), k = (n + 6 H) mod 6, n = 5, 3, 1
    float* __restrict__ y;
    const float* __restrict__ x;
    __device__ void operator()(int64_t i) const {
        float hue = x[3 * i] * 6, value = x[3 * i + 2], span = value * x[3 * i + 1];
        for (int channel = 0; channel < 3; ++channel) {
            float k = hue + float(5 - 2 * channel);
            k = k - 6 * floorf(k / 6);
            y[3 * i + channel] = value - span * larger(smaller(smaller(k, 4 - k), 1), 0);
        }
    }
};

struct ToCmyk {  // K = 1 - max, C = (max - R) / max
    float* __restrict__ y;
    const float* __restrict__ x;
    __device__ void operator()(int64_t i) const {
        const float* p = x + 3 * i;
        float most = larger(larger(p[0], p[1]), p[2]);
        for (int channel = 0; channel < 3; ++channel)
            y[4 * i + channel] = most == 0 ? 0.0f : (most - p[channel]) / most;
        y[4 * i + 3] = 1 - most;
    }
};
struct FromCmyk {
    float* __restrict__ y;
    const float* __restrict__ x;
    __device__ void operator()(int64_t i) const {
        for (int channel = 0; channel < 3; ++channel)
            y[3 * i + channel] = (1 - x[4 * i + channel]) * (1 - x[4 * i + 3]);
    }
};

constexpr float EPSILON = 0.008856f, KAPPA = 7.787f, SMALL = 16.0f / 116;  // CIE's, see tinymed/imaging/stain.py

__device__ __forceinline__ float times(const float* row, float a, float b, float c) {
    return a * row[0] + b * row[1] + c * row[2];
}
struct ToLab {  // matrix: from linear light to XYZ over the white point
    float* __restrict__ y;
    const float* __restrict__ x;
    const float* __restrict__ matrix;
    static __device__ float linear(float v) {
        return v > 0.04045f ? powf(v * (1 / 1.055f) + 0.055f / 1.055f, 2.4f) : v / 12.92f;
    }
    static __device__ float lightness(float v) { return v > EPSILON ? cbrtf(v) : KAPPA * v + SMALL; }
    __device__ void operator()(int64_t i) const {
        float red = linear(x[3 * i]), green = linear(x[3 * i + 1]), blue = linear(x[3 * i + 2]), share[3];
        for (int d = 0; d < 3; ++d) share[d] = lightness(times(matrix + 3 * d, red, green, blue));
        y[3 * i] = 116 * share[1] - 16;
        y[3 * i + 1] = 500 * (share[0] - share[1]);
        y[3 * i + 2] = 200 * (share[1] - share[2]);
    }
};
struct FromLab {  // matrix: from XYZ over the white point to linear light
    float* __restrict__ y;
    const float* __restrict__ x;
    const float* __restrict__ matrix;
    static __device__ float share(float v) {
        return v > 0.20689270648f ? v * v * v : (v - SMALL) / KAPPA;  // EPSILON^(1/3)
    }
    static __device__ float encoded(float v) {
        return unit(v > 0.0031308f ? 1.055f * powf(v, 1 / 2.4f) - 0.055f : v * 12.92f);
    }
    __device__ void operator()(int64_t i) const {
        float middle = (x[3 * i] + 16) / 116;
        float a = share(middle + x[3 * i + 1] / 500), b = share(middle);
        float c = share(larger(middle - x[3 * i + 2] / 200, 0));
        for (int d = 0; d < 3; ++d) y[3 * i + d] = encoded(times(matrix + 3 * d, a, b, c));
    }
};

template <class T>
struct MapDensities {  // light e^-(D matrix) in units of top, clipped, of D = -ln(x / top / light), between bounds
    T* __restrict__ y;
    const T* __restrict__ x;
    const float* __restrict__ matrix;
    float light, top, scale;
    __device__ void operator()(int64_t i) const {
        float density[3];
        for (int c = 0; c < 3; ++c) {
            float v = float(x[3 * i + c]) / scale;
            density[c] = -logf(v < 1 / 256.0f ? 1 / 256.0f : v > 1 ? 1.0f : v);
        }
        for (int d = 0; d < 3; ++d) {
            float mapped = density[0] * matrix[d] + density[1] * matrix[3 + d] + density[2] * matrix[6 + d];
            store(y + 3 * i + d, unit(light * expf(-mapped)) * top);
        }
    }
};

template <class Y, class X>
int64_t pixels(const char* op, const Y& y, int after, const X& x, int before) {
    require(x.shape.count == 2 && x.length(1) == before && y.size() == x.shape[0] * after, op, ": takes pixels of ",
            before, " channels, got ", x.shape);
    return x.shape[0];
}
}  // namespace

void luma_bytes(Out<uint8_t> y, In<uint8_t> x, cudaStream_t stream) {
    each(Luma<uint8_t>{y.data, x.data}, pixels("luma", y, 1, x, 3), stream);
}
BIND(luma_bytes, "y x");

void luma_floats(Out<float> y, In<float> x, cudaStream_t stream) {
    each(Luma<float>{y.data, x.data}, pixels("luma", y, 1, x, 3), stream);
}
BIND(luma_floats, "y x");

void rgb_to_hsv(Out<float> y, In<float> x, cudaStream_t stream) {
    each<1>(ToHsv{y.data, x.data}, pixels("rgb_to_hsv", y, 3, x, 3), stream);
}
BIND(rgb_to_hsv, "y x");

void hsv_to_rgb(Out<float> y, In<float> x, cudaStream_t stream) {
    each<1>(FromHsv{y.data, x.data}, pixels("hsv_to_rgb", y, 3, x, 3), stream);
}
BIND(hsv_to_rgb, "y x");

void rgb_to_cmyk(Out<float> y, In<float> x, cudaStream_t stream) {
    each<1>(ToCmyk{y.data, x.data}, pixels("rgb_to_cmyk", y, 4, x, 3), stream);
}
BIND(rgb_to_cmyk, "y x");

void cmyk_to_rgb(Out<float> y, In<float> x, cudaStream_t stream) {
    each<1>(FromCmyk{y.data, x.data}, pixels("cmyk_to_rgb", y, 3, x, 4), stream);
}
BIND(cmyk_to_rgb, "y x");

void rgb_to_lab(Out<float> y, In<float> x, In<float> matrix, cudaStream_t stream) {
    require(matrix.size() == 9, "rgb_to_lab: a matrix of shape ", matrix.shape);
    each<1>(ToLab{y.data, x.data, matrix.data}, pixels("rgb_to_lab", y, 3, x, 3), stream);
}
BIND(rgb_to_lab, "y x matrix");

void lab_to_rgb(Out<float> y, In<float> x, In<float> matrix, cudaStream_t stream) {
    require(matrix.size() == 9, "lab_to_rgb: a matrix of shape ", matrix.shape);
    each<1>(FromLab{y.data, x.data, matrix.data}, pixels("lab_to_rgb", y, 3, x, 3), stream);
}
BIND(lab_to_rgb, "y x matrix");

void map_densities_bytes(Out<uint8_t> y, In<uint8_t> x, In<float> matrix, float light, float top, float scale,
                         cudaStream_t stream) {
    MapDensities<uint8_t> f{y.data, x.data, matrix.data, light, top, scale};
    each<1>(f, pixels("map_densities", y, 3, x, 3), stream);
}
BIND(map_densities_bytes, "y x matrix light top scale");

void map_densities_floats(Out<float> y, In<float> x, In<float> matrix, float light, float top, float scale,
                          cudaStream_t stream) {
    MapDensities<float> f{y.data, x.data, matrix.data, light, top, scale};
    each<1>(f, pixels("map_densities", y, 3, x, 3), stream);
}
BIND(map_densities_floats, "y x matrix light top scale");
