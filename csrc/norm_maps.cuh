// What batch norm's passes do with a number of a channel, and what they sum: shared by norm.cu and norm_gradient.cu.
#pragma once
#include "columns.cuh"
#include "elementwise.cuh"

namespace batch_norm {
// ------------------------------------------------------------------------------------------------ mapping numbers

struct Apply {
    const float* __restrict__ map;
    int c;
    __device__ float operator()(int k, float x) const { return (x - map[k]) * map[c + k] + map[2 * c + k]; }
};
struct ApplyRelu {
    Apply apply;
    __device__ float operator()(int k, float x) const {
        float v = apply(k, x);
        return v < 0 ? 0.0f : v;
    }
};
struct ApplyAddRelu {
    Apply apply;
    __device__ float operator()(int k, float x, float z) const {
        float v = apply(k, x) + z;
        return v < 0 ? 0.0f : v;
    }
};
struct Gradient {  // by running statistics x does not matter, whatever it is
    const float* __restrict__ mean, * __restrict__ map;
    int c;
    bool training;
    __device__ float operator()(int k, float dy, float x) const {
        float dx = map[k] * dy;
        return training ? dx + (map[c + k] * (x - mean[k]) + map[2 * c + k]) : dx;
    }
};

struct GradientRelu {  // and 0 where y, of the ReLU before, is not above 0
    Gradient gradient;
    __device__ float operator()(int k, float dy, float x, float y) const {
        float dx = gradient(k, dy, x);
        return y <= 0 ? 0.0f : dx;
    }
};

// --------------------------------------------------------------------------------------------- sums for backward

struct Sums {  // of dy and dy (x - mean)
    using Sum = float;
    static constexpr int COUNT = 2;
    const float* __restrict__ dy, * __restrict__ x, * __restrict__ mean;
    __device__ void operator()(float* sums, int64_t i, int k, int64_t) const {
        float d = dy[i];
        sums[0] += d;
        sums[1] += d * (x[i] - mean[k]);
    }
};
struct ReluSums {  // of g = dy where y > 0 or NaN, else 0, written on the way
    using Sum = float;
    static constexpr int COUNT = 2;
    float* __restrict__ g;
    const float* __restrict__ dy, * __restrict__ y, * __restrict__ x, * __restrict__ mean;
    __device__ void operator()(float* sums, int64_t i, int k, int64_t) const {
        float d = y[i] <= 0 ? 0.0f : dy[i];
        g[i] = d;
        sums[0] += d;
        sums[1] += d * (x[i] - mean[k]);
    }
};
struct GradientMap {  // dx = map[0] dy + map[1] (x - mean) + map[2];  map[1] = map[2] = 0 by running statistics
    float *dweight, *dbias, *map;
    const float *weight, *rstd;
    int64_t n;
    int c;
    bool training;
    __device__ void operator()(int k, const double* sums) const {
        double r = rstd[k], a = r * (weight ? double(weight[k]) : 1.0);
        dbias[k] = float(sums[0]);
        dweight[k] = float(sums[1] * r);
        map[k] = float(a);
        map[c + k] = training ? float(-a * r * r * sums[1] / double(n)) : 0.0f;
        map[2 * c + k] = training ? float(-a * sums[0] / double(n)) : 0.0f;
    }
};
}  // namespace batch_norm
