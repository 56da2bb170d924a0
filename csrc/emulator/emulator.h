// Shared by the scheduler (emulator.cpp), the checker and the profiler; kernels never see it.
#pragma once
#include <cuda_runtime.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "fiber.h"

extern "C" __attribute__((visibility("hidden"))) char __start_emu_shared[], __stop_emu_shared[];  // made by the linker

namespace emu {

enum State { READY, AT_BARRIER, AT_WARP, DONE };

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
    std::vector<Copy> copies;
    int groups = 0;
};

struct Warp {
    Payload given[32], seen[32];
    unsigned lanes = 0;   // those that exist
    uint64_t synced = 0;  // the clock at the last __syncwarp of all of them
};

struct Block {
    const char* kernel = "";
    uintptr_t arguments = 0, arguments_end = 0;
    uint64_t id = 0;
    std::vector<ThreadState> threads;
    std::vector<Warp> warps;
    std::vector<char> dynamic;
    ThreadState* current = nullptr;
    int alive = 0, waiting = 0;
    bool progress = false;
    uint64_t clock = 0, synced = 0;  // ticks at every barrier and never goes back; synced: at the last of the block
};

struct Options {
    unsigned seed = 0;  // in which order threads and blocks run: 0 as numbered, 1 backwards, else shuffled
    bool checking = false;
    unsigned profile = 0;  // blocks of each launch to count accesses in
};

// What the emulator or the checker found wrong with a kernel: "kind: what, where".
struct Fault : std::runtime_error {
    using std::runtime_error::runtime_error;
};

extern Block block;
extern Options options;

[[noreturn]] void fail(const std::string& what);  // abandons the current thread; run() throws Fault
std::string place(Site);
std::string place(const void* code_address);  // "@0x123": the caller of the module turns it into file and line

// The checker: arrays known to a call, and what is told to it as the kernel runs.
void add_array(const std::string& name, const void* data, size_t bytes, unsigned element, bool writable,
               bool initialised, bool complete);
std::string drop_arrays();  // forgets them; names outputs that were not written
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
}  // namespace emu
