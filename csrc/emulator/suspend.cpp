// Blocks that wait while others run: at the barrier of the grid, or for a launch of their own.
#include <cstring>
#include <utility>

#include "emulator.h"

namespace emu {
SharedCopy::SharedCopy() : dynamic(dynamic_memory, dynamic_memory + block.dynamic_bytes) {
    for (auto& v : shared_variables())
        variables.emplace_back(v.seen, v.seen ? std::vector<char>(v.start, v.start + v.bytes) : std::vector<char>{});
}

void SharedCopy::restore() const {
    std::memcpy(dynamic_memory, dynamic.data(), dynamic.size());
    auto& all = shared_variables();
    for (size_t i = 0; i < all.size(); ++i) {
        all[i].seen = i < variables.size() && variables[i].first;
        if (all[i].seen) std::memcpy(all[i].start, variables[i].second.data(), all[i].bytes);
    }
}

// The block that runs, taken away; what comes after it knows the launch and the clock, and has no threads yet.
static Block taken() {
    Block one = std::exchange(block, Block());
    block.kernel = one.kernel, block.arguments = one.arguments, block.arguments_end = one.arguments_end;
    block.dynamic_bytes = one.dynamic_bytes, block.clock = one.clock;
    return one;
}

static void put_back(Block&& one) {
    uint64_t clock = block.clock;
    block = std::move(one);
    block.clock = std::max(block.clock, clock);
}

ParkedBlock::ParkedBlock() : index(blockIdx) { parked = taken(); }

void ParkedBlock::go_on() {
    put_back(std::move(parked));
    blockIdx = index;
    memory.restore();
    block.at_grid = 0;
    for (auto& t : block.threads)
        if (t.state == AT_GRID) t.state = READY;
    block.synced = ++block.clock;
}

// A thread waits here until all threads of all blocks have come, or have ended.
void grid_barrier(Site here) {
    current().state = AT_GRID;
    current().where = here;
    ++block.at_grid;
    give_way();
}

Suspended::Suspended()
    : thread(current()),
      index(threadIdx),
      of_block(blockIdx),
      threads(blockDim),
      blocks(gridDim),
      most_shared(options.total_shared) {
    waiting = taken();
    launch = std::exchange(running, Running());
}

Suspended::~Suspended() {
    put_back(std::move(waiting));
    running = std::move(launch);
    threadIdx = index, blockIdx = of_block, blockDim = threads, gridDim = blocks;
    options.total_shared = most_shared;
    memory.restore();
    block.current = &thread;
}
}  // namespace emu
