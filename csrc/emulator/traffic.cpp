// What a few blocks of each launch ask of a GPU's memories, for a prediction of time (tinymed/cuda/timing.py): tags of
// 128 bytes, sectors of 32 that miss a first-level cache of several sizes, passes over the banks of shared memory, and
// how much of what a block reads its neighbours have read.
//
// Only a block in the middle of the grid and its neighbours along x and y run, unchecked, so that a problem of full
// size can be asked.  Warps are taken to go in step: the n-th accesses of all warps to a line come before the n + 1st.
#include <dlfcn.h>

#include <algorithm>
#include <list>
#include <map>
#include <sstream>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "emulator.h"

namespace emu {
namespace {
struct Request {
    uint64_t address[32];
    uint32_t mask = 0;
    uint8_t bytes = 0;
};
struct Line {
    bool shared = false, write = false, atomic = false;
    std::vector<uint32_t> passed;               // by each thread since the last barrier
    std::vector<std::vector<Request>> pending;  // [warp][how often its lanes have passed]
};

// Lines of 128 bytes, the least recently used leaves; a line is filled sector by sector.
struct Cache {
    size_t lines;
    std::list<std::pair<uint64_t, unsigned>> used;  // (line, the sectors that are there), the latest first
    std::unordered_map<uint64_t, decltype(used)::iterator> at;
    bool misses(uint64_t sector) {
        uint64_t line = sector / 4;
        unsigned bit = 1u << sector % 4;
        auto found = at.find(line);
        if (found == at.end()) {
            if (used.size() == lines) at.erase(used.back().first), used.pop_back();
            used.emplace_front(line, bit);
            at[line] = used.begin();
            return true;
        }
        used.splice(used.begin(), used, found->second);
        bool missed = !(found->second->second & bit);
        found->second->second |= bit;
        return missed;
    }
};

using Sectors = std::unordered_set<uint64_t>;
std::map<std::pair<const void*, bool>, Line>& sites() {
    static auto& all = *new std::map<std::pair<const void*, bool>, Line>;
    return all;
}
std::vector<Launch>& launches() {
    static auto& all = *new std::vector<Launch>;
    return all;
}
std::vector<Cache> caches;
Sectors loaded[3], stored;  // by the block at x - 1, at y - 1, and the middle one
uint64_t flushed_at;
std::vector<uint64_t> chosen;

void global_request(Launch& l, const Line& site, const Request& r) {
    std::vector<uint64_t> sectors;
    for (int i = 0; i < 32; ++i)
        if (r.mask >> i & 1)
            for (uint64_t s = r.address[i] / 32; s <= (r.address[i] + r.bytes - 1) / 32; ++s) sectors.push_back(s);
    std::sort(sectors.begin(), sectors.end());
    sectors.erase(std::unique(sectors.begin(), sectors.end()), sectors.end());
    uint64_t tags = 0, last = ~0ull;
    for (uint64_t s : sectors) tags += s / 4 != last, last = s / 4;
    auto& n = l.numbers;
    n[site.write ? STORE_SECTORS : LOAD_SECTORS] += sectors.size();
    n[site.write ? STORE_TAGS : LOAD_TAGS] += tags;
    if (site.atomic) n[ATOMIC_LANES] += __builtin_popcount(r.mask);
    bool middle = block.id == chosen.back();
    for (uint64_t s : sectors) {
        if (site.write) {
            if (middle) stored.insert(s);
            continue;
        }
        for (size_t c = 0; c < caches.size(); ++c) n[L1_MISSES + c] += caches[c].misses(s);
        for (size_t i = 0; i < chosen.size(); ++i)
            if (block.id == chosen[i]) loaded[3 - chosen.size() + i].insert(s);
    }
}

// Passes over 32 banks of words.  Wide accesses go a part of the warp at a time; parts that ask for the same words, or
// for words of other banks, go together.  Atomic additions to one word go one after the other.
void shared_request(Launch& l, const Line& site, const Request& r) {
    int lanes = r.bytes == 16 ? 8 : r.bytes == 8 ? 16 : 32;
    auto passes = [&](int first, int count) {
        std::vector<uint64_t> words[32];
        size_t worst = 0;
        for (int i = first; i < first + count; ++i)
            if (r.mask >> i & 1)
                for (uint64_t w = r.address[i] / 4; w <= (r.address[i] + r.bytes - 1) / 4; ++w) {
                    auto& bank = words[w % 32];
                    if (site.atomic || std::find(bank.begin(), bank.end(), w) == bank.end()) bank.push_back(w);
                    worst = std::max(worst, bank.size());
                }
        return worst;
    };
    uint64_t phases = 0, whole = passes(0, 32);
    for (int first = 0; first < 32; first += lanes) phases += passes(first, lanes);
    l.numbers[site.write ? STORE_PASSES : LOAD_PASSES] += phases;
    l.numbers[site.write ? STORE_MERGED : LOAD_MERGED] += whole;
}

void flush() {
    flushed_at = block.synced;
    if (launches().empty()) return;
    Launch& l = launches().back();
    size_t most = 0;
    for (auto& [key, site] : sites())
        for (auto& warp : site.pending) most = std::max(most, warp.size());
    for (size_t n = 0; n < most; ++n)
        for (auto& [key, site] : sites())
            for (auto& warp : site.pending)
                if (n < warp.size()) {
                    const Request& r = warp[n];
                    site.shared ? shared_request(l, site, r) : global_request(l, site, r);
                    auto& row = l.rows[{key.first, site.shared, site.write}];
                    ++row.requests, row.bytes += r.bytes;
                }
    for (auto& [key, site] : sites()) {
        for (auto& warp : site.pending) warp.clear();
        site.passed.assign(block.threads.size(), 0);
    }
}

size_t fresh(bool left, bool up) {  // sectors of the middle block that these neighbours have not read
    size_t count = 0;
    for (uint64_t s : loaded[2]) count += !(left && loaded[0].count(s)) && !(up && loaded[1].count(s));
    return count;
}
}  // namespace

// The blocks that run: the one in the middle of the grid, last, and those before it along x and y.
std::vector<uint64_t> sampled_blocks(const char* name, dim3 grid, dim3 threads, size_t dynamic_bytes) {
    uint64_t middle = grid.x / 2 + uint64_t(grid.x) * (grid.y / 2 + uint64_t(grid.y) * (grid.z / 2));
    chosen.clear();
    if (grid.x > 1) chosen.push_back(middle - 1);
    if (grid.y > 1) chosen.push_back(middle - grid.x);
    chosen.push_back(middle);
    Launch l{};
    l.kernel = name, l.grid = grid, l.block = threads, l.dynamic_bytes = dynamic_bytes, l.blocks = chosen.size();
    launches().push_back(l);
    for (auto* s : {&loaded[0], &loaded[1], &loaded[2], &stored}) s->clear();
    return chosen;
}

void sample_block_start() {
    for (auto& [key, site] : sites()) site.pending.clear(), site.passed.clear();
    flushed_at = block.synced;
    caches.clear();
    for (size_t lines : {64, 128, 256, 512, 1024}) caches.push_back({lines, {}, {}});  // 8 to 128 KiB
}

void sample_block_end() {
    flush();
    if (block.id != chosen.back()) return;
    Launch& l = launches().back();
    bool x = l.grid.x > 1, y = l.grid.y > 1;
    if (x && !y) std::swap(loaded[0], loaded[1]);  // the only neighbour is the one along x
    l.numbers[FOOTPRINT] = fresh(false, false), l.numbers[FRESH_X] = fresh(x, false);
    l.numbers[FRESH_Y] = fresh(false, y), l.numbers[FRESH_BOTH] = fresh(x, y);
    l.numbers[STORED] = stored.size();
}

void sample_access(bool shared, Access kind, uintptr_t address, size_t bytes, const void* where) {
    if (flushed_at != block.synced) flush();  // a barrier brings the warps together again
    Line& site = sites()[{where, shared}];
    site.shared = shared, site.atomic = kind == ATOMIC;
    site.write = kind == WRITE || kind == VOLATILE_WRITE || kind == ATOMIC;
    site.passed.resize(block.threads.size());
    site.pending.resize(block.warps.size());
    int id = block.current->id;
    size_t n = site.passed[id]++;
    auto& list = site.pending[id / 32];
    if (list.size() <= n) list.resize(n + 1);
    auto& r = list[n];
    r.bytes = uint8_t(bytes), r.mask |= 1u << id % 32, r.address[id % 32] = address;
}

void sample_collective(Site where, bool barrier) {
    if (launches().empty()) return;
    ++launches().back().places[{where.file, where.line, barrier}];
}

std::string launches_as_json() {
    std::ostringstream out;
    auto list = [&](const char* name, auto& all, auto write) {
        out << ", \"" << name << "\": [";
        bool first = true;
        for (auto& one : all) out << (std::exchange(first, false) ? "" : ", "), write(one);
        out << "]";
    };
    auto three = [&](dim3 d) { out << "[" << d.x << ", " << d.y << ", " << d.z << "]"; };
    out << "[";
    bool first = true;
    for (auto& l : launches()) {
        out << (std::exchange(first, false) ? "" : ", ") << "{\"dynamic\": " << l.dynamic_bytes << ", \"blocks\": "
            << l.blocks << ", \"grid\": ", three(l.grid);
        out << ", \"block\": ", three(l.block);
        list("numbers", l.numbers, [&](uint64_t n) { out << n; });
        list("rows", l.rows, [&](auto& row) {
            auto& [code, shared, write] = row.first;
            Dl_info info{};
            dladdr(code, &info);
            out << "[" << size_t((char*)code - (char*)info.dli_fbase) - 1 << ", " << shared << ", " << write << ", "
                << row.second.requests << ", " << row.second.bytes << "]";
        });
        list("places", l.places, [&](auto& place) {
            auto& [file, line, barrier] = place.first;
            out << "[\"" << file << "\", " << line << ", " << barrier << ", " << place.second << "]";
        });
        out << ", \"kernel\": \"" << l.kernel << "\"}";
    }
    launches().clear();
    return out.str() + "]";
}
}  // namespace emu
