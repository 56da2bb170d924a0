// The device functions of CUDA's manuals beyond those of csrc/emulator/cuda_runtime.h.
#pragma once
#include <ctime>
#include <limits>
#include <type_traits>

namespace emu {
int barrier_count(int predicate, Site);  // a barrier that counts the threads whose predicate is not 0
unsigned lanes_existing();                // of this thread's warp
unsigned lanes_together(Site);            // those of the warp that come to this line, once none can still come
long long ticks();
[[noreturn]] void trap(const char* what);
}  // namespace emu

// ------------------------------------------------------------------------------------------------------- atomics
// Sums of floats depend on the order in which threads come, here as on a GPU.

EMU_ATOMIC(atomicAdd, float, old + v)
EMU_ATOMIC(atomicAdd, double, old + v)
EMU_ATOMIC(atomicExch, float, (void(old), v))
EMU_ATOMIC(atomicSub, int, old - v)
EMU_ATOMIC(atomicSub, unsigned, old - v)
EMU_ATOMIC(atomicXor, int, old ^ v)
EMU_ATOMIC(atomicXor, unsigned, old ^ v)
EMU_ATOMIC(atomicXor, unsigned long long, old ^ v)
EMU_ATOMIC(atomicMin, long long, old < v ? old : v)
EMU_ATOMIC(atomicMax, long long, old > v ? old : v)
EMU_ATOMIC(atomicInc, unsigned, old >= v ? 0 : old + 1)
EMU_ATOMIC(atomicDec, unsigned, old == 0 || old > v ? v : old - 1)
EMU_INTRINSIC inline unsigned short atomicCAS(unsigned short* a, unsigned short compare, unsigned short v) {
    return emu::atomic(a, EMU_HERE, [=](unsigned short old) { return old == compare ? v : old; });
}
// Arguments that need a conversion find the overload of the pointer's type.
#define EMU_ATOMIC_CONVERTS(name)                                                                       \
    template <class T, class V, std::enable_if_t<std::is_arithmetic_v<V> && !std::is_same_v<T, V>, int> = 0> \
    __attribute__((always_inline)) inline T name(T* a, V v) {                                           \
        return name(a, static_cast<T>(v));                                                              \
    }                                                                                                   \
    template <class T, class V>                                                                         \
    __attribute__((always_inline)) inline T name##_block(T* a, V v) {                                   \
        return name(a, static_cast<T>(v));                                                              \
    }                                                                                                   \
    template <class T, class V>                                                                         \
    __attribute__((always_inline)) inline T name##_system(T* a, V v) {                                  \
        return name(a, static_cast<T>(v));                                                              \
    }
EMU_ATOMIC_CONVERTS(atomicAdd)
EMU_ATOMIC_CONVERTS(atomicSub)
EMU_ATOMIC_CONVERTS(atomicExch)
EMU_ATOMIC_CONVERTS(atomicMin)
EMU_ATOMIC_CONVERTS(atomicMax)
EMU_ATOMIC_CONVERTS(atomicAnd)
EMU_ATOMIC_CONVERTS(atomicOr)
EMU_ATOMIC_CONVERTS(atomicXor)
EMU_ATOMIC_CONVERTS(atomicInc)
EMU_ATOMIC_CONVERTS(atomicDec)
template <class T, class C, class V,
          std::enable_if_t<!std::is_same_v<T, C> || !std::is_same_v<T, V>, int> = 0>
__attribute__((always_inline)) inline T atomicCAS(T* a, C compare, V v) {
    return atomicCAS(a, static_cast<T>(compare), static_cast<T>(v));
}

// ------------------------------------------------------------------------------------ barriers, votes, who am I

EMU_INTRINSIC inline void __threadfence_system() { emu::fence(true); }
EMU_INTRINSIC inline int __syncthreads_count(int predicate, EMU_SITE) { return emu::barrier_count(predicate, here); }
EMU_INTRINSIC inline int __syncthreads_or(int predicate, EMU_SITE) { return emu::barrier_count(predicate, here) > 0; }
EMU_INTRINSIC inline int __syncthreads_and(int predicate, EMU_SITE) { return !emu::barrier_count(!predicate, here); }
EMU_INTRINSIC inline unsigned __activemask(EMU_SITE) { return emu::lanes_together(here); }
template <class T>
EMU_INTRINSIC unsigned __match_any_sync(unsigned mask, T v, EMU_SITE) {
    auto* p = emu::exchange_value(mask, v, here);
    unsigned same = 0;
    for (int i = 0; i < 32; ++i)
        if (mask >> i & 1 && emu::value<T>(p[i]) == v) same |= 1u << i;
    return same;
}
template <class T>
EMU_INTRINSIC unsigned __match_all_sync(unsigned mask, T v, int* all, EMU_SITE) {
    unsigned same = __match_any_sync(mask, v, here);
    *all = same == mask;
    return *all ? mask : 0;
}
inline void __nanosleep(unsigned) { emu::give_way(); }
inline long long clock64() { return emu::ticks(); }
inline unsigned __smid() { return 0; }
[[noreturn]] inline void __trap() { emu::trap("__trap was called"); }
inline void __brkpt() {}

// -------------------------------------------------------------------------------------------------- integer bits

inline int __mulhi(int a, int b) { return int(int64_t(a) * b >> 32); }
inline long long __mul64hi(long long a, long long b) { return (long long)((__int128)a * b >> 64); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
inline int __mul24(int a, int b) { return int(unsigned(a << 8 >> 8) * unsigned(b << 8 >> 8)); }
inline unsigned __umul24(unsigned a, unsigned b) { return (a & 0xffffff) * (b & 0xffffff); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __brev(unsigned x) {
    unsigned r = 0;
    for (int i = 0; i < 32; ++i) r |= (x >> i & 1) << (31 - i);
    return r;
}
inline unsigned long long __brevll(unsigned long long x) {
    return (unsigned long long)__brev(unsigned(x)) << 32 | __brev(unsigned(x >> 32));
}
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned select) {
    uint64_t all = uint64_t(b) << 32 | a;
    unsigned r = 0;
    for (int i = 0; i < 4; ++i) r |= unsigned(all >> 8 * (select >> 4 * i & 7) & 0xff) << 8 * i;
    return r;
}
inline int __sad(int a, int b, unsigned c) { return int(c + unsigned(a > b ? a - b : b - a)); }
inline unsigned __usad(unsigned a, unsigned b, unsigned c) { return c + (a > b ? a - b : b - a); }
inline int __hadd(int a, int b) { return int((int64_t(a) + b) >> 1); }
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned n) {
    return unsigned((uint64_t(high) << 32 | low) << (n & 31) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned n) {
    return unsigned((uint64_t(high) << 32 | low) >> (n & 31));
}
inline int __dp4a(int a, int b, int c) {
    for (int i = 0; i < 4; ++i) c += int8_t(unsigned(a) >> 8 * i) * int8_t(unsigned(b) >> 8 * i);
    return c;
}

// ------------------------------------------------------------------------------------------------------- numbers

inline long min(long a, int b) { return a < b ? a : b; }
inline long min(int a, long b) { return a < b ? a : b; }
inline long max(long a, int b) { return a > b ? a : b; }
inline long max(int a, long b) { return a > b ? a : b; }
inline unsigned long min(unsigned long a, unsigned b) { return a < b ? a : b; }
inline unsigned long min(unsigned a, unsigned long b) { return a < b ? a : b; }
inline unsigned long max(unsigned long a, unsigned b) { return a > b ? a : b; }
inline unsigned long max(unsigned a, unsigned long b) { return a > b ? a : b; }
inline unsigned max(unsigned a, int b) { return a > unsigned(b) ? a : unsigned(b); }
inline unsigned max(int a, unsigned b) { return unsigned(a) > b ? unsigned(a) : b; }
inline unsigned min(int a, unsigned b) { return unsigned(a) < b ? unsigned(a) : b; }
inline unsigned min(unsigned a, int b) { return a < unsigned(b) ? a : unsigned(b); }
inline float min(float a, int b) { return fminf(a, float(b)); }
inline float max(float a, int b) { return fmaxf(a, float(b)); }
inline float min(int a, float b) { return fminf(float(a), b); }
inline float max(int a, float b) { return fmaxf(float(a), b); }
inline double min(double a, float b) { return fmin(a, b); }
inline double min(float a, double b) { return fmin(a, b); }
inline double max(double a, float b) { return fmax(a, b); }
inline double max(float a, double b) { return fmax(a, b); }
inline unsigned umin(unsigned a, unsigned b) { return a < b ? a : b; }
inline unsigned umax(unsigned a, unsigned b) { return a > b ? a : b; }

#define EMU_FAST(name, function) \
    inline float name(float x) { return function(x); }
EMU_FAST(__sinf, std::sin)
EMU_FAST(__cosf, std::cos)
EMU_FAST(__tanf, std::tan)
EMU_FAST(__log2f, std::log2)
EMU_FAST(__log10f, std::log10)
EMU_FAST(__exp10f, [](float v) { return std::pow(10.0f, v); })
EMU_FAST(__saturatef, [](float v) { return v > 0 ? (v < 1 ? v : 1.0f) : 0.0f; })
EMU_FAST(__frcp_rn, [](float v) { return 1.0f / v; })
EMU_FAST(__fsqrt_rn, std::sqrt)
EMU_FAST(__frsqrt_rn, [](float v) { return 1.0f / std::sqrt(v); })
EMU_FAST(rcbrtf, [](float v) { return 1.0f / std::cbrt(v); })
EMU_FAST(sinpif, [](float v) { return float(std::sin(M_PI * v)); })
EMU_FAST(cospif, [](float v) { return float(std::cos(M_PI * v)); })
EMU_FAST(normcdff, [](float v) { return float(0.5 * std::erfc(-v * M_SQRT1_2)); })
inline double normcdf(double v) { return 0.5 * std::erfc(-v * M_SQRT1_2); }
inline double sinpi(double v) { return std::sin(M_PI * v); }
inline double cospi(double v) { return std::cos(M_PI * v); }
inline float __powf(float a, float b) { return std::pow(a, b); }
inline float fdividef(float a, float b) { return a / b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __fma_rn(double a, double b, double c) { return std::fma(a, b, c); }
inline void __sincosf(float x, float* s, float* c) { *s = std::sin(x), *c = std::cos(x); }
inline void sincospif(float x, float* s, float* c) { *s = sinpif(x), *c = cospif(x); }
inline float norm3df(float a, float b, float c) { return std::sqrt(a * a + b * b + c * c); }
inline float rhypotf(float a, float b) { return 1.0f / std::hypot(a, b); }

// Conversions between numbers go to the nearest where the type is too narrow, and a NaN becomes 0, as on a GPU.
template <class To, class From>
To emu_saturated(From x) {
    if (x != x) return 0;
    if (double(x) >= std::ldexp(1.0, int(sizeof(To) * 8 - std::is_signed_v<To>))) return std::numeric_limits<To>::max();
    if (double(x) < double(std::numeric_limits<To>::min())) return std::numeric_limits<To>::min();
    return To(x);
}
#define EMU_ROUNDED(from, From, to, To)                                                       \
    inline To __##from##2##to##_rn(From x) { return emu_saturated<To>(std::nearbyint(x)); }   \
    inline To __##from##2##to##_rz(From x) { return emu_saturated<To>(std::trunc(x)); }       \
    inline To __##from##2##to##_ru(From x) { return emu_saturated<To>(std::ceil(x)); }        \
    inline To __##from##2##to##_rd(From x) { return emu_saturated<To>(std::floor(x)); }
EMU_ROUNDED(float, float, int, int)
EMU_ROUNDED(float, float, uint, unsigned)
EMU_ROUNDED(float, float, ll, long long)
EMU_ROUNDED(float, float, ull, unsigned long long)
EMU_ROUNDED(double, double, int, int)
EMU_ROUNDED(double, double, uint, unsigned)
EMU_ROUNDED(double, double, ll, long long)
inline float __int2float_rn(int x) { return float(x); }
inline float __uint2float_rn(unsigned x) { return float(x); }
inline float __ll2float_rn(long long x) { return float(x); }
inline double __int2double_rn(int x) { return x; }
inline float __double2float_rn(double x) { return float(x); }
inline long long __double_as_longlong(double d) {
    long long i;
    std::memcpy(&i, &d, 8);
    return i;
}
inline double __longlong_as_double(long long i) {
    double d;
    std::memcpy(&d, &i, 8);
    return d;
}
inline int __double2hiint(double d) { return int(__double_as_longlong(d) >> 32); }
inline int __double2loint(double d) { return int(__double_as_longlong(d)); }
inline double __hiloint2double(int high, int low) {
    return __longlong_as_double((long long)(uint64_t(unsigned(high)) << 32 | unsigned(low)));
}
template <class T>
inline T __ldca(const T* p) {
    return *p;
}
template <class T>
inline T __ldlu(const T* p) {
    return *p;
}
template <class T>
inline void __stwb(T* p, T v) {
    *p = v;
}
inline size_t __cvta_generic_to_shared(const void* p) { return reinterpret_cast<size_t>(p); }
inline bool __isGlobal(const void*) { return true; }
