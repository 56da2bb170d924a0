// The PTX instructions that CUDA C++ has no name for, each beside its twin in the emulator.  No other file holds `asm`.
//
// They need compute capability 8.0.  On Turing (7.5) they trap: launchers choose other kernels there.
#pragma once
#include "launch.h"

#ifdef TINYMED_EMULATED
#define PTX EMU_INTRINSIC inline
#else
#define PTX __device__ __forceinline__
#define EMU_SITE int = 0
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#define ASM80(...) __trap()
#else
#define ASM80(...) asm volatile(__VA_ARGS__)
#endif
#endif

// Round to tf32: 8 bits of exponent, 10 of mantissa, ties away from zero; a NaN stays one.  (PTX ISA, cvt.rna.tf32.f32)
__device__ __forceinline__ float to_tf32(float x) {
#ifdef TINYMED_EMULATED
    return x != x ? __uint_as_float(0x7fffffffu) : __uint_as_float((__float_as_uint(x) + 0x1000u) & ~0x1fffu);
#else
    unsigned u = 0;
    ASM80("cvt.rna.tf32.f32 %0, %1;" : "=r"(u) : "f"(x));
    return __uint_as_float(u);
#endif
}

// D[16 x 8] += A[16 x 8] B[8 x 8] by one warp, operands in tf32, sums in float32.  (PTX ISA, mma.m16n8k8)
// With g = lane / 4 and q = lane % 4 a lane holds
//     a[0..3] = A[g][q], A[g + 8][q], A[g][q + 4], A[g + 8][q + 4]        b[0..1] = B[q][g], B[q + 4][g]
//     d[0..3] = D[g][2q], D[g][2q + 1], D[g + 8][2q], D[g + 8][2q + 1]
PTX void mma_m16n8k8_tf32(float (&d)[4], const float (&a)[4], const float (&b)[2], EMU_SITE) {
#ifdef TINYMED_EMULATED
    emu::Payload mine{};
    std::memcpy(mine.word, a, sizeof a), std::memcpy(mine.word + 4, b, sizeof b);
    const emu::Payload* all = emu::exchange(~0u, mine, here);
    auto tf32 = [](uint32_t u) { return __uint_as_float(u & ~0x1fffu); };  // the unit ignores the low 13 bits
    int g = emu::lane() / 4, q = emu::lane() % 4;
    for (int i = 0; i < 4; ++i) {
        const emu::Payload *row = all + 4 * g, *column = all + 4 * (2 * q + i % 2);
        for (int k = 0; k < 8; ++k)
            d[i] += tf32(row[k % 4].word[i / 2 + 2 * (k / 4)]) * tf32(column[k % 4].word[4 + k / 4]);
    }
#else
    ASM80("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
          : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
          : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])),
            "r"(__float_as_uint(a[3])), "r"(__float_as_uint(b[0])), "r"(__float_as_uint(b[1])));
#endif
}

// D[16 x 8] += A[16 x 16] B[16 x 8] by one warp, operands in bfloat16, two to a word, the first in the lower half; sums
// in float32.  (PTX ISA, mma.m16n8k16 with .bf16)  As words A is [16][8] and B [8][8], and those lie as they do above:
//     a[0..3] = A[g][2q, 2q + 1], A[g + 8][2q, 2q + 1], A[g][2q + 8, 2q + 9], A[g + 8][2q + 8, 2q + 9]
//     b[0..1] = B[2q, 2q + 1][g], B[2q + 8, 2q + 9][g]
// The order of a unit's sums is not documented; the twin adds one product after another, as `float32` of
// tinymed/cpu/simd/bf16_twins.py does.
PTX void mma_m16n8k16_bf16(float (&d)[4], const float (&a)[4], const float (&b)[2], EMU_SITE) {
#ifdef TINYMED_EMULATED
    emu::Payload mine{};
    std::memcpy(mine.word, a, sizeof a), std::memcpy(mine.word + 4, b, sizeof b);
    const emu::Payload* all = emu::exchange(~0u, mine, here);
    auto half = [](uint32_t u, int k) { return __uint_as_float(k % 2 ? u & 0xffff0000u : u << 16); };
    int g = emu::lane() / 4, q = emu::lane() % 4;
    for (int i = 0; i < 4; ++i) {
        const emu::Payload *row = all + 4 * g, *column = all + 4 * (2 * q + i % 2);
        for (int k = 0; k < 16; ++k)  // products are exact in float32: 8 digits by 8
            d[i] += half(row[k / 2 % 4].word[i / 2 + 2 * (k / 8)], k) * half(column[k / 2 % 4].word[4 + k / 8], k);
    }
#else
    ASM80("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
          : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
          : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])),
            "r"(__float_as_uint(a[3])), "r"(__float_as_uint(b[0])), "r"(__float_as_uint(b[1])));
#endif
}

// Four 8 x 4 matrices of 32-bit words from shared memory: lane l gives the address of row l % 8 of matrix l / 8 (16
// bytes, aligned) and gets word l % 4 of row l / 4 of each.  (PTX ISA, ldmatrix.m8n8.x4, its pairs of 16 bits taken as
// one word)
PTX void ldmatrix_x4(float (&r)[4], const void* row, EMU_SITE) {
#ifdef TINYMED_EMULATED
    emu::touch(row, 16, emu::READ, EMU_HERE);
    const emu::Payload* all = emu::exchange_value(~0u, row, here);
    int l = emu::lane();
    for (int i = 0; i < 4; ++i) r[i] = emu::value<const float*>(all[8 * i + l / 4])[l % 4];
#else
    unsigned s = unsigned(__cvta_generic_to_shared(row)), u[4] = {};
    ASM80("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(u[0]), "=r"(u[1]), "=r"(u[2]),
          "=r"(u[3]) : "r"(s) : "memory");
    for (int i = 0; i < 4; ++i) r[i] = __uint_as_float(u[i]);
#endif
}

// The same of 8 x 8 matrices of 16-bit numbers, transposed: lane l gets numbers 2 (l % 4) and 2 (l % 4) + 1, the first
// in the lower half, of column l / 4 of each.  (PTX ISA, ldmatrix.m8n8.x4.trans)
PTX void ldmatrix_x4_trans(float (&r)[4], const void* row, EMU_SITE) {
#ifdef TINYMED_EMULATED
    emu::touch(row, 16, emu::READ, EMU_HERE);
    const emu::Payload* all = emu::exchange_value(~0u, row, here);
    int column = emu::lane() / 4, first = emu::lane() % 4 * 2;
    for (int i = 0; i < 4; ++i) {
        auto number = [&](int k) { return unsigned(emu::value<const uint16_t*>(all[8 * i + first + k])[column]); };
        r[i] = __uint_as_float(number(0) | number(1) << 16);
    }
#else
    unsigned s = unsigned(__cvta_generic_to_shared(row)), u[4] = {};
    ASM80("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(u[0]), "=r"(u[1]), "=r"(u[2]),
          "=r"(u[3]) : "r"(s) : "memory");
    for (int i = 0; i < 4; ++i) r[i] = __uint_as_float(u[i]);
#endif
}

// Copy 16 bytes from global to shared memory without waiting; if not `valid`, write 16 zero bytes instead and read
// nothing.  Both addresses are multiples of 16.  (PTX ISA, cp.async.cg.shared.global with a source size)
PTX void cp_async16(void* shared, const void* global, bool valid = true) {
#ifdef TINYMED_EMULATED
    emu::copy_async(shared, valid ? global : nullptr, 16, EMU_HERE);
#else
    ASM80("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(unsigned(__cvta_generic_to_shared(shared))),
          "l"(global), "r"(valid ? 16 : 0) : "memory");
#endif
}

// The same for 4 bytes, at any multiple of 4.  (PTX ISA, cp.async.ca.shared.global)
PTX void cp_async4(void* shared, const void* global, bool valid = true) {
#ifdef TINYMED_EMULATED
    emu::copy_async(shared, valid ? global : nullptr, 4, EMU_HERE);
#else
    ASM80("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(unsigned(__cvta_generic_to_shared(shared))), "l"(global),
          "r"(valid ? 4 : 0) : "memory");
#endif
}

// The copies issued since the last commit become a group.  (PTX ISA, cp.async.commit_group)
PTX void cp_async_commit() {
#ifdef TINYMED_EMULATED
    emu::copy_commit();
#else
    ASM80("cp.async.commit_group;" :: : "memory");
#endif
}

// Wait until all but the newest `left` groups of this thread have landed.  (PTX ISA, cp.async.wait_group)
template <int left>
PTX void cp_async_wait() {
#ifdef TINYMED_EMULATED
    emu::copy_wait(left);
#else
    ASM80("cp.async.wait_group %0;" ::"n"(left) : "memory");
#endif
}
