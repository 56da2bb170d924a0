// CUDA's vector types beyond those of csrc/emulator/cuda_runtime.h, and their make_ functions.
#pragma once

using uint = unsigned int;
using ushort = unsigned short;
using ulong = unsigned long;

#define EMU_VECTOR2(T, name, alignment) \
    struct alignas(alignment) name##2 { \
        T x, y; \
    }; \
    inline name##2 make_##name##2(T x, T y) { return {x, y}; }
#define EMU_VECTOR4(T, name, alignment) \
    struct alignas(alignment) name##4 { \
        T x, y, z, w; \
    }; \
    inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }

#define EMU_ODD(T, name) \
    struct name##1 { \
        T x; \
    }; \
    struct name##3 { \
        T x, y, z; \
    }; \
    inline name##1 make_##name##1(T x) { return {x}; } \
    inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; }
EMU_ODD(float, float)
EMU_ODD(int, int)
struct uint1 {
    unsigned x;
};
inline uint1 make_uint1(unsigned x) { return {x}; }
inline uint3 make_uint3(unsigned x, unsigned y, unsigned z) { return {x, y, z}; }
EMU_ODD(double, double)
EMU_VECTOR2(double, double, 16)
EMU_VECTOR4(double, double, 16)
EMU_ODD(signed char, char)
EMU_VECTOR2(signed char, char, 2)
EMU_VECTOR4(signed char, char, 4)
EMU_ODD(unsigned char, uchar)
EMU_VECTOR2(unsigned char, uchar, 2)
inline uchar4 make_uchar4(unsigned char x, unsigned char y, unsigned char z, unsigned char w) { return {x, y, z, w}; }
EMU_ODD(short, short)
EMU_VECTOR2(short, short, 4)
EMU_VECTOR4(short, short, 8)
EMU_ODD(unsigned short, ushort)
EMU_VECTOR2(unsigned short, ushort, 4)
EMU_VECTOR4(unsigned short, ushort, 8)
EMU_ODD(long, long)
EMU_VECTOR2(long, long, 16)
EMU_VECTOR4(long, long, 16)
EMU_ODD(unsigned long, ulong)
EMU_VECTOR2(unsigned long, ulong, 16)
EMU_VECTOR4(unsigned long, ulong, 16)
EMU_ODD(long long, longlong)
EMU_VECTOR2(long long, longlong, 16)
EMU_VECTOR4(long long, longlong, 16)
EMU_ODD(unsigned long long, ulonglong)
EMU_VECTOR2(unsigned long long, ulonglong, 16)
EMU_VECTOR4(unsigned long long, ulonglong, 16)
#undef EMU_ODD
#undef EMU_VECTOR2
#undef EMU_VECTOR4
