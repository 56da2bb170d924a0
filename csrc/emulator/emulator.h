// Shared by the scheduler (emulator.cpp), the checker and the profiler; kernels never see it.
#pragma once
#include <cuda_runtime.h>

#include <map>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "fiber.h"
#include "order.h"

extern "C" __attribute__((visibility("hidden"))) char __start_emu_shared[], __stop_emu_shared[];  // made by the linker

namespace emu {

enum State { READY, AT_BARRIER, AT_WARP, DONE, GATHERING, AT_GRID };
constexpr size_t MOST_SHARED = 227 * 1024;  // bytes of a block on any GPU

struct Copy {  // a cp.async that was issued and not yet waited for
    void* to;
    const void* from;
    size_t bytes;
    int group;
    const void* where;
};

struct ThreadState {
    Fiber fiber;
    State state = READY;
    int id = 0;
    uint3 index = {};
    unsigned mask = 0;  // of the warp collective it waits in
    Site where = {};
    bool orders = false;  // and whether that orders memory
    unsigned came = 0;    // the lanes that came to its last one
    std::vector<Copy> copies;
    int groups = 0;
    Order order;
    const void *polled = nullptr, *polled_at = nullptr;  // the address it asked last, waiting for a change
    uint64_t polls = 0;                                  // how often in a row
    int vote = 0;                                        // of a barrier that counts
    uintptr_t lately[2] = {};                            // volatile words it read last
};

struct Warp {
    Payload given[32], seen[32];
    unsigned lanes = 0;            // those that exist
    uint64_t synced = 0;           // the clock at the last __syncwarp of all of them
    std::vector<uint64_t> paired;  // [lane][lane], at the last __syncwarp of a part of them with both
};

// A __shared__ variable that its declaration announced (csrc/emulate); csrc's own are gathered by the linker.
struct SharedVariable {
    const void* tag;
    std::string name;
    std::vector<char> memory;
    char* start;
    size_t bytes;
    bool seen;  // in this launch
};

struct Block {
    const char* kernel = "";
    uintptr_t arguments = 0, arguments_end = 0;
    uint64_t id = 0;
    std::vector<ThreadState> threads;
    std::vector<Warp> warps;
    size_t dynamic_bytes = 0;
    ThreadState* current = nullptr;
    int alive = 0, waiting = 0, votes = 0, at_grid = 0;
    bool progress = false;
    uint64_t clock = 0, synced = 0;  // ticks at every barrier and never goes back; synced: at the last of the block
    std::vector<Acquired> acquired;  // what all its threads know of other blocks since their last barrier
};

// The launch that runs.
struct Running {
    Thread body = nullptr;
    bool loops = false;  // the body runs all the threads that may begin on its stack, not one
    void* args = nullptr;
    uint64_t blocks_in_all = 0, blocks_begun = 0;
    std::vector<int> order;  // of the threads of a block
    size_t position = 0;     // in it, of the thread that runs
    bool in_line = false;    // no thread of the block has had to wait: each begins where the last one ended
};

// The shared memory of a block, while another one runs.
class SharedCopy {
    std::vector<char> dynamic;
    std::vector<std::pair<bool, std::vector<char>>> variables;

  public:
    SharedCopy();
    void restore() const;
};

// A block that waits while others run: at the barrier of the grid.
class ParkedBlock {
    Block parked;
    uint3 index;
    SharedCopy memory;

  public:
    ParkedBlock();
    void go_on();
};

// A launch that waits, as long as this lives, for another that one of its threads asked for.
class Suspended {
    ThreadState& thread;
    SharedCopy memory;
    Block waiting;
    Running launch;
    uint3 index, of_block;
    dim3 threads, blocks;
    size_t most_shared;

  public:
    Suspended();
    ~Suspended();
};

struct Options {
    unsigned seed = 0;  // in which order threads and blocks run: 0 as numbered, 1 backwards, else shuffled
    bool checking = false;
    unsigned profile = 0;                                             // blocks of each launch to count accesses in
    bool sample = false;  // a few blocks of each launch run, unchecked: see traffic.cpp
    size_t static_shared = MOST_SHARED, total_shared = MOST_SHARED;  // bytes that a block may have
    bool ended_lanes = false;  // a warp collective does not wait for lanes that have ended (PTX)
    double patience = 10;                                             // seconds of waiting without any progress
};

// What the emulator or the checker found wrong with a kernel: "kind: what, where".
struct Fault : std::runtime_error {
    using std::runtime_error::runtime_error;
};

extern Block block;
extern Running running;
extern Options options;
extern char dynamic_memory[];

[[noreturn]] void fail(const std::string& what);  // abandons the current thread; run() throws Fault
void fail_launch(const std::string& what);        // the same from outside a thread, for the launch that runs
std::string place(Site);
std::string place(const void* code_address);  // "@0x123": the caller of the module turns it into file and line
std::string text(uint3);
std::string waiting_threads();  // who waits where, of the block that runs
bool on_kernel();               // a thread of a kernel runs now
ThreadState& current();         // it
bool gather();                  // lanes that gather at one line go on as a group, where nobody can run
bool complete_collectives();    // lanes may have ended since others of their warp began to wait for them
uint64_t resumed();             // how often any thread was
std::vector<SharedVariable>& shared_variables();

// The checker: arrays known to a call, and what is told to it as the kernel runs.
void add_array(const std::string& name, const void* data, size_t bytes, unsigned element, bool writable,
               bool initialised, bool complete);
std::string drop_arrays();  // forgets them; names outputs that were not written
void drop_array(const void* data);
void mark_freed(const void* data, const std::string& where);  // an access from now on is a use after free
void mark_written(const void* data, size_t bytes);            // by a copy of the host
std::string array_name(const void* address);                  // "x[3]", or "" if it lies in none
void add_shared(const SharedVariable&);
void check_launch_start();
void check_block_start();
void check_block_end();
void copy_issued(const Copy&);
void copy_landed(const Copy&);

// The profiler.
void count_access(bool shared, bool write, uintptr_t address, size_t bytes, const void* where);
void count_block_start();
void count_block_end();
void count_launch_start();
struct SiteRow {
    size_t offset;  // of the code in the module
    bool shared, write;
    uint64_t requests, moved, ideal, lanes;
};
std::vector<SiteRow> profile_rows();  // since the last call

// A sample of each launch's traffic: numbers of all blocks that ran; from FOOTPRINT on of the middle one.
enum Number {
    LOAD_SECTORS, STORE_SECTORS, LOAD_TAGS, STORE_TAGS, ATOMIC_LANES,
    LOAD_PASSES, STORE_PASSES, LOAD_MERGED, STORE_MERGED,
    L1_MISSES,  // of caches of 8, 16, 32, 64 and 128 KiB
    FOOTPRINT = L1_MISSES + 5, FRESH_X, FRESH_Y, FRESH_BOTH,  // sectors read, and those that neighbours had not
    STORED, NUMBERS
};
struct LineCount {
    uint64_t requests = 0, bytes = 0;  // of warps; of a lane in each, added up
};
struct Launch {
    std::string kernel;
    dim3 grid, block;
    size_t dynamic_bytes, blocks;
    uint64_t numbers[NUMBERS];
    std::map<std::tuple<const void*, bool, bool>, LineCount> rows;      // by code, shared, write
    std::map<std::tuple<std::string, int, bool>, uint64_t> places;  // threads at a collective: by line, barrier
};
std::vector<uint64_t> sampled_blocks(const char* kernel, dim3 grid, dim3 block, size_t dynamic_bytes);
void sample_block_start();
void sample_block_end();
void sample_access(bool shared, Access kind, uintptr_t address, size_t bytes, const void* where);
void sample_collective(Site where, bool barrier);
std::string launches_as_json();  // since the last call: code as offsets in the module
}  // namespace emu
