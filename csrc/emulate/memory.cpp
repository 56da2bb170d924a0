// The memory of the emulated GPU: what cudaMalloc gives, who may touch it, and copies.
#include <sys/mman.h>

#include <algorithm>
#include <map>

#include "process.h"

namespace emu {
struct Allocation {
    std::string name;
    size_t bytes, room;
    Space space;
    Site where;
};
constexpr size_t ALIGNMENT = 512, GAP = 1024;            // bytes; a gap, so that a step too far meets no other array
constexpr size_t TOTAL = size_t(8) << 30;                // what the emulated GPU says it has
static char *arena, *arena_top, *arena_end;  // of memory that only a GPU may touch
static int open_count;
static size_t used;
static auto& allocations = *new std::map<uintptr_t, Allocation>;  // by address; never destroyed: leaks are told last
static std::multimap<size_t, char*> unused;                    // freed, by room
static std::map<uintptr_t, std::pair<size_t, bool>> host_ranges;  // pinned: bytes, whether we allocated them

OpenMemory::OpenMemory() {
    if (open_count++ || !arena) return;
    mprotect(arena, size_t(arena_top - arena), PROT_READ | PROT_WRITE);
}
OpenMemory::~OpenMemory() {
    if (--open_count || !arena) return;
    mprotect(arena, size_t(arena_top - arena), PROT_NONE);
}

static size_t rounded(size_t n, size_t step) { return (n + step - 1) / step * step; }

static char* take(size_t room) {
    auto found = unused.lower_bound(room);
    if (found != unused.end() && found->first == room) {
        char* p = found->second;
        unused.erase(found);
        return p;
    }
    if (!arena) {
        size_t span = size_t(1) << 36;
        void* p = MAP_FAILED;
        for (; p == MAP_FAILED && span > TOTAL; span /= 2)
            p = mmap(nullptr, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED) return nullptr;
        arena = arena_top = static_cast<char*>(p), arena_end = arena + span;
    }
    if (room > size_t(arena_end - arena_top)) return nullptr;
    char* p = arena_top;
    arena_top += room;
    return p;
}

static Allocation* containing(const void* address) {
    auto a = uintptr_t(address);
    auto next = allocations.upper_bound(a);
    if (next == allocations.begin()) return nullptr;
    auto& [start, one] = *--next;
    return a < start + one.bytes ? &one : nullptr;
}

bool is_device(const void* p) { return arena && p >= arena && p < arena_top; }
bool is_pinned(const void* p, size_t bytes) {
    auto a = uintptr_t(p);
    auto next = host_ranges.upper_bound(a);
    return next != host_ranges.begin() && (--next, a + bytes <= next->first + next->second.first);
}

// "(void**)&d_a, n * sizeof(float)" is d_a.
static std::string named(const std::string& call) {
    std::string text;
    int depth = 0;
    for (char c : call) {
        depth += (c == '(') - (c == ')');
        if (c == ',' && !depth) break;
        text += c;
    }
    while (!text.empty()) {
        if (text[0] == '(' && text.back() != ')') {
            size_t close = 0;
            for (int level = 0; close < text.size(); ++close) {
                level += (text[close] == '(') - (text[close] == ')');
                if (!level) break;
            }
            text = text.substr(close + 1);
        } else if (text[0] == '(') {
            size_t star = text.find("**)");
            text = star != std::string::npos ? text.substr(star + 3) : text.substr(1, text.size() - 2);
        } else if (text[0] == '&' || text[0] == ' ') {
            text = text.substr(1);
        } else {
            break;
        }
    }
    return text.empty() ? "an array" : text;
}

cudaError_t allocate(const char* call, Site here, void** p, size_t bytes, Space space) {
    if (on_kernel()) refuse(here, "cudaMalloc in device code");
    if (!p) return failed(cudaErrorInvalidValue, here, "an allocation without a pointer");
    if (cudaError_t error = capture_forbids(here, "an allocation", false)) return error;
    std::string name = named(call);
    if (!bytes) {
        *p = nullptr;
        return cudaSuccess;
    }
    if (bytes > TOTAL - used || bytes > TOTAL)
        return failed(cudaErrorMemoryAllocation, here, std::to_string(bytes) + " bytes for " + name);
    size_t room = rounded(bytes, ALIGNMENT) + GAP;
    char* start = nullptr;
    if (space == DEVICE) {
        start = take(room);
    } else {
        start = static_cast<char*>(aligned_alloc(4096, rounded(room, 4096)));
        if (start && space == PINNED) host_ranges[uintptr_t(start)] = {bytes, true};
    }
    if (!start) return failed(cudaErrorMemoryAllocation, here, std::to_string(bytes) + " bytes for " + name);
    if (space == DEVICE) {
        OpenMemory open;
        mprotect(arena, size_t(arena_top - arena), PROT_READ | PROT_WRITE);
        std::memset(start, 0xff, bytes);  // a NaN: what is not written shows
        if (open_count == 1) mprotect(arena, size_t(arena_top - arena), PROT_NONE);
    } else {
        std::memset(start, 0, bytes);
    }
    used += bytes;
    allocations[uintptr_t(start)] = {name, bytes, room, space, here};
    add_array(name, start, bytes, 4, true, space != DEVICE, false);
    *p = start;
    return cudaSuccess;
}

cudaError_t allocate_pitch(const char* call, Site here, void** p, size_t* pitch, size_t width, size_t height) {
    *pitch = rounded(width, ALIGNMENT);
    return allocate(call, here, p, *pitch * height);
}

cudaError_t release(Site here, void* p, Space space) {
    if (on_kernel()) refuse(here, "cudaFree in device code");
    if (!p) return cudaSuccess;
    if (cudaError_t error = capture_forbids(here, "a cudaFree", false)) return error;
    finish_all();  // cudaFree waits for the GPU
    auto found = allocations.find(uintptr_t(p));
    bool ours = found != allocations.end() && (found->second.space == PINNED) == (space == PINNED);
    if (!ours) return failed(cudaErrorInvalidValue, here, "the freeing of what is no allocation, or was freed before");
    Allocation one = found->second;
    allocations.erase(found);
    used -= one.bytes;
    host_ranges.erase(uintptr_t(p));
    if (options.checking) {
        mark_freed(p, " at " + place(here));  // never given out again, so that a late access shows
        if (one.space == DEVICE) madvise(p, one.room, MADV_DONTNEED);
    } else if (one.space == DEVICE) {
        unused.emplace(one.room, static_cast<char*>(p));
    } else {
        free(p);
    }
    return cudaSuccess;
}

void report_leaks() {
    for (auto& [start, one] : allocations)
        if (one.space != PINNED)
            note("leak: " + one.name + ", " + std::to_string(one.bytes) + " bytes allocated at " + place(one.where) +
                 ", was never freed");
}

// --------------------------------------------------------------------------------------------------------- copies

// Why a range of the GPU's memory cannot be copied, or nothing.
static std::string misplaced(const void* p, size_t bytes) {
    Allocation* one = containing(p);
    if (!one) return is_device(p) ? "it lies in no array of the GPU" : "";
    size_t start = 0;
    for (auto& [address, other] : allocations)
        if (&other == one) start = uintptr_t(p) - address;
    if (start + bytes <= one->bytes) return "";
    return one->name + " has " + std::to_string(one->bytes) + " bytes and not " + std::to_string(start + bytes);
}

std::string outside_device(const void* p, size_t bytes) {
    return containing(p) || is_pinned(p, bytes) ? misplaced(p, bytes) : "an array is no memory of the GPU";
}

static std::string wrong_copy(const void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
    bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    if (kind != cudaMemcpyDefault) {
        if (to_device && !containing(to)) return "the target is no memory of the GPU";
        if (from_device && !containing(from)) return "the source is no memory of the GPU";
        if (!to_device && is_device(to)) return "the target is memory of the GPU";
        if (!from_device && is_device(from)) return "the source is memory of the GPU";
    }
    if (!to || !from) return "a null pointer";
    std::string why = misplaced(to, bytes);
    return why.empty() ? misplaced(from, bytes) : why;
}

cudaError_t copy_2d(Site here, void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                    size_t height, cudaMemcpyKind kind, bool async, cudaStream_t stream) {
    if (on_kernel()) refuse(here, "a copy by the host's API in device code");
    if (!width || !height) return cudaSuccess;
    if (width > to_pitch || width > from_pitch)
        return failed(cudaErrorInvalidPitchValue, here, "a copy whose rows are longer than their pitch");
    size_t to_bytes = to_pitch * (height - 1) + width, from_bytes = from_pitch * (height - 1) + width;
    std::string why = wrong_copy(to, from, width, kind);
    if (why.empty()) why = misplaced(to, to_bytes);
    if (why.empty()) why = misplaced(from, from_bytes);
    if (!why.empty()) return failed(cudaErrorInvalidValue, here, "a copy: " + why);
    auto rows = [=](const void* source) {
        OpenMemory open;
        for (size_t i = 0; i < height; ++i) {
            char* row = static_cast<char*>(to) + i * to_pitch;
            std::memmove(row, static_cast<const char*>(source) + i * from_pitch, width);
            mark_written(row, width);
        }
    };
    bool from_host = !is_device(from), to_host = !is_device(to);
    bool pageable = (from_host && !is_pinned(from, from_bytes)) || (to_host && !is_pinned(to, to_bytes));
    if (async && captured(stream)) return submit(stream, here, "cudaMemcpyAsync", [=] { rows(from); });
    if (async && from_host && !to_host && pageable) {  // such a copy is staged: the source may change at once
        std::string staged(static_cast<const char*>(from), from_bytes);
        return submit(stream, here, "cudaMemcpyAsync", [=] { rows(staged.data()); });
    }
    cudaError_t error = submit(stream, here, "cudaMemcpy", [=] { rows(from); });
    if (error == cudaSuccess && (!async || pageable)) finish_stream(stream);
    return error;
}

cudaError_t copy(Site here, void* to, const void* from, size_t bytes, cudaMemcpyKind kind, bool async,
                 cudaStream_t stream) {
    return copy_2d(here, to, bytes, from, bytes, bytes, 1, kind, async, stream);
}

cudaError_t fill_2d(Site here, void* to, size_t pitch, int value, size_t width, size_t height) {
    if (on_kernel()) refuse(here, "cudaMemset in device code");
    if (!width || !height) return cudaSuccess;
    std::string why = "the target is no memory of the GPU";
    if (containing(to)) why = misplaced(to, pitch * (height - 1) + width);
    if (!why.empty()) return failed(cudaErrorInvalidValue, here, "a cudaMemset: " + why);
    return submit({}, here, "cudaMemset", [=] {
        OpenMemory open;
        for (size_t i = 0; i < height; ++i) {
            std::memset(static_cast<char*>(to) + i * pitch, value, width);
            mark_written(static_cast<char*>(to) + i * pitch, width);
        }
    });
}

cudaError_t fill(Site here, void* to, int value, size_t bytes, bool async, cudaStream_t stream) {
    if (!async) return fill_2d(here, to, bytes, value, bytes, 1);
    if (on_kernel()) refuse(here, "cudaMemset in device code");
    std::string why = containing(to) ? misplaced(to, bytes) : "the target is no memory of the GPU";
    if (bytes && !why.empty()) return failed(cudaErrorInvalidValue, here, "a cudaMemset: " + why);
    return submit(stream, here, "cudaMemsetAsync", [=] {
        OpenMemory open;
        std::memset(to, value, bytes);
        mark_written(to, bytes);
    });
}

cudaError_t copy_symbol(Site here, void* symbol, size_t size, size_t offset, void* host, size_t bytes, bool to_symbol,
                        bool async, cudaStream_t stream) {
    if (offset + bytes > size)
        return failed(cudaErrorInvalidValue, here, "a copy of " + std::to_string(offset + bytes) +
                                                       " bytes with a symbol of " + std::to_string(size));
    char* at = static_cast<char*>(symbol) + offset;
    std::string staged = to_symbol && !is_device(host) ? std::string(static_cast<char*>(host), bytes) : "";
    cudaError_t error = submit(stream, here, "cudaMemcpyToSymbol", [=] {
        OpenMemory open;
        if (to_symbol)
            std::memcpy(at, staged.empty() ? host : staged.data(), bytes);
        else
            std::memcpy(host, at, bytes), mark_written(host, bytes);
    });
    if (error == cudaSuccess && !async) finish_stream(stream);
    return error;
}
}  // namespace emu

using namespace emu;

cudaError_t cudaHostRegister(void* p, size_t bytes, unsigned) {
    host_ranges[uintptr_t(p)] = {bytes, false};
    add_array("registered memory", p, bytes, 4, true, true, false);
    return cudaSuccess;
}
cudaError_t cudaHostUnregister(void* p) {
    finish_all();
    host_ranges.erase(uintptr_t(p));
    drop_array(p);
    return cudaSuccess;
}
cudaError_t emu_mapped(void** device, void* host) {
    *device = host;
    return is_pinned(host, 1) ? cudaSuccess : failed(cudaErrorInvalidValue, {}, "memory that is not pinned");
}
cudaError_t cudaMemGetInfo(size_t* available, size_t* total) {
    *total = TOTAL, *available = TOTAL - used;
    return cudaSuccess;
}
