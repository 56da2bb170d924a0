// float16: 5 bits of exponent, 10 of fraction.
#pragma once
#include "half_types.h"

EMU_HALF_TYPE(__half, __half2, 5, 10)
using half = __half;
using half2 = __half2;
inline half __float2half(float v) { return half(v); }
inline half __float2half_rn(float v) { return half(v); }
inline half __double2half(double v) { return half(v); }
inline half __int2half_rn(int v) { return half(v); }
inline half __uint2half_rn(unsigned v) { return half(v); }
inline float __half2float(half v) { return float(v); }
inline int __half2int_rn(half v) { return __float2int_rn(float(v)); }
inline int __half2int_rz(half v) { return __float2int_rz(float(v)); }
inline half2 __floats2half2_rn(float a, float b) { return {half(a), half(b)}; }
inline half2 __float22half2_rn(float2 v) { return {half(v.x), half(v.y)}; }
inline half2 __float2half2_rn(float v) { return {half(v), half(v)}; }
inline float2 __half22float2(half2 v) { return {float(v.x), float(v.y)}; }
inline half2 __halves2half2(half a, half b) { return {a, b}; }
inline half2 __half2half2(half a) { return {a, a}; }
inline half2 make_half2(half a, half b) { return {a, b}; }
inline unsigned short __half_as_ushort(half v) { return v.bits; }
inline half __ushort_as_half(unsigned short bits) {
    half v;
    v.bits = bits;
    return v;
}
