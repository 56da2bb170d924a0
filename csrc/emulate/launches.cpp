// Launches: from the host, from a kernel (dynamic parallelism), and of a whole grid that waits for itself.
#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "process.h"

namespace emu {
void watch_clock(bool on);  // process.cpp

struct Child {
    Call call;
    uint64_t of_block;
};
static std::vector<Child> children;  // launched by the kernel that runs, and not begun
static int depth;                    // of kernels that launched kernels
constexpr int DEEPEST = 24;
static size_t allowed_shared;
static bool cooperative;             // the launch that runs
static cudaError_t launched;

void allow_shared(const void*, size_t bytes) { allowed_shared = std::max(allowed_shared, bytes); }
static size_t most_dynamic() { return std::max(shared_limit(false), std::min(allowed_shared, shared_limit(true))); }

static std::string wrong_shape(const Config& c) {
    if (!c.grid.x || !c.grid.y || !c.grid.z) return "a grid without blocks";
    if (!c.block.x || !c.block.y || !c.block.z) return "a block without threads";
    if (uint64_t(c.block.x) * c.block.y * c.block.z > 1024)
        return "a block of " + std::to_string(uint64_t(c.block.x) * c.block.y * c.block.z) +
               " threads, at most 1024 are";
    if (c.block.x > 1024 || c.block.y > 1024 || c.block.z > 64) return "a block has at most 1024, 1024 and 64 threads";
    if (c.grid.x > 0x7fffffff || c.grid.y > 65535 || c.grid.z > 65535)
        return "a grid has at most 2^31 - 1, 65535 and 65535 blocks";
    return "";
}

static int resident_blocks(dim3 b) { return std::min(32, int(2048 / (b.x * b.y * b.z))); }  // of the whole GPU

// Why a launch cannot be, with the error that CUDA gives; nothing if it can.
static std::pair<cudaError_t, std::string> wrong_launch(const Call& call) {
    std::string why = wrong_shape(call.config);
    if (!why.empty()) return {cudaErrorInvalidConfiguration, why};
    size_t most = most_dynamic();
    if (call.config.shared > most) {
        bool could = call.config.shared <= shared_limit(true);
        return {cudaErrorInvalidValue, std::to_string(call.config.shared) +
                                           " bytes of dynamic shared memory, at most " + std::to_string(most) +
                                           (could ? " without cudaFuncSetAttribute" : " on this architecture")};
    }
    auto& g = call.config.grid;
    if (call.cooperative && uint64_t(g.x) * g.y * g.z > uint64_t(resident_blocks(call.config.block)))
        return {cudaErrorCooperativeLaunchTooLarge,
                "a cooperative launch of " + std::to_string(uint64_t(g.x) * g.y * g.z) + " blocks, and " +
                    std::to_string(resident_blocks(call.config.block)) + " fit on the GPU at once"};
    return {cudaSuccess, ""};
}

static void run_children(std::vector<Child> some);

// A sampled launch says of which types its arguments are: they tell the instances of a template apart.
static const char* name_of(const Call& call) {
    static auto& names = *new std::set<std::string>;
    return options.sample ? names.insert(std::string(call.name) + "@" + call.types).first->c_str() : call.name;
}

// Run a kernel and then, as late as the rules allow, the kernels that it launched.
static void run_call(const Call& call) {
    auto others = std::exchange(children, {});
    bool outer = std::exchange(cooperative, call.cooperative);
    options.total_shared = std::max(most_dynamic(), shared_limit(false));
    try {
        run(name_of(call), call.config.grid, call.config.block, call.config.shared, call.body, call.data.get(),
            call.bytes, true);
    } catch (const Fault& fault) {
        std::string said = fault.what();
        bool hung = said.rfind("hang:", 0) == 0 || said.rfind("deadlock:", 0) == 0;
        end_with(hung ? HUNG : FAULT, said + "\n  launched at " + place(call.site));
    }
    cooperative = outer;
    run_children(std::exchange(children, std::move(others)));
}

static void run_children(std::vector<Child> some) {
    if (some.empty()) return;
    if (++depth > DEEPEST)
        end_with(FAULT, "launch: kernels are nested more than " + std::to_string(DEEPEST) + " deep, by " +
                            some[0].call.name + " at " + place(some[0].call.site));
    for (auto& one : some) run_call(one.call);
    --depth;
}

void wait_for_children(Site here) {
    if (architecture() >= 90) refuse(here, "cudaDeviceSynchronize in device code, which compute capability 9.0 ended");
    if (options.checking) refuse(here, "cudaDeviceSynchronize in device code, where accesses are watched");
    note("cudaDeviceSynchronize in device code: CUDA 12 takes it with -DCUDA_FORCE_CDP1_IF_SUPPORTED, "
         "CUDA 13 does not");
    std::vector<Child> mine, others;
    for (auto& one : children) (one.of_block == block.id ? mine : others).push_back(one);
    if (mine.empty()) return;
    children = std::move(others);
    Suspended parent;
    run_children(std::move(mine));
}

static void enqueue_child(const Call& call) {
    if (call.config.stream) refuse(call.site, "a stream of a launch in device code");
    if (options.sample) refuse(call.site, "dynamic parallelism in a prediction");
    auto [error, why] = wrong_launch(call);
    launched = error;
    if (error == cudaSuccess) {
        children.push_back({call, block.id});
        return;
    }
    why = std::string("the launch of ") + call.name + " by a kernel: " + why;
    if (options.checking) fail("call: " + why + ", at " + place(call.site));
    set_error(error);
    note("a call failed: " + why + ", at " + place(call.site));
}

std::function<void()> launch_of(const Call& call) {
    auto [error, why] = wrong_launch(call);
    launched = error;
    if (error != cudaSuccess) {
        failed(error, call.site, std::string("the launch of ") + call.name + ": " + why);
        return {};
    }
    return [call] {
        OpenMemory open;
        watch_clock(true);
        run_call(call);
        watch_clock(false);
    };
}

void enqueue(const Call& call) {
    if (on_kernel()) return enqueue_child(call);
    if (auto run = launch_of(call)) launched = submit(call.config.stream, call.site, call.name, run);
}

// ------------------------------------------------------------------------- kernels by address, the grid's barrier

static auto& kernels = *new std::map<const void*, Packer>;
void* keep_kernel(void* kernel, Packer packer) {
    kernels.emplace(kernel, std::move(packer));
    return kernel;
}
const Packer* kernel_at(const void* kernel) {
    auto found = kernels.find(kernel);
    return found == kernels.end() ? nullptr : &found->second;
}
cudaError_t launch_at(const void* kernel, Site here, const Config& config, void** args, bool together) {
    auto* packer = kernel_at(kernel);
    if (!packer) return failed(cudaErrorInvalidDeviceFunction, here, "a launch of what is no kernel of this file");
    Call call = (*packer)(here, config, args);
    call.cooperative = together;
    enqueue(call);
    return launched;
}

bool in_cooperative_launch() { return cooperative; }
void grid_barrier(Site);  // csrc/emulator/suspend.cpp
void grid_sync(Site here) {
    if (options.checking) refuse(here, "the grid's barrier where accesses are watched");
    if (!cooperative) fail("launch: the grid's barrier in a kernel that no cudaLaunchCooperativeKernel launched, at " +
                           place(here));
    grid_barrier(here);
}

void launch_bounds(unsigned most, Site here) {
    unsigned threads = blockDim.x * blockDim.y * blockDim.z;
    if (threads > most)
        fail("launch: a block of " + std::to_string(threads) + " threads, but __launch_bounds__ allows " +
             std::to_string(most) + ", at " + place(here));
}
}  // namespace emu

