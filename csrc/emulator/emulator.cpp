// Runs one CUDA block at a time, each CUDA thread as a fiber.
// A thread runs until it returns or reaches a barrier or a warp collective; then the next one is resumed.
// The order of ready threads can be shuffled, so that a kernel that depends on it gives different answers.
#include "emulator.h"

#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <random>
#include <utility>

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace emu {
Options options;
Block block;
static Thread body;
static void* body_args;
static std::string failure;
static uint64_t blocks_in_all, blocks_begun;
// At one place, so that `extern __shared__` can name it anywhere.
alignas(1024) char dynamic_memory[MOST_SHARED + 1024];

using Clock = std::chrono::steady_clock;
static uint64_t moves;  // of threads that ended or passed a barrier

bool on_kernel() { return block.current != nullptr; }

std::string text(uint3 v) {
    return "(" + std::to_string(v.x) + "," + std::to_string(v.y) + "," + std::to_string(v.z) + ")";
}

void fail_launch(const std::string& what) {
    if (failure.empty()) failure = what + "\n  kernel " + block.kernel;
}

static std::vector<int> order;  // of the threads of a block
static size_t position;         // in it, of the thread that runs
static uint64_t resumes;
uint64_t resumed() { return resumes; }

// The thread that the round comes to next, now the current one; nullptr at the round's end, or after a failure.
static ThreadState* next_of_round() {
    if (!failure.empty()) return nullptr;
    while (++position < order.size()) {
        auto& next = block.threads[order[position]];
        if (next.state != READY) continue;
        block.progress = true;
        ++resumes;
        block.current = &next;
        threadIdx = next.index;
        return &next;
    }
    return nullptr;
}

static void enter();  // the first code on a fresh stack

// The current thread has to wait: the next one of the round goes on, at the round's end the scheduler.
static void yield() {
    auto& me = *block.current;
    auto* next = next_of_round();
    if (next && !next->fiber.stack) next->fiber.start(enter);
    if (next)
        change(me.fiber, next->fiber);
    else
        pause(me.fiber);
}

static void end_thread(ThreadState& t) {
    if (t.fiber.overflowed() && failure.empty()) failure = "stack: a thread used more than 128 KiB of local memory";
    t.state = DONE;
    --block.alive;
    ++moves;
}

// A thread that has ended leaves its stack to the next, if that has not begun: one without barriers never switches.
static void enter() {
    for (;;) {
        body(body_args);
        auto& ended = *block.current;
        end_thread(ended);
        auto* next = next_of_round();
        if (next && !next->fiber.stack) {
            std::swap(next->fiber, ended.fiber);
            continue;
        }
        Fiber last = ended.fiber;
        ended.fiber.finish();
        if (next)
            change(last, next->fiber);
        else
            pause(last);
        __builtin_unreachable();
    }
}

static void resume(ThreadState& t) {
    ++resumes;
    if (!t.fiber.stack) t.fiber.start(enter);
    block.current = &t;
    threadIdx = t.index;
    t.fiber.resume();
}

void fail(const std::string& what) {
    if (failure.empty())
        failure = what + "\n  kernel " + block.kernel + ", block " + text(blockIdx) + ", thread " +
                  text(block.current->index);
    block.current->state = DONE;
    --block.alive;
    yield();
    __builtin_unreachable();  // an abandoned fiber is never resumed
}

// Others may run first.  A thread that waits for a change of memory calls this, or no one could ever make the change.
void give_way() {
    if (block.current) yield();
}

// The thread asked for a word and found nothing new.
void poll(const void* address, const void* where) {
    auto* t = block.current;
    if (!t) return;
    t->polls = t->polled == address && t->polled_at == where ? t->polls + 1 : 1;
    t->polled = address, t->polled_at = where;
    yield();
}

std::string place(Site s) {
    std::string file = s.file ? s.file : "?";
    return file.substr(file.rfind('/') + 1) + ":" + std::to_string(s.line);
}

std::string place(const void* code_address) {
    Dl_info info;
    if (!code_address || !dladdr(code_address, &info)) return "?";
    char text[32];
    std::snprintf(text, sizeof text, "@0x%zx", size_t((char*)code_address - (char*)info.dli_fbase) - 1);
    return text;
}

// ---------------------------------------------------------------------------------------------------- scheduling

std::string waiting_threads() {
    int n[5] = {};
    const ThreadState *at_barrier = nullptr, *in_warp = nullptr;
    for (auto& t : block.threads) {
        ++n[t.state];
        if (t.state == AT_BARRIER) at_barrier = &t;
        if (t.state == AT_WARP) in_warp = &t;
    }
    std::string s;
    auto waiting = [&](State state, const ThreadState* one, const char* where) {
        if (one)
            s += std::to_string(n[state]) + " threads wait " + where + " at " + place(one->where) + ", thread " +
                 text(one->index) + " for one, ";
    };
    waiting(AT_BARRIER, at_barrier, "at __syncthreads"), waiting(AT_WARP, in_warp, "in a warp collective");
    int spinning = 0;
    const ThreadState* spinner = nullptr;
    for (auto& t : block.threads)
        if (t.state == READY && t.polls) ++spinning, spinner = &t;
    if (spinner) {
        std::string name = array_name(spinner->polled);
        s += std::to_string(spinning) + " threads ask for " + (name.empty() ? "one word" : name) +
             " again and again at " + place(spinner->polled_at) + ", thread " + text(spinner->index) + " for one, ";
    }
    if (blocks_begun < blocks_in_all)
        s += std::to_string(blocks_in_all - blocks_begun) + " blocks of the grid have not begun, ";
    return s + std::to_string(n[DONE]) + " have returned\n  kernel " + block.kernel + ", block " + text(blockIdx);
}

// Every thread that could run waits for a change of memory, and none has come for as long as the user has patience.
static bool hangs() {
    static uint64_t moves_then;
    static Clock::time_point since;
    for (auto& t : block.threads)
        if (t.state == READY && t.polls < 1000) return false;
    auto now = Clock::now();
    if (std::exchange(moves_then, moves) != moves) since = now;
    return std::chrono::duration<double>(now - since).count() > options.patience;
}

// Everyone alive is at a barrier: let them go on, unless they are at different ones or some have left.
static void release() {
    Site where = {};
    const ThreadState* gone = nullptr;
    block.votes = 0;
    for (auto& t : block.threads) {
        if (t.state == DONE) gone = &t;
        if (t.state != AT_BARRIER) continue;
        block.votes += std::exchange(t.vote, 0);
        if (where.file && !(t.where == where) && failure.empty())
            failure = "divergence: threads of one block wait at different __syncthreads, at " + place(where) + " and " +
                      place(t.where) + "\n  kernel " + block.kernel + ", block " + text(blockIdx);
        where = t.where;
        t.state = READY;
    }
    int left = int(block.threads.size()) - block.alive;
    if (left && failure.empty())
        failure = "divergence: " + std::to_string(left) + " threads returned before the __syncthreads at " +
                  place(where) + ", thread " + text(gone->index) + " for one\n  kernel " + block.kernel + ", block " +
                  text(blockIdx);
    block.waiting = 0;
    block.synced = ++block.clock;
    ++moves;
    if (!options.checking) return;
    for (auto& t : block.threads) {
        join(block.acquired, t.order.acquired);
        t.order.acquired.clear();
    }
}

// What all blocks of a launch have in common.
static void number_threads() {
    int n = blockDim.x * blockDim.y * blockDim.z;
    block.threads.resize(n);
    block.warps.resize((n + 31) / 32);
    for (int i = 0; i < n; ++i) {
        auto& t = block.threads[i];
        unsigned u = i;
        t.id = i;
        t.index = {u % blockDim.x, u / blockDim.x % blockDim.y, u / (blockDim.x * blockDim.y)};
    }
    for (int w = 0; w < int(block.warps.size()); ++w)
        block.warps[w].lanes = n - 32 * w >= 32 ? ~0u : (1u << (n - 32 * w)) - 1;
}

static void start_block() {
    int n = int(block.threads.size());
    for (auto& t : block.threads) {
        t.state = READY, t.groups = 0, t.polls = 0, t.polled = nullptr, t.vote = 0;
        t.copies.clear();
        if (options.checking) t.order = {};
    }
    for (auto& w : block.warps) {
        w.synced = 0;
        w.paired.clear();
    }
    block.acquired.clear();
    ++moves;
    ++blocks_begun;
    block.alive = n, block.waiting = 0, block.synced = ++block.clock;
    std::memset(__start_emu_shared, 0xff, __stop_emu_shared - __start_emu_shared);  // a NaN: what is not written shows
    std::memset(dynamic_memory, 0xff, block.dynamic_bytes);
    for (auto& v : shared_variables()) v.seen = false;
}

// ----------------------------------------------------------------------------------- __shared__ variables by name

std::vector<SharedVariable>& shared_variables() {
    static std::vector<SharedVariable> all;
    return all;
}

// A thread passes the declaration of a __shared__ variable; the first of the block finds it full of NaN bytes.
void* shared_variable(const void* tag, const char* name, size_t bytes, size_t alignment, Site here) {
    auto& all = shared_variables();
    auto v = std::find_if(all.begin(), all.end(), [tag](auto& one) { return one.tag == tag; });
    if (v == all.end()) {
        SharedVariable made{tag, name, std::vector<char>(bytes + 1024), nullptr, bytes, false};
        auto room = uintptr_t(made.memory.data()), step = std::max<uintptr_t>(alignment, 128);
        made.start = reinterpret_cast<char*>((room + step - 1) / step * step);
        all.push_back(std::move(made));
        v = all.end() - 1;
    }
    if (!v->seen) {
        v->seen = true;
        std::memset(v->start, 0xff, bytes);
        size_t fixed = 0;
        for (auto& one : all) fixed += one.seen ? one.bytes : 0;
        auto refuse = [&](const std::string& what, size_t most) {
            fail("launch: " + what + ", and a block may have " + std::to_string(most) + ", at " + place(here));
        };
        if (fixed > options.static_shared)
            refuse(std::to_string(fixed) + " bytes of __shared__ variables", options.static_shared);
        if (fixed + block.dynamic_bytes > options.total_shared)
            refuse(std::to_string(fixed) + " bytes of __shared__ variables and " + std::to_string(block.dynamic_bytes) +
                       " of dynamic shared memory",
                   options.total_shared);
        add_shared(*v);
    }
    return v->start;
}

static void run_block(std::mt19937& rng) {
    start_block();
    check_block_start();
    while (block.alive && failure.empty()) {
        if (options.seed > 1) std::shuffle(order.begin(), order.end(), rng);
        block.progress = false;
        for (position = 0; position < order.size() && failure.empty(); ++position)
            if (block.threads[order[position]].state == READY) {
                block.progress = true;
                resume(block.threads[order[position]]);
            }
        if (!failure.empty() || !block.alive) break;
        if (block.waiting == block.alive)
            release();
        else if (!block.progress && !complete_collectives() && !gather())
            failure = "deadlock: the block can never go on: " + waiting_threads();
        else if (hangs())
            failure = "hang: every thread that could run waits for a change that no one makes: " + waiting_threads();
    }
    for (auto& t : block.threads) t.fiber.finish();  // after a failure: abandon what still runs
    check_block_end();
    block.current = nullptr;
}

template <class T>
static std::vector<T> numbered(size_t n) {
    std::vector<T> order(n);
    std::iota(order.begin(), order.end(), T(0));
    if (options.seed == 1) std::reverse(order.begin(), order.end());
    return order;
}

static void check_shape(const char* name, dim3 grid, dim3 b, size_t shared_bytes) {
    auto refuse = [&](const std::string& what) { throw Fault(std::string("launch: ") + name + ": " + what); };
    if (uint64_t(b.x) * b.y * b.z > 1024 || b.z > 64) refuse("a block has at most 1024 threads, 64 along z");
    if (!b.x || !b.y || !b.z) refuse("a block without threads");
    if (grid.x > 0x7fffffff || grid.y > 65535 || grid.z > 65535)
        refuse("a grid has at most 2^31 - 1, 65535 and 65535 blocks");
    if (shared_bytes > MOST_SHARED) refuse("more than 227 KiB of dynamic shared memory");
}

void run(const char* name, dim3 grid, dim3 b, size_t shared_bytes, Thread thread, void* args, size_t args_bytes) {
    check_shape(name, grid, b, shared_bytes);
    body = thread, body_args = args, gridDim = grid, blockDim = b;
    block.kernel = name, block.arguments = uintptr_t(args), block.arguments_end = block.arguments + args_bytes;
    block.dynamic_bytes = shared_bytes;
    failure.clear();
    std::mt19937 rng(options.seed);
    order = numbered<int>(size_t(b.x) * b.y * b.z);
    auto blocks = numbered<uint64_t>(size_t(grid.x) * grid.y * grid.z);
    if (options.seed > 1) std::shuffle(blocks.begin(), blocks.end(), rng);
    if (options.sample) blocks = sampled_blocks(name, grid, b, shared_bytes);
    blocks_in_all = blocks.size(), blocks_begun = 0;
    number_threads();
    check_launch_start();
    for (uint64_t i : blocks) {
        blockIdx = {unsigned(i % grid.x), unsigned(i / grid.x % grid.y), unsigned(i / grid.x / grid.y)};
        block.id = i;
        run_block(rng);
        if (!failure.empty()) throw Fault(std::exchange(failure, {}));
    }
}

// ------------------------------------------------------------------------------------------------------ cp.async

// The copy happens when the thread waits for it, as late as the rules allow: without the wait, stale bytes are read.
void copy_async(void* shared, const void* global, size_t bytes, const void* where) {
    Copy copy{shared, global, bytes, block.current->groups, where};
    copy_issued(copy);
    block.current->copies.push_back(copy);
}
void copy_commit() { ++block.current->groups; }
void copy_wait(int left) {
    auto& copies = block.current->copies;
    auto landed = copies.begin();
    for (; landed != copies.end() && landed->group < block.current->groups - left; ++landed) {
        copy_landed(*landed);
        if (landed->from)
            std::memcpy(landed->to, landed->from, landed->bytes);
        else
            std::memset(landed->to, 0, landed->bytes);  // the zero fill of a source of size 0
    }
    copies.erase(copies.begin(), landed);
}
}  // namespace emu
