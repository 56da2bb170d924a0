// A fiber: a stack of its own and the place where it stopped.  Switching costs a few nanoseconds and no system call.
#pragma once
#include <cstddef>

namespace emu {
constexpr size_t STACK = 256 * 1024;    // of address space; memory is taken as it is touched
constexpr size_t ALLOWED = 128 * 1024;  // more is reported
constexpr size_t GUARD = 24 * 1024;     // about the low end, that no one may touch

struct Fiber {
    void* sp = nullptr;
    char* stack = nullptr;
    void start(void (*entry)());  // takes a stack; the first resume enters here, which never returns
    void resume();                // run it until one calls pause()
    void finish();                // give the stack back; the fiber may still run on it until it switches
    bool overflowed() const;      // it used more of its stack than allowed
};
void change(Fiber& current, Fiber& next);  // stop here and go on there
void pause(Fiber& current);                // back to whoever called resume()
}  // namespace emu
