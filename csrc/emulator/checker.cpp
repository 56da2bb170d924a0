// Watches every load and store of a kernel.  Kernels compiled with -fsanitize=thread call a __tsan_* function before
// each access; ThreadSanitizer's runtime is not linked: the functions below take its place and know about blocks, warps
// and __shared__ memory.  One run finds a race whatever the schedule, even where the values happen to agree.
//   out-of-bounds, misaligned, read-only   an address outside every array of the call, or wrong for its width
//   uninitialised                          shared memory, an output or a workspace is read before it is written
//   race                                   two threads touch an element, one of them writes, nothing orders the two
//   unwritten                              an element of an output that no thread wrote
#include <dlfcn.h>
#include <link.h>

#include <algorithm>
#include <utility>

#include "emulator.h"

namespace emu {
enum Readers : uint32_t { ONE, SAME_WARP, SAME_BLOCK, ANY };

struct Cell {  // what happened last to one element; a thread is block * 1024 + id + 1, 0 none
    uint64_t writer = 0, write_clock = 0, reader = 0, read_clock = 0;
    const void *write_site = nullptr, *read_site = nullptr;
    Readers readers = ONE;
    bool atomic = false, in_flight = false;
};

struct Span {
    std::string name;
    uintptr_t lo, hi;
    unsigned granule;  // bytes of a cell
    bool writable, initialised, complete, shared;
    std::vector<Cell> cells;
    void refine(unsigned bytes) {  // smaller elements than thought: split the cells
        std::vector<Cell> finer;
        finer.reserve(cells.size() * (granule / bytes));
        for (auto& c : cells) finer.insert(finer.end(), granule / bytes, c);
        cells = std::move(finer), granule = bytes;
    }
};

static std::vector<Span> arrays, shared;  // shared: static, dynamic
static uint64_t launch_start, block_start;
static uintptr_t image_lo, image_hi;

static uint64_t me() { return block.id * 1024 + block.current->id + 1; }

static std::string thread_name(uint64_t t) {
    unsigned i = (t - 1) % 1024;
    auto s = [](uint64_t n) { return std::to_string(n); };
    return "thread (" + s(i % blockDim.x) + "," + s(i / blockDim.x % blockDim.y) + "," +
           s(i / (blockDim.x * blockDim.y)) + ") of block " + s((t - 1) / 1024);
}

// Has everything that thread `other` (and those of `scope` around it) did up to `clock` happened before now?
static bool ordered(uint64_t other, uint64_t clock, Readers scope) {
    if (clock < launch_start) return true;
    if (other == me() && scope == ONE) return true;
    if ((other - 1) / 1024 != block.id || scope == ANY) return false;
    if (clock < block.synced) return true;
    int warp = block.current->id / 32;
    return scope <= SAME_WARP && int((other - 1) % 1024) / 32 == warp && clock < block.warps[warp].synced;
}

static void race(const Span& s, size_t i, const char* mine, const void* here, const char* theirs, uint64_t who,
                 const void* there) {
    fail("race: " + s.name + "[" + std::to_string(i) + "] is " + mine + " at " + place(here) + " and " + theirs +
         " by " + thread_name(who) + " at " + place(there) + "; nothing orders the two");
}

static void note_read(Cell& c, const void* where) {
    if (!c.reader || c.reader == me() || ordered(c.reader, c.read_clock, c.readers)) {
        if (c.reader != me() || c.read_clock < block.synced) c.readers = ONE;
    } else {
        bool same_block = (c.reader - 1) / 1024 == block.id;
        bool same_warp = same_block && (c.reader - 1) % 1024 / 32 == (me() - 1) % 1024 / 32;
        c.readers = std::max(c.readers, same_warp ? SAME_WARP : same_block ? SAME_BLOCK : ANY);
    }
    c.reader = me(), c.read_clock = block.clock, c.read_site = where;
}

static void record(Span& s, size_t i, Access kind, const void* where) {
    Cell& c = s.cells[i];
    if (s.shared) {  // what an earlier block left there is gone
        if (c.write_clock < block_start) c.writer = 0, c.in_flight = false;
        if (c.read_clock < block_start) c.reader = 0;
    }
    if (c.in_flight)
        fail("uninitialised: " + s.name + "[" + std::to_string(i) + "] is used at " + place(where) +
             " while the cp.async issued at " + place(c.write_site) + " may still be on its way: no wait for it");
    if (kind != WRITE && !c.writer && !s.initialised)
        fail("uninitialised: " + s.name + "[" + std::to_string(i) + "] is read at " + place(where) +
             " before it is written");
    if (c.writer && !(kind == ATOMIC && c.atomic) && !ordered(c.writer, c.write_clock, ONE))
        race(s, i, kind == READ ? "read" : "written", where, "written", c.writer, c.write_site);
    if (kind == READ) return note_read(c, where);
    if (c.reader && !ordered(c.reader, c.read_clock, c.readers))
        race(s, i, "written", where, "read", c.reader, c.read_site);
    c.writer = me(), c.atomic = kind == ATOMIC, c.write_clock = block.clock, c.write_site = where;
}

// -------------------------------------------------------------------------------------------- finding the array

static Span* find(uintptr_t a) {
    for (auto* spans : {&shared, &arrays})
        for (auto& s : *spans)
            if (a >= s.lo && a < s.hi) return &s;
    return nullptr;
}

static void outside(uintptr_t a, size_t bytes, Access kind, const void* where) {
    std::string near;
    for (auto* spans : {&shared, &arrays})
        for (auto& s : *spans)
            if (a + bytes > s.hi && a < s.hi + 4096 && a >= s.lo)
                near = ", " + std::to_string(a + bytes - s.hi) + " bytes past the end of " + s.name;
            else if (a < s.lo && s.lo - a < 4096 && near.empty())
                near = ", " + std::to_string(s.lo - a) + " bytes before " + s.name;
    fail(std::string("out-of-bounds: ") + (kind == READ ? "read" : "write") + " of " + std::to_string(bytes) +
         " bytes at " + place(where) + near);
}

// Memory that is the thread's own or constant: its stack, the kernel's arguments, the module's data.
static bool private_memory(uintptr_t a) {
    auto in = [a](uintptr_t lo, uintptr_t hi) { return a >= lo && a < hi; };
    auto stack = uintptr_t(block.current->fiber.stack), warps = uintptr_t(block.warps.data());
    return in(stack, stack + STACK) || in(block.arguments, block.arguments_end) ||
           in(warps, warps + block.warps.size() * sizeof(Warp));
}

void touch(const void* p, size_t bytes, Access kind, const void* where) {
    if (!options.checking || !block.current) return;
    auto a = uintptr_t(p);
    if (private_memory(a)) return;
    Span* s = find(a);
    if (!s && a >= image_lo && a < image_hi) return;
    if (!s || a + bytes > s->hi) return outside(a, bytes, kind, where);
    if (a % bytes)
        fail("misaligned: an access of " + std::to_string(bytes) + " bytes to " + s->name + " at " + place(where));
    if (kind != READ && !s->writable) fail("read-only: a store to the input " + s->name + " at " + place(where));
    if (bytes < s->granule) s->refine(unsigned(bytes));
    for (size_t i = (a - s->lo) / s->granule; i <= (a + bytes - 1 - s->lo) / s->granule; ++i)
        record(*s, i, kind, where);
    if (options.profile) count_access(s->shared, kind != READ, a, bytes, where);
}

// ------------------------------------------------------------------------------------------- cp.async's two ends

static void mark_flight(const Copy& c, bool in_flight) {
    if (Span* s = find(uintptr_t(c.to)))
        for (size_t i = (uintptr_t(c.to) - s->lo) / s->granule;
             i <= (uintptr_t(c.to) + c.bytes - 1 - s->lo) / s->granule; ++i)
            s->cells[i].in_flight = in_flight;
}

void copy_issued(const Copy& c) {
    if (!options.checking) return;
    if (c.from) touch(c.from, c.bytes, READ, c.where);
    touch(c.to, c.bytes, WRITE, c.where);
    mark_flight(c, true);
}

void copy_landed(const Copy& c) {
    if (!options.checking) return;
    mark_flight(c, false);
    unsigned profile = std::exchange(options.profile, 0);  // counted when it was issued
    touch(c.to, c.bytes, WRITE, c.where);
    options.profile = profile;
}

// --------------------------------------------------------------------------------------------- calls and launches

static Span span(const std::string& name, const void* p, size_t bytes, unsigned granule, bool writable,
                 bool initialised, bool complete, bool is_shared) {
    auto lo = uintptr_t(p);
    return {name,     lo,        lo + bytes,
            granule,  writable,  initialised,
            complete, is_shared, std::vector<Cell>((bytes + granule - 1) / granule)};
}

void add_array(const std::string& name, const void* data, size_t bytes, unsigned element, bool writable,
               bool initialised, bool complete) {
    if (options.checking && bytes)
        arrays.push_back(span(name, data, bytes, element, writable, initialised, complete, false));
}

std::string drop_arrays() {
    std::string missing;
    for (auto& s : arrays) {
        if (!s.complete) continue;
        size_t count = std::count_if(s.cells.begin(), s.cells.end(), [](const Cell& c) { return !c.writer; });
        size_t first =
            std::find_if(s.cells.begin(), s.cells.end(), [](const Cell& c) { return !c.writer; }) - s.cells.begin();
        if (count && missing.empty())
            missing = "unwritten: " + std::to_string(count) + " elements of the output " + s.name +
                      " were never written, the first is [" + std::to_string(first) + "]";
    }
    arrays.clear();
    return missing;
}

static void find_image() {
    dl_iterate_phdr(
        [](dl_phdr_info* info, size_t, void*) {
            uintptr_t lo = ~uintptr_t(0), hi = 0, here = uintptr_t(&options);
            for (int k = 0; k < info->dlpi_phnum; ++k)
                if (info->dlpi_phdr[k].p_type == PT_LOAD) {
                    lo = std::min<uintptr_t>(lo, info->dlpi_addr + info->dlpi_phdr[k].p_vaddr);
                    hi = std::max<uintptr_t>(hi,
                                             info->dlpi_addr + info->dlpi_phdr[k].p_vaddr + info->dlpi_phdr[k].p_memsz);
                }
            if (here >= lo && here < hi) image_lo = lo, image_hi = hi;
            return 0;
        },
        nullptr);
}

void check_launch_start() {
    if (!options.checking) return;
    if (!image_hi) find_image();
    shared.clear();
    shared.push_back(
        span("__shared__", __start_emu_shared, __stop_emu_shared - __start_emu_shared, 4, true, false, false, true));
    shared.push_back(span("dynamic shared", block.dynamic.data(), block.dynamic.size(), 4, true, false, false, true));
    launch_start = ++block.clock;
    count_launch_start();
}

void check_block_start() {
    block_start = block.clock;
    if (options.checking && options.profile) count_block_start();
}

void check_block_end() {
    if (options.checking && options.profile) count_block_end();
}
}  // namespace emu

// ------------------------------------------------------------------------------------- what instrumented code calls

#define HOOK(n)                                                                                  \
    extern "C" void __tsan_read##n(void* p) { emu::touch(p, n, emu::READ, EMU_HERE); }           \
    extern "C" void __tsan_write##n(void* p) { emu::touch(p, n, emu::WRITE, EMU_HERE); }         \
    extern "C" void __tsan_unaligned_read##n(void* p) { emu::touch(p, n, emu::READ, EMU_HERE); } \
    extern "C" void __tsan_unaligned_write##n(void* p) { emu::touch(p, n, emu::WRITE, EMU_HERE); }
HOOK(1) HOOK(2) HOOK(4) HOOK(8) HOOK(16) static void range(void* p, size_t bytes, emu::Access kind, const void* where) {
    size_t step = bytes % 4 ? 1 : 4;
    for (size_t i = 0; i < bytes; i += step) emu::touch(static_cast<char*>(p) + i, step, kind, where);
}
extern "C" void __tsan_read_range(void* p, size_t n) { range(p, n, emu::READ, EMU_HERE); }
extern "C" void __tsan_write_range(void* p, size_t n) { range(p, n, emu::WRITE, EMU_HERE); }
extern "C" void __tsan_init() {}
extern "C" void __tsan_func_entry(void*) {}
extern "C" void __tsan_func_exit() {}
extern "C" void __tsan_vptr_update(void*, void*) {}

// -fsanitize=bounds: an index beyond an array of fixed size, a __shared__ one say.
struct BoundsSite {
    const char* file;
    unsigned line, column;
};
extern "C" void __ubsan_handle_out_of_bounds(BoundsSite* s, uintptr_t i) {
    if (emu::options.checking && emu::block.current)
        emu::fail("out-of-bounds: index " + std::to_string(long(i)) + " is outside its array at " +
                  emu::place(emu::Site{s->file, int(s->line)}));
}
extern "C" void __ubsan_handle_out_of_bounds_abort(BoundsSite* s, uintptr_t i) { __ubsan_handle_out_of_bounds(s, i); }
