// Shared by the files of the runtime that runs other people's programs.
#pragma once
#include <functional>
#include <string>

#include "emulator.h"

namespace emu {
// Exit codes of a program that was ended for a reason of ours; else its own code stands.
constexpr int FAULT = 70, REFUSED = 71, HUNG = 72, WRONG_CALL = 73, INTERRUPTED = 130;
[[noreturn]] void end_with(int code, const std::string& what);  // writes the report and ends the process
[[noreturn]] void refuse(Site, const std::string& what);        // it needs what is not supported
void note(const std::string& what);                             // told when the program has ended
int architecture();                                             // 80 for compute capability 8.0
size_t shared_limit(bool opted_in);                             // bytes a block may have

cudaError_t failed(cudaError_t, Site, const std::string& what);  // remembers an error, for cudaGetLastError and a note

struct OpenMemory {  // while one exists, the host side of this process may touch the GPU's memory
    OpenMemory();
    ~OpenMemory();
};
bool is_device(const void*);  // in memory that only a GPU may touch
bool is_pinned(const void*, size_t bytes);
void report_leaks();
std::string outside_device(const void*, size_t bytes);  // why a library on the GPU cannot use this range, or nothing

void wait_for_children(Site);  // of the block whose thread asks
cudaError_t submit(cudaStream_t, Site, const char* what, std::function<void()>);  // done as late as the rules allow
bool captured(cudaStream_t);  // what is submitted becomes a node of a graph
cudaError_t capture_forbids(Site, const char* what, bool relaxed_too = true);  // an error, if a stream is captured
std::function<void()> launch_of(const Call&);  // nothing if it cannot be: then it has failed
cudaError_t finish_stream(cudaStream_t, Site = {});
void finish_all();
size_t unfinished(std::string& first);  // how many operations nobody waited for
}  // namespace emu
