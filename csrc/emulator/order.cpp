// The logs of flags, and the question whether an access lies before another by way of them.
#include "order.h"

#include <algorithm>
#include <set>

#include "emulator.h"

namespace emu {
static std::map<uintptr_t, Flag> flags;  // by address; an address that was freed and used again only knows more

void acquire(std::vector<Acquired>& known, Acquired one) {
    for (auto& k : known)
        if (k.flag == one.flag) {
            k.clock = std::max(k.clock, one.clock);
            return;
        }
    known.push_back(one);
}

void join(std::vector<Acquired>& known, const std::vector<Acquired>& others) {
    for (auto& one : others) acquire(known, one);
}

static bool covered(const std::map<uint64_t, std::vector<Release>>& log, uint64_t who, uint64_t clock, uint64_t until,
                    bool same_block) {
    auto found = log.find(who);
    if (found == log.end()) return false;
    for (auto r = found->second.rbegin(); r != found->second.rend(); ++r)
        if (r->clock <= until && r->fenced > clock && (!r->own_block || same_block)) return true;
    return false;
}

bool knows(const std::vector<Acquired>& known, uint64_t thread, uint64_t of_block, uint64_t clock, uint64_t my_block) {
    std::set<const Flag*> seen;
    std::vector<Acquired> open = known;
    while (!open.empty()) {
        Acquired one = open.back();
        open.pop_back();
        if (!seen.insert(one.flag).second) continue;
        bool same = of_block == my_block;
        if (thread && covered(one.flag->threads, thread, clock, one.clock, same)) return true;
        if (covered(one.flag->blocks, of_block, clock, one.clock, same)) return true;
        for (auto& [when, further] : one.flag->through)
            if (when <= one.clock) open.push_back(further);
    }
    return false;
}

void fence(bool of_device) {
    if (!options.checking || !block.current) return;
    Order& o = block.current->order;
    o.near_fenced = ++block.clock, o.near_block = block.synced;
    if (of_device) o.fenced = o.near_fenced, o.fenced_block = o.near_block;
}

// A volatile or atomic access: the order that a flag makes.
void flag_access(uintptr_t address, bool reads, bool writes) {
    Order& o = block.current->order;
    uint64_t me = block.id * 1024 + block.current->id + 1;
    if (writes && o.near_fenced) {
        Flag& flag = flags[address];
        uint64_t now = ++block.clock;
        auto publish = [&](uint64_t fenced, uint64_t synced, bool own_block) {
            if (!fenced) return;
            flag.threads[me].push_back({now, fenced, own_block});
            flag.blocks[block.id].push_back({now, synced, own_block});
        };
        publish(o.fenced, o.fenced_block, false);
        if (o.near_fenced != o.fenced) publish(o.near_fenced, o.near_block, true);
        for (auto& known : {&o.acquired, &block.acquired})
            for (auto& one : *known)
                if (one.flag != &flag) flag.through.push_back({now, one});
    }
    if (reads) {
        auto found = flags.find(address);
        if (found != flags.end()) acquire(o.acquired, {&found->second, block.clock});
    }
}

void forget_flags() { flags.clear(); }
}  // namespace emu
