// Who knows what of whom: the order that fences, flags and atomics make between threads, beside that of barriers.
//     writer:  data = ...;  __threadfence();  flag = 1 (volatile or atomic)     reader:  reads flag;  reads data
// A flag is a log of what its writers had fenced when they wrote it; a reader knows the log as long as it was then.
#pragma once
#include <cstdint>
#include <map>
#include <vector>

namespace emu {
struct Flag;

struct Acquired {  // a thread read the flag at this clock
    const Flag* flag;
    uint64_t clock;
};

struct Release {  // at this clock a writer's accesses below `fenced` were known to everyone who read the flag
    uint64_t clock, fenced;
    bool own_block;  // by __threadfence_block only
};

struct Flag {
    std::map<uint64_t, std::vector<Release>> threads, blocks;
    std::vector<std::pair<uint64_t, Acquired>> through;  // (clock, what the writers themselves had read)
};

struct Order {  // of one thread, since its block's last barrier
    std::vector<Acquired> acquired;
    uint64_t fenced = 0, fenced_block = 0;        // the clock at its last __threadfence, and at its barrier then
    uint64_t near_fenced = 0, near_block = 0;     // the same of __threadfence_block
};

void acquire(std::vector<Acquired>& known, Acquired);
void join(std::vector<Acquired>& known, const std::vector<Acquired>& others);
// Does anyone who has acquired these know what `thread` of `of_block` did up to `clock`?  thread 0: any of the block.
bool knows(const std::vector<Acquired>&, uint64_t thread, uint64_t of_block, uint64_t clock, uint64_t my_block);
void fence(bool of_device);  // __threadfence, or __threadfence_block
void flag_access(uintptr_t address, bool reads, bool writes);
void forget_flags();  // at the start of a launch, which comes after all that was before
}  // namespace emu
