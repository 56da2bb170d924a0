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
}  // namespace emu

using namespace emu;

// ---------------------------------------------------------------------------------------------- streams, events

struct CUevent_st {
    uint64_t operation = 0;
    std::shared_ptr<Now::time_point> at;
};

cudaError_t cudaDeviceSynchronize(Site here) {
    if (on_kernel()) {
        wait_for_children(here);
        return cudaSuccess;
    }
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
