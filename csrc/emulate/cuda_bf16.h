// bfloat16: the upper half of a float32, 8 bits of exponent and 7 of fraction.
#pragma once
#include "half_types.h"

EMU_HALF_TYPE(__nv_bfloat16, __nv_bfloat162, 8, 7)
using nv_bfloat16 = __nv_bfloat16;
using nv_bfloat162 = __nv_bfloat162;
inline nv_bfloat16 __float2bfloat16(float v) { return nv_bfloat16(v); }
inline nv_bfloat16 __float2bfloat16_rn(float v) { return nv_bfloat16(v); }
inline nv_bfloat16 __double2bfloat16(double v) { return nv_bfloat16(v); }
inline float __bfloat162float(nv_bfloat16 v) { return float(v); }
inline nv_bfloat162 __floats2bfloat162_rn(float a, float b) { return {nv_bfloat16(a), nv_bfloat16(b)}; }
inline nv_bfloat162 __float2bfloat162_rn(float v) { return {nv_bfloat16(v), nv_bfloat16(v)}; }
inline float2 __bfloat1622float2(nv_bfloat162 v) { return {float(v.x), float(v.y)}; }
inline nv_bfloat162 __halves2bfloat162(nv_bfloat16 a, nv_bfloat16 b) { return {a, b}; }
inline unsigned short __bfloat16_as_ushort(nv_bfloat16 v) { return v.bits; }
