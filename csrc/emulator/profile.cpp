// Counts what the accesses of a kernel would cost on a GPU, by line of source: the 32-byte sectors of each global
// request of a warp, and the passes over the 32 banks of each shared one.  `ideal` is what the same bytes need at
// least. Lanes are brought together by how often each has passed the line since the last barrier.
#include <dlfcn.h>

#include <map>
#include <set>

#include "emulator.h"

namespace emu {
struct Request {
    uint64_t address[32];
    uint32_t mask = 0;
    uint8_t bytes = 0;
};
struct Tally {
    bool shared = false, write = false;
    uint64_t requests = 0, moved = 0, ideal = 0, lanes = 0;
    std::vector<uint32_t> passed;               // by each thread since the last barrier
    std::vector<std::vector<Request>> pending;  // [warp][how often its lanes have passed]
};
// One line may touch both memories: cp.async.  Never destroyed: a program's report is written at its very end.
static auto& sites = *new std::map<std::pair<const void*, bool>, Tally>;
static uint64_t flushed_at;
static unsigned blocks_counted;

static void count_global(Tally& t, const Request& r) {
    std::set<uint64_t> words, sectors;
    for (int l = 0; l < 32; ++l)
        if (r.mask >> l & 1)
            for (uint64_t a = r.address[l]; a < r.address[l] + r.bytes; a += 4) words.insert(a / 4);
    for (uint64_t w : words) sectors.insert(w / 8);
    t.moved += sectors.size();
    t.ideal += (words.size() * 4 + 31) / 32;
}

static void count_shared(Tally& t, const Request& r) {
    int lanes = r.bytes == 16 ? 8 : r.bytes == 8 ? 16 : 32;  // wide accesses go a part of the warp at a time
    for (int first = 0; first < 32; first += lanes) {
        std::set<uint64_t> words[32];  // by bank
        for (int l = first; l < first + lanes; ++l)
            if (r.mask >> l & 1)
                for (uint64_t a = r.address[l] / 4; a <= (r.address[l] + r.bytes - 1) / 4; ++a) words[a % 32].insert(a);
        size_t worst = 0;
        for (auto& bank : words) worst = std::max(worst, bank.size());
        t.moved += worst;
        t.ideal += worst > 0;
    }
}

static void flush() {
    for (auto& [key, t] : sites) {
        for (auto& warp : t.pending) {
            for (auto& r : warp) {
                t.shared ? count_shared(t, r) : count_global(t, r);
                ++t.requests;
                t.lanes += __builtin_popcount(r.mask);
            }
            warp.clear();
        }
        t.passed.assign(block.threads.size(), 0);
    }
    flushed_at = block.synced;
}

void count_access(bool shared, bool write, uintptr_t address, size_t bytes, const void* where) {
    if (blocks_counted >= options.profile) return;
    if (flushed_at != block.synced) flush();  // a barrier brings the lanes together again
    Tally& t = sites[{where, shared}];
    t.shared = shared, t.write = write;
    t.passed.resize(block.threads.size());
    t.pending.resize(block.warps.size());
    int id = block.current->id;
    size_t n = t.passed[id]++;
    auto& list = t.pending[id / 32];
    if (list.size() <= n) list.resize(n + 1);
    auto& r = list[n];
    r.bytes = uint8_t(bytes), r.mask |= 1u << id % 32, r.address[id % 32] = address;
}

void count_launch_start() { blocks_counted = 0; }
void count_block_start() {
    for (auto& [key, t] : sites) t.pending.clear(), t.passed.clear();
    flushed_at = block.synced;
}
void count_block_end() {
    if (blocks_counted++ < options.profile) flush();
}

std::vector<SiteRow> profile_rows() {
    std::vector<SiteRow> rows;
    Dl_info info{};
    for (auto& [key, t] : sites) {
        const void* where = key.first;
        dladdr(where, &info);
        rows.push_back({size_t((char*)where - (char*)info.dli_fbase) - 1, t.shared, t.write, t.requests, t.moved,
                        t.ideal, t.lanes});
    }
    sites.clear();
    return rows;
}
}  // namespace emu
