// CUDA for other people's files: what csrc/emulator/cuda_runtime.h leaves out of the language, and the host's API.
// tinymed/cuda/translate.py rewrites what no C++ compiler understands: launches, __shared__ variables, includes.
#pragma once
#include_next <cuda_runtime.h>

#include <cassert>
#include <climits>
#include <cstdio>
#include <cstdlib>

#undef __constant__
#define __constant__
#define __managed__
#define __grid_constant__
#define __noinline__ noinline
#define __restrict__ __restrict
#define __CUDACC__ 1
#define __NVCC__ 1
#ifndef __CUDA_ARCH__
#define __CUDA_ARCH__ 800
#endif
#define CUDART_VERSION 12040
#define __CUDACC_VER_MAJOR__ 12
#define __CUDACC_VER_MINOR__ 4
#define CUDART_CB
#define EMU_NOT_SUPPORTED(what) static_assert(false, "tinymed: not supported: " what)

#include "vectors.h"
//
#include "intrinsics.h"
//
#include "host.h"
//
#include "graph_api.h"
//
#include "kernel_call.h"

// Device code may allocate and copy; the checker then knows the array, and what was read and written.
extern "C" void* emu_malloc(size_t);
extern "C" void emu_free(void*);
extern "C" void* emu_memcpy(void* to, const void* from, size_t);
extern "C" void* emu_memset(void* to, int value, size_t);
namespace std {
using ::emu_free;
using ::emu_malloc;
using ::emu_memcpy;
using ::emu_memset;
}  // namespace std
#ifndef EMU_RUNTIME  // whose own calls are the C library's
#define malloc(bytes) emu_malloc(bytes)
#define free(p) emu_free(p)
#define memcpy(to, from, bytes) emu_memcpy(to, from, bytes)
#define memset(to, value, bytes) emu_memset(to, value, bytes)
#endif
