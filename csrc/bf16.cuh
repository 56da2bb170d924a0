// bfloat16: the upper half of a float32.  Numbers of it lie in float32 (tinymed/ops/mixed.py); a product reads them
// packed, as bits, two bytes a number, each group's filled up with zeros to a multiple of 8: 16 bytes are one access.
#pragma once
#include "launch.h"

namespace bf16 {
constexpr int GRAIN = 8;  // what lies in 16 bytes
using Bits = uint16_t;

// Round to the nearest, to even in the middle; a NaN stays one.
__device__ __forceinline__ unsigned upper_half(float x) {
    unsigned u = __float_as_uint(x);
    return (x != x ? u | 0x400000u : u + 0x7fffu + (u >> 16 & 1)) >> 16;
}
__device__ __forceinline__ float rounded(float x) { return x != x ? x : __uint_as_float(upper_half(x) << 16); }

__host__ __device__ constexpr int64_t filled_up(int64_t n) { return (n + GRAIN - 1) / GRAIN * GRAIN; }

// A result of a product of T as it is stored: in bfloat16 if `rounds`, which float32's never does.
template <class T>
__device__ __forceinline__ float stored(float v, bool rounds) {
    if constexpr (sizeof(T) == sizeof(Bits)) return rounds ? rounded(v) : v;
    return v;
}

// What F gives, rounded.
template <class F>
struct Rounded {
    F f;
    template <class... A>
    __device__ float operator()(A... a) const {
        return rounded(f(a...));
    }
};

// The lengths that an array has when it is packed for products of T: the last axis, which `groups` share; and the rows.
template <class T>
Lengths packed(Lengths l, int groups, bool rows = false) {
    if (sizeof(T) != sizeof(Bits)) return l;
    int last = l.count - 1;
    require(groups > 0 && l[last] % groups == 0, "an array of shape ", l, " in ", groups, " groups");
    l.length[last] = groups * filled_up(l[last] / groups);
    if (rows) l.length[last - 1] = filled_up(l[last - 1]);
    return l;
}
}  // namespace bf16
