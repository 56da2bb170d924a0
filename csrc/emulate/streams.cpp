// Streams and events.  What is submitted is done when someone waits for it, as late as the rules allow: a program that
// forgets to wait sees its old bytes, as it may on a GPU.
#include <chrono>
#include <map>
#include <vector>

#include "process.h"

namespace emu {
using Now = std::chrono::steady_clock;
struct Operation {
    cudaStream_t stream;
    Site where;
    const char* what;
    std::function<void()> run;
    std::vector<uint64_t> after;
};
// By number, in the order of submission.  Never destroyed: what is left is told at the very end.
static auto& pending = *new std::map<uint64_t, Operation>;
static uint64_t submitted;
struct Stream {
    bool blocking = true;
    uint64_t last = 0;
};
static std::map<cudaStream_t, Stream>& streams() {
    static std::map<cudaStream_t, Stream> all{{nullptr, {}}};
    return all;
}
static cudaStream_t known(cudaStream_t s) { return s == cudaStreamLegacy ? nullptr : s; }
static size_t allowed_shared;

void allow_shared(const void*, size_t bytes) { allowed_shared = std::max(allowed_shared, bytes); }

static uint64_t add(cudaStream_t stream, Site where, const char* what, std::function<void()> run,
                    std::vector<uint64_t> after = {}) {
    stream = known(stream);
    Stream& mine = streams()[stream];
    after.push_back(mine.last);
    if (!stream)  // the legacy default stream waits for the others, and they for it
        for (auto& [other, s] : streams())
            if (s.blocking) after.push_back(s.last);
    if (mine.blocking) after.push_back(streams()[nullptr].last);
    pending[++submitted] = {stream, where, what, std::move(run), std::move(after)};
    return mine.last = submitted;
}

static void finish(uint64_t number) {
    auto found = pending.find(number);
    if (found == pending.end()) return;
    Operation one = std::move(found->second);
    pending.erase(found);
    for (uint64_t before : one.after) finish(before);
    one.run();
}

void submit(cudaStream_t stream, Site where, const char* what, std::function<void()> run) {
    add(stream, where, what, std::move(run));
    if (pending.size() > 2000) finish(pending.begin()->first);
}
void finish_stream(cudaStream_t stream) { finish(streams()[known(stream)].last); }
void finish_all() {
    while (!pending.empty()) finish(pending.begin()->first);
}
size_t unfinished(std::string& first) {
    size_t launches = 0;
    for (auto& [number, one] : pending)
        if (one.run && std::string(one.what) != "an event") {
            if (!launches++) first = std::string(one.what) + " at " + place(one.where);
        }
    return launches;
}

// ------------------------------------------------------------------------------------------------------ launches

void watch_clock(bool on);  // process.cpp

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

void enqueue(const Call& call) {
    if (on_kernel()) refuse(call.site, std::string("dynamic parallelism (a kernel launches ") + call.name + ")");
    auto where = std::string("the launch of ") + call.name;
    std::string why = wrong_shape(call.config);
    if (!why.empty()) {
        failed(cudaErrorInvalidConfiguration, call.site, where + ": " + why);
        return;
    }
    size_t most = std::max(shared_limit(false), std::min(allowed_shared, shared_limit(true)));
    if (call.config.shared > most) {
        bool could = call.config.shared <= shared_limit(true);
        failed(cudaErrorInvalidValue, call.site,
               where + ": " + std::to_string(call.config.shared) + " bytes of dynamic shared memory, at most " +
                   std::to_string(most) + (could ? " without cudaFuncSetAttribute" : " on this architecture"));
        return;
    }
    submit(call.config.stream, call.site, call.name, [call, most] {
        options.total_shared = std::max(most, shared_limit(false));
        OpenMemory open;
        watch_clock(true);
        try {
            run(call.name, call.config.grid, call.config.block, call.config.shared, call.body, call.data.get(),
                call.bytes, true);
        } catch (const Fault& fault) {
            std::string said = fault.what();
            bool hung = said.rfind("hang:", 0) == 0 || said.rfind("deadlock:", 0) == 0;
            end_with(hung ? HUNG : FAULT, said + "\n  launched at " + place(call.site));
        }
        watch_clock(false);
    });
}

void launch_bounds(unsigned most, Site here) {
    unsigned threads = blockDim.x * blockDim.y * blockDim.z;
    if (threads > most)
        fail("launch: a block of " + std::to_string(threads) + " threads, but __launch_bounds__ allows " +
             std::to_string(most) + ", at " + place(here));
}
}  // namespace emu

using namespace emu;

// ---------------------------------------------------------------------------------------------- streams, events

struct CUevent_st {
    uint64_t operation = 0;
    std::shared_ptr<Now::time_point> at;
};

cudaError_t cudaDeviceSynchronize(Site here) {
    if (on_kernel()) refuse(here, "cudaDeviceSynchronize in device code");
    finish_all();
    return cudaPeekAtLastError();
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* s, unsigned flags) {
    *s = cudaStream_t(new char[16]);
    streams()[*s].blocking = flags != cudaStreamNonBlocking;
    return cudaSuccess;
}
cudaError_t cudaStreamCreate(cudaStream_t* s) { return cudaStreamCreateWithFlags(s, cudaStreamDefault); }
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* s, unsigned flags, int) {
    return cudaStreamCreateWithFlags(s, flags);
}
cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
    *least = 0, *greatest = -5;
    return cudaSuccess;
}
static bool exists(cudaStream_t s) { return s == cudaStreamPerThread || streams().count(known(s)); }
cudaError_t cudaStreamDestroy(cudaStream_t s) {
    if (!s || !exists(s)) return failed(cudaErrorInvalidResourceHandle, {}, "a stream that does not exist");
    finish_stream(s);
    streams().erase(s);
    return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t s, Site here) {
    if (!exists(s)) return failed(cudaErrorInvalidResourceHandle, here, "a stream that does not exist");
    finish_stream(s);
    return cudaPeekAtLastError();
}
cudaError_t cudaStreamQuery(cudaStream_t s) {  // a program may ask until it is done
    finish_stream(s);
    return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned) {
    if (e->operation) add(s, {}, "an event", [] {}, {e->operation});
    return cudaSuccess;
}
cudaError_t cudaStreamAddCallback(cudaStream_t s, cudaStreamCallback_t callback, void* data, unsigned) {
    submit(s, {}, "a callback", [=] { callback(s, cudaSuccess, data); });
    return cudaSuccess;
}
cudaError_t cudaLaunchHostFunc(cudaStream_t s, cudaHostFn_t function, void* data) {
    submit(s, {}, "a callback", [=] { function(data); });
    return cudaSuccess;
}
cudaError_t cudaFreeAsync(void* p, cudaStream_t, Site here) { return release(here, p); }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* e, unsigned) {
    *e = new CUevent_st;
    return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* e) { return cudaEventCreateWithFlags(e, 0); }
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s) {
    auto at = e->at = std::make_shared<Now::time_point>();
    e->operation = add(s, {}, "an event", [at] { *at = Now::now(); });
    return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t e) {
    finish(e->operation);
    return cudaPeekAtLastError();
}
cudaError_t cudaEventQuery(cudaEvent_t e) { return cudaEventSynchronize(e); }
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t start, cudaEvent_t end) {
    if (!start->at || !end->at) return failed(cudaErrorInvalidResourceHandle, {}, "an event that was not recorded");
    if (pending.count(start->operation) || pending.count(end->operation)) {
        *ms = 0;
        return cudaErrorNotReady;
    }
    *ms = std::max(1e-3f, std::chrono::duration<float, std::milli>(*end->at - *start->at).count());
    static bool told = false;
    if (!std::exchange(told, true)) note("times are those of the emulator on this processor, not of a GPU");
    return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t e) {
    delete e;
    return cudaSuccess;
}
