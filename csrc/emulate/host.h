// The host's API of CUDA's runtime, as far as it is known here: memory, copies, streams, events, errors, properties.
// A function that is missing is an error of the compiler, which names it; none pretends to have done anything.
#pragma once
#include <cstddef>

enum cudaError {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInitializationError = 3,
    cudaErrorCudartUnloading = 4,
    cudaErrorInvalidConfiguration = 9,
    cudaErrorInvalidPitchValue = 12,
    cudaErrorInvalidSymbol = 13,
    cudaErrorInvalidDevicePointer = 17,
    cudaErrorInvalidMemcpyDirection = 21,
    cudaErrorInsufficientDriver = 35,
    cudaErrorInvalidDeviceFunction = 98,
    cudaErrorNoDevice = 100,
    cudaErrorInvalidDevice = 101,
    cudaErrorInvalidResourceHandle = 400,
    cudaErrorIllegalState = 401,
    cudaErrorNotReady = 600,
    cudaErrorIllegalAddress = 700,
    cudaErrorLaunchOutOfResources = 701,
    cudaErrorLaunchTimeout = 702,
    cudaErrorPeerAccessAlreadyEnabled = 704,
    cudaErrorAssert = 710,
    cudaErrorLaunchFailure = 719,
    cudaErrorCooperativeLaunchTooLarge = 720,
    cudaErrorNotSupported = 801,
    cudaErrorStreamCaptureUnsupported = 900,
    cudaErrorStreamCaptureInvalidated = 901,
    cudaErrorStreamCaptureMerge = 902,
    cudaErrorStreamCaptureUnmatched = 903,
    cudaErrorStreamCaptureUnjoined = 904,
    cudaErrorStreamCaptureIsolation = 905,
    cudaErrorStreamCaptureImplicit = 906,
    cudaErrorCapturedEvent = 907,
    cudaErrorUnknown = 999,
};
using cudaError_t = cudaError;
#define EMU_ERRORS(entry) \
    entry(cudaSuccess, "no error") \
    entry(cudaErrorInvalidValue, "invalid argument") \
    entry(cudaErrorMemoryAllocation, "out of memory") \
    entry(cudaErrorInitializationError, "initialization error") \
    entry(cudaErrorCudartUnloading, "driver shutting down") \
    entry(cudaErrorInvalidConfiguration, "invalid configuration argument") \
    entry(cudaErrorInvalidPitchValue, "invalid pitch argument") \
    entry(cudaErrorInvalidSymbol, "invalid device symbol") \
    entry(cudaErrorInvalidDevicePointer, "invalid device pointer") \
    entry(cudaErrorInvalidMemcpyDirection, "invalid copy direction for memcpy") \
    entry(cudaErrorInsufficientDriver, "CUDA driver version is insufficient for CUDA runtime version") \
    entry(cudaErrorInvalidDeviceFunction, "invalid device function") \
    entry(cudaErrorNoDevice, "no CUDA-capable device is detected") \
    entry(cudaErrorInvalidDevice, "invalid device ordinal") \
    entry(cudaErrorInvalidResourceHandle, "invalid resource handle") \
    entry(cudaErrorNotReady, "device not ready") \
    entry(cudaErrorIllegalAddress, "an illegal memory access was encountered") \
    entry(cudaErrorLaunchOutOfResources, "too many resources requested for launch") \
    entry(cudaErrorLaunchTimeout, "the launch timed out and was terminated") \
    entry(cudaErrorPeerAccessAlreadyEnabled, "peer access is already enabled") \
    entry(cudaErrorAssert, "device-side assert triggered") \
    entry(cudaErrorLaunchFailure, "unspecified launch failure") \
    entry(cudaErrorCooperativeLaunchTooLarge, "too many blocks in cooperative launch") \
    entry(cudaErrorNotSupported, "operation not supported") \
    entry(cudaErrorIllegalState, "the operation cannot be performed in the present state") \
    entry(cudaErrorStreamCaptureUnsupported, "operation not permitted when stream is capturing") \
    entry(cudaErrorStreamCaptureInvalidated, "operation failed due to a previous error during capture") \
    entry(cudaErrorStreamCaptureMerge, "operation would result in a merge of separate capture sequences") \
    entry(cudaErrorStreamCaptureUnmatched, "capture was not ended in the same stream as it began") \
    entry(cudaErrorStreamCaptureUnjoined, "capturing stream has unjoined work") \
    entry(cudaErrorStreamCaptureIsolation, "dependency created on uncaptured work in another stream") \
    entry(cudaErrorStreamCaptureImplicit, \
          "operation would make the legacy stream depend on a capturing blocking stream") \
    entry(cudaErrorCapturedEvent, "operation not permitted on an event last recorded in a capturing stream") \
    entry(cudaErrorUnknown, "unknown error")

enum cudaMemcpyKind {
    cudaMemcpyHostToHost,
    cudaMemcpyHostToDevice,
    cudaMemcpyDeviceToHost,
    cudaMemcpyDeviceToDevice,
    cudaMemcpyDefault
};
enum cudaFuncAttribute {
    cudaFuncAttributeMaxDynamicSharedMemorySize = 8,
    cudaFuncAttributePreferredSharedMemoryCarveout = 9
};
enum cudaFuncCache {
    cudaFuncCachePreferNone,
    cudaFuncCachePreferShared,
    cudaFuncCachePreferL1,
    cudaFuncCachePreferEqual
};
enum cudaSharedMemConfig {
    cudaSharedMemBankSizeDefault,
    cudaSharedMemBankSizeFourByte,
    cudaSharedMemBankSizeEightByte
};
enum cudaMemoryAdvise {
    cudaMemAdviseSetReadMostly = 1,
    cudaMemAdviseUnsetReadMostly,
    cudaMemAdviseSetPreferredLocation,
    cudaMemAdviseUnsetPreferredLocation,
    cudaMemAdviseSetAccessedBy,
    cudaMemAdviseUnsetAccessedBy
};
enum cudaLimit { cudaLimitStackSize, cudaLimitPrintfFifoSize, cudaLimitMallocHeapSize };
enum cudaDeviceAttr {
    cudaDevAttrMaxThreadsPerBlock = 1,
    cudaDevAttrMaxBlockDimX = 2,
    cudaDevAttrMaxBlockDimY = 3,
    cudaDevAttrMaxBlockDimZ = 4,
    cudaDevAttrMaxGridDimX = 5,
    cudaDevAttrMaxGridDimY = 6,
    cudaDevAttrMaxGridDimZ = 7,
    cudaDevAttrMaxSharedMemoryPerBlock = 8,
    cudaDevAttrWarpSize = 10,
    cudaDevAttrClockRate = 13,
    cudaDevAttrMultiProcessorCount = 16,
    cudaDevAttrUnifiedAddressing = 41,
    cudaDevAttrMaxThreadsPerMultiProcessor = 39,
    cudaDevAttrComputeCapabilityMajor = 75,
    cudaDevAttrComputeCapabilityMinor = 76,
    cudaDevAttrManagedMemory = 83,
    cudaDevAttrConcurrentManagedAccess = 89,
    cudaDevAttrCooperativeLaunch = 95,
    cudaDevAttrMaxSharedMemoryPerBlockOptin = 97
};
constexpr int cudaCpuDeviceId = -1;
constexpr unsigned cudaMemAttachGlobal = 1, cudaMemAttachHost = 2;
constexpr unsigned cudaHostAllocDefault = 0, cudaHostAllocPortable = 1, cudaHostAllocMapped = 2;
constexpr unsigned cudaHostAllocWriteCombined = 4;
constexpr unsigned cudaHostRegisterDefault = 0, cudaHostRegisterPortable = 1, cudaHostRegisterMapped = 2;
constexpr unsigned cudaStreamDefault = 0, cudaStreamNonBlocking = 1;
constexpr unsigned cudaEventDefault = 0, cudaEventBlockingSync = 1, cudaEventDisableTiming = 2;
constexpr unsigned cudaDeviceScheduleAuto = 0, cudaDeviceScheduleSpin = 1, cudaDeviceScheduleYield = 2;
constexpr unsigned cudaDeviceScheduleBlockingSync = 4, cudaDeviceMapHost = 8;
#define cudaStreamLegacy (cudaStream_t(1))
#define cudaStreamPerThread (cudaStream_t(2))

struct cudaUUID_t {
    char bytes[16];
};
struct cudaDeviceProp {
    char name[256];
    cudaUUID_t uuid;
    size_t totalGlobalMem, sharedMemPerBlock;
    int regsPerBlock, warpSize;
    size_t memPitch;
    int maxThreadsPerBlock, maxThreadsDim[3], maxGridSize[3], clockRate;
    size_t totalConstMem;
    int major, minor;
    size_t textureAlignment;
    int deviceOverlap, multiProcessorCount, kernelExecTimeoutEnabled, integrated, canMapHostMemory, computeMode;
    int concurrentKernels, ECCEnabled, pciBusID, pciDeviceID, pciDomainID, tccDriver, asyncEngineCount;
    int unifiedAddressing, memoryClockRate, memoryBusWidth, l2CacheSize, persistingL2CacheMaxSize;
    int maxThreadsPerMultiProcessor, streamPrioritiesSupported, globalL1CacheSupported, localL1CacheSupported;
    size_t sharedMemPerMultiprocessor;
    int regsPerMultiprocessor, managedMemory, isMultiGpuBoard, multiGpuBoardGroupID, hostNativeAtomicSupported;
    int singleToDoublePrecisionPerfRatio, pageableMemoryAccess, concurrentManagedAccess, computePreemptionSupported;
    int canUseHostPointerForRegisteredMem, cooperativeLaunch, cooperativeMultiDeviceLaunch;
    size_t sharedMemPerBlockOptin;
    int pageableMemoryAccessUsesHostPageTables, maxBlocksPerMultiProcessor;
    size_t reservedSharedMemPerBlock;
    int maxTexture1D, maxTexture2D[2], maxTexture3D[3], maxTexture1DLayered[2], maxTexture2DLayered[3];
    size_t surfaceAlignment;
};
struct cudaFuncAttributes {
    size_t sharedSizeBytes, constSizeBytes, localSizeBytes;
    int maxThreadsPerBlock, numRegs, ptxVersion, binaryVersion, maxDynamicSharedSizeBytes;
};
using cudaEvent_t = struct CUevent_st*;
using cudaStreamCallback_t = void (*)(cudaStream_t, cudaError_t, void*);
using cudaHostFn_t = void (*)(void*);

namespace emu {
enum Space { DEVICE, PINNED, MANAGED };
cudaError_t allocate(const char* call, Site, void** p, size_t bytes, Space = DEVICE);
cudaError_t allocate_async(const char* call, Site, void** p, size_t bytes, cudaStream_t);
cudaError_t allocate_pitch(const char* call, Site, void** p, size_t* pitch, size_t width, size_t height);
cudaError_t release(Site, void* p, Space = DEVICE);
cudaError_t copy(Site, void* to, const void* from, size_t bytes, cudaMemcpyKind, bool async = false, cudaStream_t = {});
cudaError_t copy_2d(Site, void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width, size_t height,
                    cudaMemcpyKind, bool async = false, cudaStream_t = {});
cudaError_t fill(Site, void* to, int value, size_t bytes, bool async = false, cudaStream_t = {});
cudaError_t fill_2d(Site, void* to, size_t pitch, int value, size_t width, size_t height);
cudaError_t copy_symbol(Site, void* symbol, size_t size, size_t offset, void* host, size_t bytes, bool to_symbol,
                        bool async = false, cudaStream_t = {});
cudaError_t set_error(cudaError_t);
void allow_shared(const void* kernel, size_t bytes);
}  // namespace emu

// The name of an array in messages is what its allocation calls it.  A pointer to it may be written in two ways.
#define EMU_HERE_SITE (emu::Site{__FILE__, __LINE__})
#define cudaMalloc(...) emu::allocate(#__VA_ARGS__, EMU_HERE_SITE, EMU_POINTER(__VA_ARGS__))
#define EMU_POINTER(p, bytes) (void**)(p), bytes
#define cudaMallocManaged(...) emu_managed(#__VA_ARGS__, EMU_HERE_SITE, __VA_ARGS__)
#define cudaMallocPitch(p, ...) emu::allocate_pitch(#p, EMU_HERE_SITE, (void**)(p), __VA_ARGS__)
#define cudaMallocHost(...) emu_pinned(#__VA_ARGS__, EMU_HERE_SITE, __VA_ARGS__)
#define cudaHostAlloc(...) emu_pinned(#__VA_ARGS__, EMU_HERE_SITE, __VA_ARGS__)
#define cudaMallocAsync(p, bytes, stream) emu::allocate_async(#p, EMU_HERE_SITE, (void**)(p), bytes, stream)
template <class T>
cudaError_t emu_managed(const char* call, emu::Site here, T** p, size_t bytes, unsigned = cudaMemAttachGlobal) {
    return emu::allocate(call, here, (void**)p, bytes, emu::MANAGED);
}
template <class T>
cudaError_t emu_pinned(const char* call, emu::Site here, T** p, size_t bytes, unsigned = 0) {
    return emu::allocate(call, here, (void**)p, bytes, emu::PINNED);
}
inline cudaError_t cudaFree(void* p, EMU_SITE) { return emu::release(here, p); }
cudaError_t cudaFreeAsync(void* p, cudaStream_t, EMU_SITE);
inline cudaError_t cudaFreeHost(void* p, EMU_SITE) { return emu::release(here, p, emu::PINNED); }
cudaError_t cudaHostRegister(void* p, size_t bytes, unsigned flags);
cudaError_t cudaHostUnregister(void* p);
cudaError_t emu_mapped(void** device, void* host);
template <class T>
cudaError_t cudaHostGetDevicePointer(T** device, void* host, unsigned = 0) {
    return emu_mapped((void**)device, host);
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total);

inline cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, EMU_SITE) {
    return emu::copy(here, to, from, bytes, kind);
}
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind = cudaMemcpyDefault,
                                   cudaStream_t stream = {}, EMU_SITE) {
    return emu::copy(here, to, from, bytes, kind, true, stream);
}
inline cudaError_t cudaMemcpy2D(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                                size_t height, cudaMemcpyKind kind, EMU_SITE) {
    return emu::copy_2d(here, to, to_pitch, from, from_pitch, width, height, kind);
}
inline cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                                     size_t height, cudaMemcpyKind kind, cudaStream_t stream = {}, EMU_SITE) {
    return emu::copy_2d(here, to, to_pitch, from, from_pitch, width, height, kind, true, stream);
}
inline cudaError_t cudaMemset(void* to, int value, size_t bytes, EMU_SITE) { return emu::fill(here, to, value, bytes); }
inline cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream = {}, EMU_SITE) {
    return emu::fill(here, to, value, bytes, true, stream);
}
inline cudaError_t cudaMemset2D(void* to, size_t pitch, int value, size_t width, size_t height, EMU_SITE) {
    return emu::fill_2d(here, to, pitch, value, width, height);
}
template <class T>
cudaError_t cudaMemcpyToSymbol(const T& symbol, const void* from, size_t bytes, size_t offset = 0,
                               cudaMemcpyKind = cudaMemcpyHostToDevice, EMU_SITE) {
    return emu::copy_symbol(here, (void*)&symbol, sizeof symbol, offset, (void*)from, bytes, true);
}
template <class T>
cudaError_t cudaMemcpyToSymbolAsync(const T& symbol, const void* from, size_t bytes, size_t offset, cudaMemcpyKind,
                                    cudaStream_t stream = {}, EMU_SITE) {
    return emu::copy_symbol(here, (void*)&symbol, sizeof symbol, offset, (void*)from, bytes, true, true, stream);
}
template <class T>
cudaError_t cudaMemcpyFromSymbol(void* to, const T& symbol, size_t bytes, size_t offset = 0,
                                 cudaMemcpyKind = cudaMemcpyDeviceToHost, EMU_SITE) {
    return emu::copy_symbol(here, (void*)&symbol, sizeof symbol, offset, to, bytes, false);
}
template <class P, class T>
cudaError_t cudaGetSymbolAddress(P** p, const T& symbol) {
    *p = (P*)(void*)&symbol;
    return cudaSuccess;
}
template <class T>
cudaError_t cudaGetSymbolSize(size_t* bytes, const T& symbol) {
    *bytes = sizeof symbol;
    return cudaSuccess;
}
inline cudaError_t cudaMemPrefetchAsync(const void*, size_t, int, cudaStream_t = {}) { return cudaSuccess; }
inline cudaError_t cudaMemAdvise(const void*, size_t, cudaMemoryAdvise, int) { return cudaSuccess; }

cudaError_t cudaDeviceSynchronize(EMU_SITE);
inline cudaError_t cudaThreadSynchronize(EMU_SITE) { return cudaDeviceSynchronize(here); }
cudaError_t cudaStreamCreate(cudaStream_t*);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t*, unsigned flags);
cudaError_t cudaStreamCreateWithPriority(cudaStream_t*, unsigned flags, int priority);
cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest);
cudaError_t cudaStreamDestroy(cudaStream_t);
cudaError_t cudaStreamSynchronize(cudaStream_t, EMU_SITE);
cudaError_t cudaStreamQuery(cudaStream_t);
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned flags = 0);
cudaError_t cudaStreamAddCallback(cudaStream_t, cudaStreamCallback_t, void* data, unsigned flags);
cudaError_t cudaLaunchHostFunc(cudaStream_t, cudaHostFn_t, void* data);
cudaError_t cudaEventCreate(cudaEvent_t*);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t*, unsigned flags);
inline cudaError_t cudaEventCreate(cudaEvent_t* e, unsigned flags) { return cudaEventCreateWithFlags(e, flags); }
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t = {});
cudaError_t cudaEventSynchronize(cudaEvent_t);
cudaError_t cudaEventQuery(cudaEvent_t);
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t start, cudaEvent_t end);
cudaError_t cudaEventDestroy(cudaEvent_t);

cudaError_t cudaGetLastError();
cudaError_t cudaPeekAtLastError();
const char* cudaGetErrorString(cudaError_t);
const char* cudaGetErrorName(cudaError_t);

cudaError_t cudaGetDeviceCount(int*);
cudaError_t cudaGetDevice(int*);
cudaError_t cudaSetDevice(int);
cudaError_t cudaSetDeviceFlags(unsigned);
cudaError_t cudaDeviceReset();
cudaError_t cudaGetDeviceProperties(cudaDeviceProp*, int device);
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int device);
cudaError_t cudaDriverGetVersion(int*);
cudaError_t cudaRuntimeGetVersion(int*);
cudaError_t cudaChooseDevice(int* device, const cudaDeviceProp*);
cudaError_t cudaDeviceCanAccessPeer(int* can, int, int);
inline cudaError_t cudaDeviceSetLimit(cudaLimit, size_t) { return cudaSuccess; }
inline cudaError_t cudaDeviceSetCacheConfig(cudaFuncCache) { return cudaSuccess; }
inline cudaError_t cudaDeviceSetSharedMemConfig(cudaSharedMemConfig) { return cudaSuccess; }
// Banks of 4 bytes, whatever was asked for: so it is on every GPU since Maxwell.
inline cudaError_t cudaDeviceGetSharedMemConfig(cudaSharedMemConfig* config) {
    *config = cudaSharedMemBankSizeFourByte;
    return cudaSuccess;
}
inline cudaError_t cudaProfilerStart() { return cudaSuccess; }
inline cudaError_t cudaProfilerStop() { return cudaSuccess; }
inline cudaError_t cudaStreamAttachMemAsync(cudaStream_t, void*, size_t = 0, unsigned = 0) { return cudaSuccess; }
template <class F>
cudaError_t cudaOccupancyMaxPotentialBlockSize(int* grid, int* block, F*, size_t = 0, int most = 0) {
    *grid = 2, *block = most ? most : 1024;  // of a multiprocessor with 2048 threads, whatever the kernel's registers
    return cudaSuccess;
}
template <class F>
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, F*, int block, size_t) {
    *blocks = 2048 / block > 32 ? 32 : 2048 / block;
    return cudaSuccess;
}
template <class F>
cudaError_t cudaFuncSetCacheConfig(F*, cudaFuncCache) {
    return cudaSuccess;
}
template <class F>
cudaError_t cudaFuncSetAttribute(F* kernel, cudaFuncAttribute which, int value) {
    if (which == cudaFuncAttributeMaxDynamicSharedMemorySize) emu::allow_shared((const void*)kernel, size_t(value));
    return cudaSuccess;
}
