// A fiber: a stack of its own and the place where it stopped.  Switching costs a few nanoseconds and no system call.
#pragma once
#include <cstddef>

namespace emu {
constexpr size_t STACK = 256 * 1024;    // of address space; memory is taken as it is touched
constexpr size_t ALLOWED = 128 * 1024;  // more is reported

struct Fiber {
    void* sp = nullptr;
    char* stack = nullptr;
    void start(void (*entry)());  // takes a stack; the first resume enters here, which never returns
    void resume();                // run it until it calls pause()
    void finish();                // give the stack back
    bool overflowed() const;      // it used more of its stack than allowed
};
void pause(Fiber& current);  // back to whoever resumed it
}  // namespace emu
