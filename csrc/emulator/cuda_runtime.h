// A stand-in for NVIDIA's <cuda_runtime.h>: compile a .cu file with an ordinary C++ compiler
//     g++ -x c++ -I csrc/emulator -c kernel.cu
// and its kernels run on the CPU, one fiber per CUDA thread, one block at a time.
// Only what tinymed's kernels use is here: an unknown name is a compile error, never a silent lie.
// Float atomics are missing on purpose: their sums depend on the order in which threads come.  csrc/emulate adds them,
// and the rest of CUDA, for other people's files.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#define TINYMED_EMULATED 1
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __constant__ static
// An array of the block: the linker gathers them (shared.ld), so the emulator finds them without knowing their names.
#define __shared__ static

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(8) int2 {
    int x, y;
};
struct alignas(16) int4 {
    int x, y, z, w;
};
struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(4) uchar4 {
    unsigned char x, y, z, w;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline int2 make_int2(int x, int y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

extern uint3 threadIdx, blockIdx;  // set each time a thread is resumed
extern dim3 blockDim, gridDim;
constexpr int warpSize = 32;

using cudaStream_t = void*;

namespace emu {
struct Payload {
    uint32_t word[8];
};  // what a lane hands to its warp
enum Access { READ, WRITE, ATOMIC, VOLATILE_READ, VOLATILE_WRITE };
struct Site {  // a line of a kernel; not an address, since the compiler may clone a call
    const char* file;
    int line;
    bool operator==(const Site& o) const { return line == o.line && file == o.file; }
};
// A parameter that tells the line of the caller; and the address of the caller, for the checker's messages.
#define EMU_SITE emu::Site here = {__builtin_FILE(), __builtin_LINE()}
#define EMU_HERE __builtin_return_address(0)
// Intrinsics are neither inlined nor instrumented: what they touch they report themselves.
#define EMU_INTRINSIC __attribute__((noinline, no_sanitize("thread")))

using Thread = void (*)(void*);
// loops: the body does not run one thread but, by next_thread(), all those that may begin where another has ended.
void run(const char* name, dim3 grid, dim3 block, size_t shared_bytes, Thread body, void* args, size_t args_bytes,
         bool loops = false);
// Threads of the block that have not begun, as long as none has had to wait.
struct Unbegun {
    unsigned left;
    bool backwards;
};
extern Unbegun unbegun;
bool next_after_wait();
// The thread that ran has ended; false never comes, as then this stack is left.
__attribute__((no_sanitize("thread"))) inline bool next_thread() {
    if (!unbegun.left) return next_after_wait();
    --unbegun.left;
    auto step = [](unsigned& i, unsigned n) {
        if (!unbegun.backwards) return ++i == n ? i = 0, true : false;
        return i-- == 0 ? i = n - 1, true : false;
    };
    if (step(threadIdx.x, blockDim.x) && step(threadIdx.y, blockDim.y)) step(threadIdx.z, blockDim.z);
    return true;
}
void barrier(Site);                                                                      // __syncthreads
const Payload* exchange(unsigned mask, const Payload& mine, Site, bool orders = false);  // a warp collective
int lane();
void* dynamic_shared();
void touch(const void* address, size_t bytes, Access kind, const void* where);  // tells the checker
void copy_async(void* shared, const void* global, size_t bytes, const void* where);
void copy_commit();
void copy_wait(int groups_left);

void poll(const void* address, const void* where);  // it found nothing new there: others run first
void give_way();
void fence(bool of_device);
void* shared_variable(const void* tag, const char* name, size_t bytes, size_t alignment, Site);

template <class T>
const Payload* exchange_value(unsigned mask, T v, Site here) {
    static_assert(sizeof(T) <= sizeof(Payload));
    Payload p{};
    std::memcpy(&p, &v, sizeof v);
    return exchange(mask, p, here);
}
template <class T>
T value(const Payload& p) {
    T v;
    std::memcpy(&v, &p, sizeof v);
    return v;
}
void check_sources(unsigned mask, int own, int (*source)(int lane, int parameter), int parameter, Site);
template <class T, class F>
EMU_INTRINSIC T atomic(T* a, const void* where, F update) {
    touch(a, sizeof(T), ATOMIC, where);
    T old = *a, made = update(old);
    *a = made;
    if (!std::memcmp(&old, &made, sizeof old)) poll(a, where);
    return old;
}
template <class T, class F>
T reduce(unsigned mask, T v, Site here, F combine) {
    auto* p = exchange_value(mask, v, here);
    T r{};
    bool first = true;
    for (int i = 0; i < 32; ++i)
        if (mask >> i & 1) r = first ? value<T>(p[i]) : combine(r, value<T>(p[i])), first = false;
    return r;
}
}  // namespace emu

// ------------------------------------------------------------------------------------- barriers and collectives

EMU_INTRINSIC inline void __syncthreads(EMU_SITE) { emu::barrier(here); }
EMU_INTRINSIC inline void __syncwarp(unsigned mask = ~0u, EMU_SITE) { emu::exchange(mask, {}, here, true); }

template <class T>
EMU_INTRINSIC T __shfl_sync(unsigned mask, T v, int source, int width = 32, EMU_SITE) {
    auto* p = emu::exchange_value(mask, v, here);
    return emu::value<T>(p[(emu::lane() & ~(width - 1)) | (source & (width - 1))]);
}
template <class T>
EMU_INTRINSIC T __shfl_down_sync(unsigned mask, T v, unsigned delta, int width = 32, EMU_SITE) {
    auto* p = emu::exchange_value(mask, v, here);
    int l = emu::lane();
    if ((l & (width - 1)) + int(delta) >= width) return v;
    emu::check_sources(mask, l + int(delta), [](int i, int d) { return i + d < 32 ? i + d : i; }, int(delta), here);
    return emu::value<T>(p[l + int(delta)]);
}
template <class T>
EMU_INTRINSIC T __shfl_up_sync(unsigned mask, T v, unsigned delta, int width = 32, EMU_SITE) {
    auto* p = emu::exchange_value(mask, v, here);
    int l = emu::lane();
    if ((l & (width - 1)) < int(delta)) return v;
    emu::check_sources(mask, l - int(delta), [](int i, int d) { return i >= d ? i - d : i; }, int(delta), here);
    return emu::value<T>(p[l - int(delta)]);
}
template <class T>
EMU_INTRINSIC T __shfl_xor_sync(unsigned mask, T v, int flip, int width = 32, EMU_SITE) {
    auto* p = emu::exchange_value(mask, v, here);
    int l = emu::lane(), source = l ^ flip;
    if (source / width != l / width) return v;
    emu::check_sources(mask, source, [](int i, int f) { return i ^ f; }, flip, here);
    return emu::value<T>(p[source]);
}
EMU_INTRINSIC inline unsigned __ballot_sync(unsigned mask, int predicate, EMU_SITE) {
    auto* p = emu::exchange_value(mask, unsigned(predicate != 0), here);
    unsigned r = 0;
    for (int i = 0; i < 32; ++i) r |= (mask >> i & 1) && p[i].word[0] ? 1u << i : 0;
    return r;
}
inline int __any_sync(unsigned mask, int p, EMU_SITE) { return __ballot_sync(mask, p, here) != 0; }
inline int __all_sync(unsigned mask, int p, EMU_SITE) { return __ballot_sync(mask, p, here) == mask; }
#define EMU_REDUCE(name, T, expression)                                              \
    EMU_INTRINSIC inline T name(unsigned mask, T v, EMU_SITE) {                      \
        return emu::reduce(mask, v, here, [](T a, T b) -> T { return expression; }); \
    }
EMU_REDUCE(__reduce_add_sync, unsigned, a + b)
EMU_REDUCE(__reduce_add_sync, int, a + b)
EMU_REDUCE(__reduce_min_sync, unsigned, a < b ? a : b)
EMU_REDUCE(__reduce_min_sync, int, a < b ? a : b)
EMU_REDUCE(__reduce_max_sync, unsigned, a > b ? a : b)
EMU_REDUCE(__reduce_max_sync, int, a > b ? a : b)
EMU_REDUCE(__reduce_and_sync, unsigned, a& b)
EMU_REDUCE(__reduce_or_sync, unsigned, a | b)
EMU_REDUCE(__reduce_xor_sync, unsigned, a ^ b)

#define EMU_ATOMIC(name, T, expression)                                          \
    EMU_INTRINSIC inline T name(T* a, T v) {                                     \
        return emu::atomic(a, EMU_HERE, [v](T old) -> T { return expression; }); \
    }
#define EMU_ATOMICS(T)                                                                         \
    EMU_ATOMIC(atomicAdd, T, old + v)                                                          \
    EMU_ATOMIC(atomicExch, T, (void(old), v))                                                  \
    EMU_ATOMIC(atomicMin, T, old < v ? old : v)                                                \
    EMU_ATOMIC(atomicMax, T, old > v ? old : v)                                                \
    EMU_ATOMIC(atomicAnd, T, old& v)                                                           \
    EMU_ATOMIC(atomicOr, T, old | v)                                                           \
    EMU_INTRINSIC inline T atomicCAS(T* a, T compare, T v) {                                   \
        return emu::atomic(a, EMU_HERE, [=](T old) -> T { return old == compare ? v : old; }); \
    }
EMU_ATOMICS(int)
EMU_ATOMICS(unsigned)
EMU_ATOMICS(unsigned long long)
EMU_INTRINSIC inline void __threadfence() { emu::fence(true); }
EMU_INTRINSIC inline void __threadfence_block() { emu::fence(false); }

// --------------------------------------------------------------------------------------------------- arithmetic

template <class T>
inline T __ldg(const T* p) {
    return *p;
}
template <class T>
inline T __ldcs(const T* p) {
    return *p;
}
template <class T>
inline T __ldcg(const T* p) {
    return *p;
}
template <class T>
inline void __stcs(T* p, T v) {
    *p = v;
}
template <class T>
inline void __stcg(T* p, T v) {
    *p = v;
}
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }
inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline unsigned __float_as_uint(float f) {
    unsigned u;
    std::memcpy(&u, &f, 4);
    return u;
}
inline float __uint_as_float(unsigned u) {
    float f;
    std::memcpy(&f, &u, 4);
    return f;
}
inline int __float_as_int(float f) {
    int i;
    std::memcpy(&i, &f, 4);
    return i;
}
inline float __int_as_float(int i) {
    float f;
    std::memcpy(&f, &i, 4);
    return f;
}
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned(uint64_t(a) * b >> 32); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __clz(int x) { return x ? __builtin_clz(unsigned(x)) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }
// CUDA's min and max of floats are fminf and fmaxf: a NaN loses against a number.
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }
#define EMU_MIN_MAX(T)                               \
    inline T min(T a, T b) { return a < b ? a : b; } \
    inline T max(T a, T b) { return a > b ? a : b; }
EMU_MIN_MAX(int)
EMU_MIN_MAX(unsigned)
EMU_MIN_MAX(long)
EMU_MIN_MAX(unsigned long)
EMU_MIN_MAX(long long)
EMU_MIN_MAX(unsigned long long)
