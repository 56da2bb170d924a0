// Watches every load and store of a kernel (hooks.cpp calls `touch`) and knows about blocks, warps, fences and
// __shared__ memory.  One run finds a race whatever the schedule, even where the values happen to agree.
//   out-of-bounds, misaligned, read-only   an address outside every array of the call, or wrong for its width
//   use-after-free                         an address in an array that was freed
//   uninitialised                          shared memory, an output or a workspace is read before it is written
//   race                                   two threads touch an element, one of them writes, nothing orders the two
//   unwritten                              an element of an output that no thread wrote
#include <algorithm>
#include <memory>
#include <utility>

#include "emulator.h"
#include "image.h"

namespace emu {
enum Readers : uint8_t { ONE, SAME_WARP, SAME_BLOCK, ANY };

struct Cell {  // what happened last to one element; a thread is block * 1024 + id + 1, 0 none
    uint64_t writer = 0, write_clock = 0, reader = 0, read_clock = 0;
    const void *write_site = nullptr, *read_site = nullptr;
    Readers readers = ONE;
    bool strong_write = false, strong_reads = false;  // atomic or volatile: two such accesses are no race
    bool data = false;                                // volatile, but worked on: read and written by one thread
    bool in_flight = false;
};

struct Span {
    std::string name;
    uintptr_t lo, hi;
    unsigned granule;  // bytes of a cell
    bool writable, initialised, complete, shared;
    std::string freed;  // where, once it is
    std::vector<bool> ready;  // bytes that the host wrote; empty: none
    std::vector<std::unique_ptr<Cell[]>> chunks;  // of CHUNK cells, made as they are touched
    static constexpr size_t CHUNK = 1024;

    size_t count() const { return (hi - lo + granule - 1) / granule; }
    Cell& cell(size_t i) {
        if (chunks.size() <= i / CHUNK) chunks.resize(count() / CHUNK + 1);
        auto& chunk = chunks[i / CHUNK];
        if (!chunk) chunk.reset(new Cell[CHUNK]);
        return chunk[i % CHUNK];
    }
    bool touched(size_t i) const { return i / CHUNK < chunks.size() && chunks[i / CHUNK]; }
    void refine(unsigned bytes) {  // smaller elements than thought: split the cells
        auto coarse = std::move(chunks);
        unsigned parts = granule / bytes;
        granule = bytes, chunks.clear();
        for (size_t c = 0; c < coarse.size(); ++c)
            for (size_t i = 0; coarse[c] && i < CHUNK * parts && c * CHUNK * parts + i < count(); ++i)
                cell(c * CHUNK * parts + i) = coarse[c][i / parts];
    }
    bool written(uintptr_t a, size_t bytes) const {  // by the host
        for (uintptr_t i = a - lo; i < a - lo + bytes; ++i)
            if (i >= ready.size() || !ready[i]) return false;
        return true;
    }
};

// Never destroyed: a report is written at the very end.  shared: static, dynamic, variables.
static auto &arrays = *new std::vector<Span>, &shared = *new std::vector<Span>;
static uint64_t launch_start, block_start;

static uint64_t me() { return block.id * 1024 + block.current->id + 1; }

static std::string thread_name(uint64_t t) {
    unsigned i = (t - 1) % 1024;
    auto s = [](uint64_t n) { return std::to_string(n); };
    return "thread (" + s(i % blockDim.x) + "," + s(i / blockDim.x % blockDim.y) + "," +
           s(i / (blockDim.x * blockDim.y)) + ") of block " + s((t - 1) / 1024);
}

static bool ordered_in_warp(uint64_t other, uint64_t clock) {
    const Warp& warp = block.warps[block.current->id / 32];
    if (clock < warp.synced) return true;
    return !warp.paired.empty() && clock < warp.paired[(other - 1) % 32 * 32 + block.current->id % 32];
}

// By a fence and a flag.
static bool known(uint64_t other, uint64_t clock, Readers scope) {
    if (scope == ANY) return false;
    uint64_t thread = scope == ONE ? other : 0, of_block = (other - 1) / 1024;
    return knows(block.current->order.acquired, thread, of_block, clock, block.id) ||
           knows(block.acquired, thread, of_block, clock, block.id);
}

// Has everything that thread `other` (and those of `scope` around it) did up to `clock` happened before now?
static bool ordered(uint64_t other, uint64_t clock, Readers scope) {
    if (clock < launch_start) return true;
    if (other == me() && scope == ONE) return true;
    bool same_block = (other - 1) / 1024 == block.id && scope != ANY;
    if (same_block && clock < block.synced) return true;
    bool same_warp = same_block && scope <= SAME_WARP && (other - 1) % 1024 / 32 == (me() - 1) % 1024 / 32;
    return (same_warp && ordered_in_warp(other, clock)) || known(other, clock, scope);
}

static std::string element(const Span& s, uintptr_t a, size_t bytes) {
    return s.name + "[" + std::to_string((a - s.lo) / bytes) + "]";
}

struct Touch {  // one access
    uintptr_t address;
    size_t bytes;
    Access kind;
    const void* where;
    bool reads() const { return kind == READ || kind == VOLATILE_READ || kind == ATOMIC; }
    bool writes() const { return kind == WRITE || kind == VOLATILE_WRITE || kind == ATOMIC; }
    bool strong() const { return kind > WRITE; }
};

static void race(const Span& s, const Touch& t, const char* mine, const char* theirs, uint64_t who, const void* there) {
    fail("race: " + element(s, t.address, t.bytes) + " is " + mine + " at " + place(t.where) + " and " + theirs +
         " by " + thread_name(who) + " at " + place(there) + "; nothing orders the two");
}

static void note_read(Cell& c, const Touch& t) {
    if (!c.reader || c.reader == me() || ordered(c.reader, c.read_clock, c.readers)) {
        if (c.reader != me() || c.read_clock < block.synced) c.readers = ONE, c.strong_reads = t.strong();
        c.strong_reads &= t.strong();
    } else {
        bool same_block = (c.reader - 1) / 1024 == block.id;
        bool same_warp = same_block && (c.reader - 1) % 1024 / 32 == (me() - 1) % 1024 / 32;
        c.readers = std::max(c.readers, same_warp ? SAME_WARP : same_block ? SAME_BLOCK : ANY);
        c.strong_reads &= t.strong();
    }
    c.reader = me(), c.read_clock = block.clock, c.read_site = t.where;
}

// Two volatile accesses are the way of a flag.  But lanes of a warp that work on each other's volatile shared memory
// without __syncwarp rely on a lockstep that GPUs gave up with Volta.
static bool lockstep(const Span& s, const Cell& c, uint64_t other, Readers scope) {
    if (!s.shared || !c.data || scope > SAME_WARP) return false;
    return (other != me() || scope == SAME_WARP) && (other - 1) / 32 == (me() - 1) / 32;
}

static void record(Span& s, Cell& c, const Touch& t) {
    if (s.shared) {  // what an earlier block left there is gone
        if (c.write_clock < block_start) c.writer = 0, c.in_flight = false;
        if (c.read_clock < block_start) c.reader = 0, c.data = false;
    }
    if (c.in_flight)
        fail("uninitialised: " + element(s, t.address, t.bytes) + " is used at " + place(t.where) +
             " while the cp.async issued at " + place(c.write_site) + " may still be on its way: no wait for it");
    if (t.reads() && !c.writer && !s.initialised && !s.written(t.address, t.bytes))
        fail("uninitialised: " + element(s, t.address, t.bytes) + " is read at " + place(t.where) +
             " before it is written");
    if (t.kind == VOLATILE_WRITE) {
        auto& lately = block.current->lately;
        c.data |= t.address == lately[0] || t.address == lately[1];
    }
    bool flags = t.strong() && c.strong_write && !(t.kind != ATOMIC && lockstep(s, c, c.writer, ONE));
    if (c.writer && !flags && !ordered(c.writer, c.write_clock, ONE))
        race(s, t, t.writes() ? "written" : "read", "written", c.writer, c.write_site);
    if (!t.writes()) return note_read(c, t);
    flags = t.strong() && c.strong_reads && !(t.kind != ATOMIC && lockstep(s, c, c.reader, c.readers));
    if (c.reader && !flags && !ordered(c.reader, c.read_clock, c.readers))
        race(s, t, "written", "read", c.reader, c.read_site);
    c.writer = me(), c.strong_write = t.strong(), c.write_clock = block.clock, c.write_site = t.where;
}

// -------------------------------------------------------------------------------------------- finding the array

static Span* find(uintptr_t a) {
    for (auto* spans : {&shared, &arrays})
        for (auto& s : *spans)
            if (a >= s.lo && a < s.hi) return &s;
    return nullptr;
}

std::string array_name(const void* address) {
    Span* s = find(uintptr_t(address));
    return s ? element(*s, uintptr_t(address), s->granule) : "";
}

static void outside(const Touch& t) {
    std::string near;
    uintptr_t a = t.address;
    for (auto* spans : {&shared, &arrays})
        for (auto& s : *spans)
            if (a + t.bytes > s.hi && a < s.hi + 4096 && a >= s.lo)
                near = ", " + std::to_string(a + t.bytes - s.hi) + " bytes past the end of " + s.name;
            else if (a < s.lo && s.lo - a < 4096 && near.empty())
                near = ", " + std::to_string(s.lo - a) + " bytes before " + s.name;
    if (a < 4096)
        near = ", a null pointer";
    else if (near.empty())
        near = ", which lies in no array of the GPU";
    fail(std::string("out-of-bounds: ") + (t.writes() ? "write" : "read") + " of " + std::to_string(t.bytes) +
         " bytes at " + place(t.where) + near);
}

// Memory that is the thread's own or constant: its stack, the kernel's arguments.
static bool private_memory(uintptr_t a) {
    auto in = [a](uintptr_t lo, uintptr_t hi) { return a >= lo && a < hi; };
    auto stack = uintptr_t(block.current->fiber.stack), warps = uintptr_t(block.warps.data());
    return in(stack, stack + STACK) || in(block.arguments, block.arguments_end) ||
           in(warps, warps + block.warps.size() * sizeof(Warp));
}

static Span span(const std::string& name, const void* p, size_t bytes, unsigned granule, bool writable,
                 bool initialised, bool complete, bool is_shared) {
    auto lo = uintptr_t(p);
    return {name, lo, lo + bytes, granule, writable, initialised, complete, is_shared, {}, {}, {}};
}

// A variable of the module becomes an array when a kernel first touches it.
static Span* variable(uintptr_t a) {
    Variable v = image_variable(a);
    if (!v.bytes) return nullptr;
    arrays.push_back(span(v.name, reinterpret_cast<void*>(v.address), v.bytes, 4, true, true, false, false));
    return &arrays.back();
}

void touch(const void* p, size_t bytes, Access kind, const void* where) {
    if (!options.checking || !block.current) return;
    Touch t{uintptr_t(p), bytes, kind, where};
    uintptr_t a = t.address;
    if (private_memory(a)) return;
    Span* s = find(a);
    bool dynamic = a >= uintptr_t(dynamic_memory) && a < uintptr_t(dynamic_memory) + MOST_SHARED + 1024;
    if (!s && !dynamic && in_image(a) && !(s = variable(a))) return;
    if (s && !s->freed.empty())
        fail("use-after-free: " + element(*s, a, bytes) + " is " + (t.writes() ? "written" : "read") + " at " +
             place(where) + ", but it was freed" + s->freed);
    if (!s || a + bytes > s->hi) return outside(t);
    if (options.sample) return sample_access(s->shared, kind, a, bytes, where);
    if (a % bytes)
        fail("misaligned: an access of " + std::to_string(bytes) + " bytes to " + s->name + " at " + place(where));
    if (t.writes() && !s->writable) fail("read-only: a store to the input " + s->name + " at " + place(where));
    if (bytes < s->granule) s->refine(unsigned(bytes));
    if (t.strong()) flag_access(a, t.reads(), t.writes());
    for (size_t i = (a - s->lo) / s->granule; i <= (a + bytes - 1 - s->lo) / s->granule; ++i)
        record(*s, s->cell(i), t);
    if (kind == VOLATILE_READ) {
        auto& lately = block.current->lately;
        lately[0] = lately[1], lately[1] = a;
    }
    if (options.profile) count_access(s->shared, t.writes(), a, bytes, where);
}

// ------------------------------------------------------------------------------------------- cp.async's two ends

static void mark_flight(const Copy& c, bool in_flight) {
    if (options.sample) return;
    if (Span* s = find(uintptr_t(c.to)))
        for (size_t i = (uintptr_t(c.to) - s->lo) / s->granule;
             i <= (uintptr_t(c.to) + c.bytes - 1 - s->lo) / s->granule; ++i)
            s->cell(i).in_flight = in_flight;
}

void copy_issued(const Copy& c) {
    if (!options.checking) return;
    if (c.from) touch(c.from, c.bytes, READ, c.where);
    touch(c.to, c.bytes, WRITE, c.where);
    mark_flight(c, true);
}

void copy_landed(const Copy& c) {
    if (!options.checking || options.sample) return;
    mark_flight(c, false);
    unsigned profile = std::exchange(options.profile, 0);  // counted when it was issued
    touch(c.to, c.bytes, WRITE, c.where);
    options.profile = profile;
}

// --------------------------------------------------------------------------------------------- calls and launches

void add_array(const std::string& name, const void* data, size_t bytes, unsigned element, bool writable,
               bool initialised, bool complete) {
    if (options.checking && bytes)
        arrays.push_back(span(name, data, bytes, element, writable, initialised, complete, false));
}

static Span* starting(const void* data) {
    for (auto& s : arrays)
        if (s.lo == uintptr_t(data) && s.freed.empty()) return &s;
    return nullptr;
}

void drop_array(const void* data) {
    if (Span* s = starting(data)) arrays.erase(arrays.begin() + (s - arrays.data()));
}

void mark_freed(const void* data, const std::string& where) {
    if (Span* s = starting(data)) s->freed = where, s->chunks.clear(), s->ready.clear();
}

void mark_written(const void* data, size_t bytes) {
    if (!options.checking || !bytes) return;
    Span* s = find(uintptr_t(data));
    if (!s || s->initialised) return;
    size_t first = uintptr_t(data) - s->lo, last = std::min(first + bytes, size_t(s->hi - s->lo));
    if (first == 0 && last == s->hi - s->lo) s->initialised = true;
    s->ready.resize(s->hi - s->lo);
    std::fill(s->ready.begin() + long(first), s->ready.begin() + long(last), true);
}

std::string drop_arrays() {
    std::string missing;
    for (auto& s : arrays) {
        if (!s.complete || options.sample) continue;
        size_t count = 0, first = 0;
        for (size_t i = s.count(); i-- > 0;)
            if (!s.touched(i) || !s.cell(i).writer) ++count, first = i;
        if (count && missing.empty())
            missing = "unwritten: " + std::to_string(count) + " elements of the output " + s.name +
                      " were never written, the first is [" + std::to_string(first) + "]";
    }
    arrays.clear();
    return missing;
}

void add_shared(const SharedVariable& v) {
    if (options.checking && !find(uintptr_t(v.start)))
        shared.push_back(span(v.name, v.start, v.bytes, 4, true, false, false, true));
}

void check_launch_start() {
    if (!options.checking) return;
    shared.clear();
    shared.push_back(
        span("__shared__", __start_emu_shared, __stop_emu_shared - __start_emu_shared, 4, true, false, false, true));
    shared.push_back(span("dynamic shared", dynamic_memory, block.dynamic_bytes, 4, true, false, false, true));
    forget_flags();
    launch_start = ++block.clock;
    count_launch_start();
}

void check_block_start() {
    block_start = block.clock;
    if (options.checking && options.profile) count_block_start();
    if (options.checking && options.sample) sample_block_start();
}

void check_block_end() {
    if (options.checking && options.profile) count_block_end();
    if (options.checking && options.sample) sample_block_end();
}
}  // namespace emu
