// Streams and events.  What is submitted is done when someone waits for it, as late as the rules allow: a program that
// forgets to wait sees its old bytes, as it may on a GPU.
#include <chrono>
#include <map>
#include <set>
#include <vector>

#include "graphs.h"

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
    cudaGraph_t graph = nullptr;            // that its work becomes a part of, while it is captured
    std::vector<cudaGraphNode_t> ends = {};  // what its next node waits for
    bool began = false;                     // the capture, which has to end in the same stream
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

bool captured(cudaStream_t stream) { return streams()[known(stream)].graph; }

cudaError_t capture_forbids(Site here, const char* what, bool relaxed_too) {
    cudaError_t error = cudaSuccess;
    for (auto& [stream, s] : streams())
        if (s.graph && (relaxed_too || !s.graph->relaxed)) {
            s.graph->spoilt = true;
            error = cudaErrorStreamCaptureUnsupported;
        }
    return error ? failed(error, here, std::string(what) + " while a stream is captured") : error;
}

cudaError_t submit(cudaStream_t stream, Site where, const char* what, std::function<void()> run) {
    Stream& mine = streams()[stream = known(stream)];
    if (mine.graph) {
        mine.ends = {mine.graph->add(where, std::move(run), mine.ends)};
        return cudaSuccess;
    }
    if (!stream)
        for (auto& [other, s] : streams())
            if (s.graph && s.blocking) {
                s.graph->spoilt = true;
                return failed(cudaErrorStreamCaptureImplicit, where, std::string(what) + " in the default stream");
            }
    add(stream, where, what, std::move(run));
    if (pending.size() > 2000) finish(pending.begin()->first);
    return cudaSuccess;
}
cudaError_t finish_stream(cudaStream_t stream, Site here) {
    if (captured(stream)) return capture_forbids(here, "waiting for a stream");
    finish(streams()[known(stream)].last);
    return cudaSuccess;
}
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
    cudaGraph_t graph = nullptr;  // of the capture that it was recorded in
    std::vector<cudaGraphNode_t> ends = {};
    std::shared_ptr<Now::time_point> at;
};

cudaError_t cudaDeviceSynchronize(Site here) {
    if (on_kernel()) {
        wait_for_children(here);
        return cudaSuccess;
    }
    if (cudaError_t error = capture_forbids(here, "waiting for the GPU")) return error;
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
    cudaError_t error = finish_stream(s, here);
    return error ? error : cudaPeekAtLastError();
}
cudaError_t cudaStreamQuery(cudaStream_t s) { return finish_stream(s); }  // a program may ask until it is done
static bool open_capture(cudaGraph_t graph) {
    for (auto& [stream, s] : streams())
        if (graph && s.graph == graph) return true;
    return false;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned) {
    Stream& mine = streams()[known(s)];
    if (e->graph && !open_capture(e->graph)) return failed(cudaErrorCapturedEvent, {}, "cudaStreamWaitEvent");
    if (e->graph && !known(s)) return failed(cudaErrorStreamCaptureImplicit, {}, "cudaStreamWaitEvent");
    if (e->graph && mine.graph && mine.graph != e->graph)
        return failed(cudaErrorStreamCaptureMerge, {}, "cudaStreamWaitEvent");
    if (mine.graph && !e->graph && e->operation)
        return failed(cudaErrorStreamCaptureIsolation, {}, "cudaStreamWaitEvent");
    if (e->graph) {
        mine.graph = e->graph;
        mine.ends.insert(mine.ends.end(), e->ends.begin(), e->ends.end());
    } else if (e->operation) {
        add(s, {}, "an event", [] {}, {e->operation});
    }
    return cudaSuccess;
}
cudaError_t cudaStreamAddCallback(cudaStream_t s, cudaStreamCallback_t callback, void* data, unsigned) {
    return submit(s, {}, "a callback", [=] { callback(s, cudaSuccess, data); });
}
cudaError_t cudaLaunchHostFunc(cudaStream_t s, cudaHostFn_t function, void* data) {
    return submit(s, {}, "a callback", [=] { function(data); });
}
cudaError_t emu::allocate_async(const char* call, Site here, void** p, size_t bytes, cudaStream_t s) {
    if (captured(s)) refuse(here, "cudaMallocAsync while its stream is captured");
    return allocate(call, here, p, bytes);
}
cudaError_t cudaFreeAsync(void* p, cudaStream_t s, Site here) {
    if (captured(s)) refuse(here, "cudaFreeAsync while its stream is captured");
    return release(here, p);
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* e, unsigned) {
    *e = new CUevent_st;
    return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* e) { return cudaEventCreateWithFlags(e, 0); }
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s) {
    Stream& mine = streams()[known(s)];
    e->graph = mine.graph, e->ends = mine.ends;
    if (mine.graph) {
        e->operation = 0, e->at = nullptr;
        return cudaSuccess;
    }
    auto at = e->at = std::make_shared<Now::time_point>();
    e->operation = add(s, {}, "an event", [at] { *at = Now::now(); });
    return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t e) {
    if (e->graph) return failed(cudaErrorCapturedEvent, {}, "waiting for an event");
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

// ----------------------------------------------------------------------------------------------- capture of a stream

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode, Site here) {
    if (!known(stream)) return failed(cudaErrorStreamCaptureUnsupported, here, "the capture of the default stream");
    Stream& mine = streams()[stream];
    if (mine.graph) return failed(cudaErrorIllegalState, here, "the capture of a stream that is captured already");
    mine.graph = new CUgraph_st, mine.began = true;
    mine.graph->relaxed = mode == cudaStreamCaptureModeRelaxed;
    return cudaSuccess;
}

// The stream's last node waits, by way of others, for all that was captured in other streams.
static bool joined(const Stream& mine) {
    std::set<cudaGraphNode_t> known_to;
    auto open = mine.ends;
    while (!open.empty()) {
        auto node = open.back();
        open.pop_back();
        if (known_to.insert(node).second) open.insert(open.end(), node->after.begin(), node->after.end());
    }
    for (auto& [stream, s] : streams())
        for (auto node : s.ends)
            if (s.graph == mine.graph && !known_to.count(node)) return false;
    return true;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* made, Site here) {
    Stream& mine = streams()[known(stream)];
    *made = nullptr;
    if (!mine.graph) return failed(cudaErrorIllegalState, here, "the end of a capture that was not begun");
    if (!mine.began) return failed(cudaErrorStreamCaptureUnmatched, here, "the end of a capture");
    cudaGraph_t graph = mine.graph;
    cudaError_t error = graph->spoilt    ? cudaErrorStreamCaptureInvalidated
                        : !joined(mine) ? cudaErrorStreamCaptureUnjoined
                                         : cudaSuccess;
    for (auto& [other, s] : streams())
        if (s.graph == graph) s.graph = nullptr, s.ends.clear(), s.began = false;
    if (error) return failed(error, here, "the end of a capture");
    *made = graph;
    return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
    Stream& mine = streams()[known(stream)];
    *status = !mine.graph           ? cudaStreamCaptureStatusNone
              : mine.graph->spoilt ? cudaStreamCaptureStatusInvalidated
                                    : cudaStreamCaptureStatusActive;
    return cudaSuccess;
}
