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
Running running;
static std::string failure;
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

static uint64_t resumes;
Unbegun unbegun;
uint64_t resumed() { return resumes + (running.in_line ? running.order.size() - unbegun.left : 0); }

// The thread that the round comes to next, now the current one; nullptr at the round's end, or after a failure.
static ThreadState* next_of_round() {
    if (!failure.empty()) return nullptr;
    while (++running.position < running.order.size()) {
        auto& next = block.threads[running.order[running.position]];
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
    auto& me = current();
    auto* next = next_of_round();
    if (next && !next->fiber.stack) next->fiber.start(enter);
    if (next)
        change(me.fiber, next->fiber);
    else
        pause(me.fiber);
}

static void check_stack(const ThreadState& t) {
    if (t.fiber.overflowed() && failure.empty()) failure = "stack: a thread used more than 128 KiB of local memory";
}

static void end_thread(ThreadState& t) {
    check_stack(t);
    t.state = DONE;
    --block.alive;
    ++moves;
}

// A thread has ended and leaves its stack to the next, if that has not begun: one without barriers never switches.
// Else this stack is done with, and the call does not return.
bool next_after_wait() {
    auto& ended = running.in_line ? block.threads[running.order[0]] : *block.current;
    ThreadState* next = nullptr;
    if (running.in_line) {
        check_stack(ended);
        block.alive = 0;
        moves += running.order.size(), resumes += running.order.size();
        running.in_line = false;
    } else {
        end_thread(ended);
        next = next_of_round();
        if (next && !next->fiber.stack) {
            std::swap(next->fiber, ended.fiber);
            return true;
        }
    }
    Fiber last = ended.fiber;
    ended.fiber.finish();
    if (next)
        change(last, next->fiber);
    else
        pause(last);
    __builtin_unreachable();
}

static void enter() {
    if (running.loops) running.body(running.args);
    for (;;) {
        running.body(running.args);
        next_thread();
    }
}

static void reset(ThreadState& t, State state) {
    t.state = state, t.groups = 0, t.polls = 0, t.polled = nullptr, t.vote = 0;
    t.copies.clear();
    if (options.checking) t.order = {};
}

// A thread of the line has to wait, or someone asks for it: from here on each has a state of its own.
static void leave_line() {
    running.in_line = false;
    size_t begun = running.order.size() - std::exchange(unbegun.left, 0);
    running.position = begun - 1;
    for (size_t i = 0; i < running.order.size(); ++i)
        reset(block.threads[running.order[i]], i < running.position ? DONE : READY);
    auto& me = block.threads[running.order[running.position]];
    if (running.position) std::swap(me.fiber, block.threads[running.order[0]].fiber);
    block.alive = int(running.order.size() - running.position);
    moves += running.position, resumes += begun;
    block.current = &me;
}

ThreadState& current() {
    if (running.in_line) leave_line();
    return *block.current;
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
                  text(current().index);
    current().state = DONE;
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
    if (!block.current) return;
    auto* t = &current();
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
    if (block.current) current();  // each thread has a state from here on
    int n[AT_GRID + 1] = {};
    const ThreadState* one_of[AT_GRID + 1] = {};
    for (auto& t : block.threads) ++n[t.state], one_of[t.state] = &t;
    std::string s;
    auto waiting = [&](State state, const char* where) {
        if (auto* one = one_of[state])
            s += std::to_string(n[state]) + " threads wait " + where + " at " + place(one->where) + ", thread " +
                 text(one->index) + " for one, ";
    };
    waiting(AT_BARRIER, "at __syncthreads"), waiting(AT_WARP, "in a warp collective");
    waiting(AT_GRID, "at the grid's barrier");
    int spinning = 0;
    const ThreadState* spinner = nullptr;
    for (auto& t : block.threads)
        if (t.state == READY && t.polls) ++spinning, spinner = &t;
    if (spinner) {
        std::string name = array_name(spinner->polled);
        s += std::to_string(spinning) + " threads ask for " + (name.empty() ? "one word" : name) +
             " again and again at " + place(spinner->polled_at) + ", thread " + text(spinner->index) + " for one, ";
    }
    if (running.blocks_begun < running.blocks_in_all)
        s += std::to_string(running.blocks_in_all - running.blocks_begun) + " blocks of the grid have not begun, ";
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

// Everyone alive is at a barrier: let them go on, unless they are at different ones or some have left.  Since Volta a
// barrier waits only for threads that have not ended, so in a plain run of someone's file those who left are no fault.
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
    if (left && failure.empty() && (options.checking || !options.ended_lanes))
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
    if (!running.in_line)
        for (auto& t : block.threads) reset(t, READY);
    for (auto& w : block.warps) {
        w.synced = 0;
        w.paired.clear();
    }
    block.acquired.clear();
    ++moves;
    ++running.blocks_begun;
    block.alive = n, block.waiting = 0, block.synced = ++block.clock;
    std::memset(__start_emu_shared, 0xff, __stop_emu_shared - __start_emu_shared);  // a NaN: what is not written shows
    std::memset(dynamic_memory, 0xff, block.dynamic_bytes);
    for (auto& v : shared_variables()) v.seen = false;
}

// The threads of a block as far as none has to wait; false if one had to, and the round goes on behind it.
static bool run_line() {
    auto& first = block.threads[running.order[0]];
    threadIdx = first.index;
    unbegun.left = unsigned(running.order.size()) - 1;
    resume(first);
    return !block.alive && failure.empty();
}

// Until its threads have ended, or all that are left wait at the grid's barrier.
static void run_block(std::mt19937& rng, bool goes_on = false) {
    bool lined = !goes_on && !options.checking && !options.profile && !options.sample && options.seed <= 1;
    running.in_line = lined;
    if (!goes_on) {
        start_block();
        check_block_start();
    }
    running.position = 0;
    block.progress = lined;
    if (lined && run_line()) {
        block.current = nullptr;
        return;
    }
    if (lined) ++running.position;
    while (block.alive && failure.empty()) {
        if (options.seed > 1) std::shuffle(running.order.begin(), running.order.end(), rng);
        for (; running.position < running.order.size() && failure.empty(); ++running.position)
            if (block.threads[running.order[running.position]].state == READY) {
                block.progress = true;
                resume(block.threads[running.order[running.position]]);
            }
        if (!failure.empty() || !block.alive) break;
        if (block.at_grid == block.alive) {
            block.current = nullptr;
            return;
        }
        if (block.waiting == block.alive)
            release();
        else if (!block.progress && !complete_collectives() && !gather())
            failure = "deadlock: the block can never go on: " + waiting_threads();
        else if (hangs())
            failure = "hang: every thread that could run waits for a change that no one makes: " + waiting_threads();
        block.progress = false;
        running.position = 0;
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

void run(const char* name, dim3 grid, dim3 b, size_t shared_bytes, Thread thread, void* args, size_t args_bytes,
         bool loops) {
    check_shape(name, grid, b, shared_bytes);
    running.body = thread, running.loops = loops, running.args = args, unbegun.backwards = options.seed == 1;
    gridDim = grid, blockDim = b;
    block.kernel = name, block.arguments = uintptr_t(args), block.arguments_end = block.arguments + args_bytes;
    block.dynamic_bytes = shared_bytes;
    failure.clear();
    std::mt19937 rng(options.seed);
    running.order = numbered<int>(size_t(b.x) * b.y * b.z);
    auto blocks = numbered<uint64_t>(size_t(grid.x) * grid.y * grid.z);
    if (options.seed > 1) std::shuffle(blocks.begin(), blocks.end(), rng);
    if (options.sample) blocks = sampled_blocks(name, grid, b, shared_bytes);
    running.blocks_in_all = blocks.size(), running.blocks_begun = 0;
    number_threads();
    check_launch_start();
    std::vector<ParkedBlock> parked;
    for (uint64_t i : blocks) {
        blockIdx = {unsigned(i % grid.x), unsigned(i / grid.x % grid.y), unsigned(i / grid.x / grid.y)};
        block.id = i;
        run_block(rng);
        if (!failure.empty()) throw Fault(std::exchange(failure, {}));
        if (block.alive) parked.emplace_back(), number_threads();
    }
    while (!parked.empty()) {  // all wait at the grid's barrier
        if (parked.size() < blocks.size())
            throw Fault("deadlock: " + std::to_string(parked.size()) + " blocks wait at the grid's barrier, and " +
                        std::to_string(blocks.size() - parked.size()) + " have ended\n  kernel " + name);
        std::vector<ParkedBlock> again;
        for (auto& one : parked) {
            one.go_on();
            run_block(rng, true);
            if (!failure.empty()) throw Fault(std::exchange(failure, {}));
            if (block.alive) again.emplace_back();
        }
        parked = std::move(again);
    }
}
}  // namespace emu
