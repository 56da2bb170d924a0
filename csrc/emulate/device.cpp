// The emulated GPU as a program sees it: its properties, and the errors of the calls that it made.
#include <cstdio>

#include "process.h"

namespace emu {
static cudaError_t last_error;
static int current_device;

cudaError_t failed(cudaError_t error, Site where, const std::string& what) {
    if (options.checking) finish_all();  // a fault of what was launched before comes first
    last_error = error;
    std::string said = what + (where.file ? ", at " + place(where) : "") + ": " + cudaGetErrorString(error);
    if (options.checking && error != cudaErrorMemoryAllocation && error != cudaErrorNotReady)
        end_with(FAULT, "call: " + said);
    note("a call failed: " + said);
    return error;
}

cudaError_t set_error(cudaError_t error) { return last_error = error; }

size_t shared_limit(bool opted_in) {
    if (!opted_in) return 48 * 1024;
    switch (architecture()) {
        case 70: return 96 * 1024;
        case 75: return 64 * 1024;
        case 80: case 87: return 163 * 1024;
        case 86: case 89: case 120: return 99 * 1024;
        case 90: case 100: return 227 * 1024;
        default: return 48 * 1024;
    }
}
}  // namespace emu

using namespace emu;

cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
cudaError_t cudaPeekAtLastError() { return last_error; }
const char* cudaGetErrorString(cudaError_t error) {
#define EMU_ENTRY(name, said) \
    case name: return said;
    switch (error) { EMU_ERRORS(EMU_ENTRY) }
#undef EMU_ENTRY
    return "unrecognized error code";
}
const char* cudaGetErrorName(cudaError_t error) {
#define EMU_ENTRY(name, said) \
    case name: return #name;
    switch (error) { EMU_ERRORS(EMU_ENTRY) }
#undef EMU_ENTRY
    return "unrecognized error code";
}

cudaError_t cudaGetDeviceCount(int* n) {
    *n = 1;
    return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
    *device = current_device;
    return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
    if (device) return failed(cudaErrorInvalidDevice, {}, "cudaSetDevice(" + std::to_string(device) + ")");
    return cudaSuccess;
}
cudaError_t cudaSetDeviceFlags(unsigned) { return cudaSuccess; }
cudaError_t cudaDeviceReset() {
    finish_all();
    return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int device) {
    if (device)
        return failed(cudaErrorInvalidDevice, {}, "cudaGetDeviceProperties of device " + std::to_string(device));
    *p = {};
    std::snprintf(p->name, sizeof p->name, "tinymed emulator (sm_%d)", architecture());
    size_t available;
    cudaMemGetInfo(&available, &p->totalGlobalMem);
    p->sharedMemPerBlock = shared_limit(false), p->sharedMemPerBlockOptin = shared_limit(true);
    p->sharedMemPerMultiprocessor = shared_limit(true) + 1024, p->reservedSharedMemPerBlock = 1024;
    p->regsPerBlock = p->regsPerMultiprocessor = 65536, p->warpSize = 32, p->memPitch = 0x7fffffff;
    p->maxThreadsPerBlock = 1024, p->clockRate = 1000000, p->totalConstMem = 64 * 1024;
    p->maxThreadsDim[0] = p->maxThreadsDim[1] = 1024, p->maxThreadsDim[2] = 64;
    p->maxGridSize[0] = 0x7fffffff, p->maxGridSize[1] = p->maxGridSize[2] = 65535;
    p->major = architecture() / 10, p->minor = architecture() % 10;
    p->textureAlignment = 512, p->deviceOverlap = 1, p->multiProcessorCount = 1, p->canMapHostMemory = 1;
    p->concurrentKernels = 1, p->asyncEngineCount = 2, p->unifiedAddressing = 1, p->memoryClockRate = 1000000;
    p->memoryBusWidth = 256, p->l2CacheSize = 4 << 20, p->maxThreadsPerMultiProcessor = 2048;
    p->maxBlocksPerMultiProcessor = 32, p->managedMemory = 1, p->concurrentManagedAccess = 0;
    p->globalL1CacheSupported = p->localL1CacheSupported = 1, p->streamPrioritiesSupported = 1;
    p->singleToDoublePrecisionPerfRatio = 2, p->cooperativeLaunch = 1;
    return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr which, int device) {
    cudaDeviceProp p;
    cudaError_t error = cudaGetDeviceProperties(&p, device);
    if (error) return error;
    switch (which) {
        case cudaDevAttrMaxThreadsPerBlock: *value = p.maxThreadsPerBlock; break;
        case cudaDevAttrMaxBlockDimX: *value = p.maxThreadsDim[0]; break;
        case cudaDevAttrMaxBlockDimY: *value = p.maxThreadsDim[1]; break;
        case cudaDevAttrMaxBlockDimZ: *value = p.maxThreadsDim[2]; break;
        case cudaDevAttrMaxGridDimX: *value = p.maxGridSize[0]; break;
        case cudaDevAttrMaxGridDimY: *value = p.maxGridSize[1]; break;
        case cudaDevAttrMaxGridDimZ: *value = p.maxGridSize[2]; break;
        case cudaDevAttrMaxSharedMemoryPerBlock: *value = int(p.sharedMemPerBlock); break;
        case cudaDevAttrWarpSize: *value = 32; break;
        case cudaDevAttrClockRate: *value = p.clockRate; break;
        case cudaDevAttrMultiProcessorCount: *value = p.multiProcessorCount; break;
        case cudaDevAttrUnifiedAddressing: *value = 1; break;
        case cudaDevAttrMaxThreadsPerMultiProcessor: *value = p.maxThreadsPerMultiProcessor; break;
        case cudaDevAttrComputeCapabilityMajor: *value = p.major; break;
        case cudaDevAttrComputeCapabilityMinor: *value = p.minor; break;
        case cudaDevAttrManagedMemory: *value = 1; break;
        case cudaDevAttrConcurrentManagedAccess: *value = 0; break;
        case cudaDevAttrCooperativeLaunch: *value = 1; break;
        case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = int(p.sharedMemPerBlockOptin); break;
        default: return failed(cudaErrorInvalidValue, {}, "cudaDeviceGetAttribute(" + std::to_string(which) + ")");
    }
    return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
    *version = CUDART_VERSION;
    return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) { return cudaDriverGetVersion(version); }
cudaError_t cudaChooseDevice(int* device, const cudaDeviceProp*) { return cudaGetDevice(device); }
cudaError_t cudaDeviceCanAccessPeer(int* can, int, int) {
    *can = 0;
    return cudaSuccess;
}
