// Functions of one number that several families share, none of which overflows.
#pragma once
#include "launch.h"

// 1 / (1 + e^-x)
__device__ __forceinline__ float sigmoid(float x) {
    float e = expf(-fabsf(x));
    return (x >= 0 ? 1.0f : e) / (1 + e);
}

// ln(1 + e^x); a NaN passes the comparison by, and comes out of the exponential
__device__ __forceinline__ float softplus(float x) { return (x > 0 ? x : 0.0f) + log1pf(expf(-fabsf(x))); }
