// Barriers of a block and collectives of a warp: who waits where, and when those that met go on.
#include <algorithm>
#include <cstring>

#include "emulator.h"

namespace emu {
void barrier(Site here) {
    if (options.sample) sample_collective(here, true);
    auto& me = current();
    me.state = AT_BARRIER, me.where = here;
    ++block.waiting;
    give_way();
}

int barrier_count(int predicate, Site here) {
    current().vote = predicate != 0;
    barrier(here);
    return block.votes;
}

unsigned lanes_existing() { return block.warps[current().id / 32].lanes; }

// A lane waits here until all that could still come have come, or have gone elsewhere: those who met are together.
unsigned lanes_together(Site here) {
    current().state = GATHERING;
    current().where = here;
    give_way();
    return current().mask;
}

// Nobody in the block can run: lanes that gather at one line go on as a group.
bool gather() {
    bool any = false;
    for (size_t first = 0; first < block.threads.size(); first += 32) {
        size_t last = std::min(first + 32, block.threads.size());
        for (size_t i = first; i < last; ++i) {
            if (block.threads[i].state != GATHERING) continue;
            Site where = block.threads[i].where;
            unsigned mask = 0;
            for (size_t k = i; k < last; ++k)
                if (block.threads[k].state == GATHERING && block.threads[k].where == where) mask |= 1u << (k - first);
            for (size_t k = i; k < last; ++k)
                if (mask >> (k - first) & 1) block.threads[k].state = READY, block.threads[k].mask = mask;
            any = true;
            break;  // the others of this warp may still join them later
        }
    }
    return any;
}

int lane() { return current().id % 32; }
void* dynamic_shared() { return dynamic_memory; }

// What lanes did before a __syncwarp lies before what they do after it.
static void order_lanes(Warp& warp, int first, unsigned mask) {
    uint64_t now = ++block.clock;
    if ((mask & warp.lanes) == warp.lanes) {
        warp.synced = now;
    } else {
        warp.paired.resize(32 * 32);
        for (int i = 0; i < 32; ++i)
            for (int j = 0; j < 32; ++j)
                if (mask >> i & mask >> j & 1) warp.paired[32 * i + j] = now;
    }
    std::vector<Acquired> known;
    for (int i = 0; i < 32; ++i)
        if (mask >> i & 1) join(known, block.threads[first + i].order.acquired);
    if (known.empty()) return;
    for (int i = 0; i < 32; ++i)
        if (mask >> i & 1) join(block.threads[first + i].order.acquired, known);
}

// Hand out what the lanes of `mask` brought, if all that it names have come.  A lane that has ended, or never was, may
// be asked to come no more; what it would have brought is a NaN.
static bool complete_collective(Warp& warp, int first, int mine, unsigned mask, Site here, bool orders) {
    for (int k = 1; k <= 32; ++k) {
        int i = (mine + k) % 32;  // the neighbour that is likely to come next is the first to be asked
        if (!(mask >> i & 1)) continue;
        auto* other = warp.lanes >> i & 1 ? &block.threads[first + i] : nullptr;
        bool ended = options.ended_lanes && (!other || other->state == DONE);
        if (!ended && !(other && other->state == AT_WARP && other->mask == mask && other->where == here)) return false;
    }
    unsigned came = 0;
    for (int i = 0; i < 32; ++i)
        if (mask >> i & warp.lanes >> i & 1 && block.threads[first + i].state == AT_WARP) came |= 1u << i;
    for (int i = 0; i < 32; ++i) {
        if (!(mask >> i & 1)) continue;
        if (came >> i & 1) {
            warp.seen[i] = warp.given[i];
            block.threads[first + i].state = READY;
            block.threads[first + i].came = came;
        } else {
            std::memset(&warp.seen[i], 0xff, sizeof warp.seen[i]);
        }
    }
    if (orders) order_lanes(warp, first, mask);
    block.progress = true;
    return true;
}

// Nobody in the block can run: lanes may have ended since the others of their warp began to wait for them.
bool complete_collectives() {
    bool any = false;
    for (auto& t : block.threads) {
        if (!options.ended_lanes || t.state != AT_WARP) continue;
        int first = t.id / 32 * 32;
        any |= complete_collective(block.warps[first / 32], first, t.id % 32, t.mask, t.where, t.orders);
    }
    return any;
}

void check_sources(unsigned mask, int own, int (*source)(int, int), int parameter, Site here) {
    unsigned came = current().came;
    if (!options.ended_lanes || came >> own & 1) return;
    for (int i = 0; i < 32; ++i)
        if (mask >> i & 1 && came >> (source(i, parameter) & 31) & 1) return;  // some may, others throw theirs away
    fail("mask: every lane of a shuffle reads from one that its mask leaves out, or that has ended, at " + place(here));
}

// The last lane of `mask` to arrive copies what all brought to `seen` and releases the others.
const Payload* exchange(unsigned mask, const Payload& mine, Site here, bool orders) {
    if (options.sample) sample_collective(here, false);
    auto* me = &current();
    int l = me->id % 32, first = me->id - l;
    auto& warp = block.warps[first / 32];
    if (!(mask >> l & 1))
        fail("divergence: a lane calls a warp collective whose mask leaves it out, at " + place(here));
    warp.given[l] = mine;
    me->state = AT_WARP, me->mask = mask, me->where = here;
    if (!complete_collective(warp, first, l, mask, here, orders)) {
        me->orders = orders;
        give_way();
    }
    return warp.seen;
}
}  // namespace emu
