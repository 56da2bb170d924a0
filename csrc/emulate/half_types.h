// 16-bit numbers: stored as bits, computed in float32 and rounded to the nearest even after each operation, as the
// intrinsics of cuda_fp16.h and cuda_bf16.h do.
#pragma once
#include <cstdint>
#include <cstring>

namespace emu {
// FRACTION bits of fraction below a sign and EXPONENT bits.
template <int EXPONENT, int FRACTION>
uint16_t narrow(float value) {
    uint32_t u;
    std::memcpy(&u, &value, 4);
    uint32_t sign = u >> 31 << 15, magnitude = u & 0x7fffffff;
    constexpr int bias = (1 << (EXPONENT - 1)) - 1, drop = 23 - FRACTION;
    constexpr uint32_t infinity = ((1u << EXPONENT) - 1) << FRACTION;
    if (magnitude > 0x7f800000) return uint16_t(0x7fff);
    int exponent = int(magnitude >> 23) - 127 + bias;
    if (exponent <= 0 && EXPONENT < 8) {  // becomes a denormal number, or nothing
        if (exponent < -FRACTION) return uint16_t(sign);
        uint32_t fraction = (magnitude & 0x7fffff) | 0x800000;
        int shift = drop + 1 - exponent;
        uint32_t kept = fraction >> shift, rest = fraction & ((1u << shift) - 1), half = 1u << (shift - 1);
        return uint16_t(sign | (kept + (rest > half || (rest == half && (kept & 1)))));
    }
    uint32_t shifted = magnitude - (uint32_t(127 - bias) << 23), kept = shifted >> drop;
    uint32_t rest = shifted & ((1u << drop) - 1), half = 1u << (drop - 1);
    kept += rest > half || (rest == half && (kept & 1));
    return uint16_t(sign | (kept >= infinity || exponent >= (1 << EXPONENT) - 1 ? infinity : kept));
}

template <int EXPONENT, int FRACTION>
float widen(uint16_t bits) {
    constexpr int bias = (1 << (EXPONENT - 1)) - 1;
    uint32_t sign = uint32_t(bits >> 15) << 31, magnitude = bits & 0x7fff, u;
    uint32_t exponent = magnitude >> FRACTION, fraction = magnitude & ((1u << FRACTION) - 1);
    if (exponent == (1u << EXPONENT) - 1) {
        u = sign | 0x7f800000 | fraction << (23 - FRACTION);
    } else if (exponent == 0 && EXPONENT < 8) {
        float value = float(fraction) / float(1u << FRACTION) / float(1u << (bias - 1));
        return sign ? -value : value;
    } else {
        u = sign | (exponent + (EXPONENT < 8 ? 127 - bias : 0)) << 23 | fraction << (23 - FRACTION);
    }
    float value;
    std::memcpy(&value, &u, 4);
    return value;
}
}  // namespace emu

#define EMU_HALF_TYPE(T, T2, EXPONENT, FRACTION)                                                     \
    struct alignas(2) T {                                                                            \
        uint16_t bits;                                                                               \
        T() = default;                                                                               \
        T(float v) : bits(emu::narrow<EXPONENT, FRACTION>(v)) {}                                     \
        T(double v) : T(float(v)) {}                                                                 \
        T(int v) : T(float(v)) {}                                                                    \
        T(unsigned v) : T(float(v)) {}                                                               \
        T(long v) : T(float(v)) {}                                                                   \
        T(long long v) : T(float(v)) {}                                                              \
        operator float() const { return emu::widen<EXPONENT, FRACTION>(bits); }                      \
        T& operator+=(T o) { return *this = T(float(*this) + float(o)); }                            \
        T& operator-=(T o) { return *this = T(float(*this) - float(o)); }                            \
        T& operator*=(T o) { return *this = T(float(*this) * float(o)); }                            \
        T& operator/=(T o) { return *this = T(float(*this) / float(o)); }                            \
    };                                                                                               \
    struct alignas(4) T2 {                                                                           \
        T x, y;                                                                                      \
    };                                                                                               \
    inline T operator+(T a, T b) { return T(float(a) + float(b)); }                                  \
    inline T operator-(T a, T b) { return T(float(a) - float(b)); }                                  \
    inline T operator*(T a, T b) { return T(float(a) * float(b)); }                                  \
    inline T operator/(T a, T b) { return T(float(a) / float(b)); }                                  \
    inline T operator-(T a) { return T(-float(a)); }                                                 \
    inline bool operator<(T a, T b) { return float(a) < float(b); }                                  \
    inline bool operator>(T a, T b) { return float(a) > float(b); }                                  \
    inline bool operator<=(T a, T b) { return float(a) <= float(b); }                                \
    inline bool operator>=(T a, T b) { return float(a) >= float(b); }                                \
    inline bool operator==(T a, T b) { return float(a) == float(b); }                                \
    inline bool operator!=(T a, T b) { return float(a) != float(b); }                                \
    inline T2 operator+(T2 a, T2 b) { return {a.x + b.x, a.y + b.y}; }                               \
    inline T2 operator-(T2 a, T2 b) { return {a.x - b.x, a.y - b.y}; }                               \
    inline T2 operator*(T2 a, T2 b) { return {a.x * b.x, a.y * b.y}; }                               \
    inline T __hadd(T a, T b) { return a + b; }                                                      \
    inline T __hsub(T a, T b) { return a - b; }                                                      \
    inline T __hmul(T a, T b) { return a * b; }                                                      \
    inline T __hdiv(T a, T b) { return a / b; }                                                      \
    inline T __hneg(T a) { return -a; }                                                              \
    inline T __habs(T a) { return T(std::fabs(float(a))); }                                          \
    inline T __hfma(T a, T b, T c) { return T(std::fma(float(a), float(b), float(c))); }             \
    inline bool __heq(T a, T b) { return a == b; }                                                   \
    inline bool __hne(T a, T b) { return float(a) < float(b) || float(a) > float(b); }               \
    inline bool __hlt(T a, T b) { return a < b; }                                                    \
    inline bool __hle(T a, T b) { return a <= b; }                                                   \
    inline bool __hgt(T a, T b) { return a > b; }                                                    \
    inline bool __hge(T a, T b) { return a >= b; }                                                   \
    inline bool __hisnan(T a) { return float(a) != float(a); }                                       \
    inline T __hmax(T a, T b) { return T(fmaxf(a, b)); }                                             \
    inline T __hmin(T a, T b) { return T(fminf(a, b)); }                                             \
    inline T hexp(T a) { return T(std::exp(float(a))); }                                             \
    inline T hlog(T a) { return T(std::log(float(a))); }                                             \
    inline T hsqrt(T a) { return T(std::sqrt(float(a))); }                                           \
    inline T hrsqrt(T a) { return T(1.0f / std::sqrt(float(a))); }                                   \
    inline T hrcp(T a) { return T(1.0f / float(a)); }                                                \
    inline T hsin(T a) { return T(std::sin(float(a))); }                                             \
    inline T hcos(T a) { return T(std::cos(float(a))); }                                             \
    inline T htanh(T a) { return T(std::tanh(float(a))); }                                           \
    inline T2 __hadd2(T2 a, T2 b) { return a + b; }                                                  \
    inline T2 __hsub2(T2 a, T2 b) { return a - b; }                                                  \
    inline T2 __hmul2(T2 a, T2 b) { return a * b; }                                                  \
    inline T2 __hfma2(T2 a, T2 b, T2 c) { return {__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y)}; }   \
    inline T __low2half(T2 a) { return a.x; }                                                        \
    inline T __high2half(T2 a) { return a.y; }                                                       \
    inline float __low2float(T2 a) { return a.x; }                                                   \
    inline float __high2float(T2 a) { return a.y; }                                                  \
    EMU_INTRINSIC inline T atomicAdd(T* a, T v) {                                                    \
        return emu::atomic(a, EMU_HERE, [v](T old) { return old + v; });                             \
    }
