// A fiber: a stack of its own and the place where it stopped.  Switching costs a few nanoseconds and no system call.
#pragma once
#include <cstddef>

namespace emu {
constexpr size_t STACK = 64 * 1024;

struct Fiber {
    void* sp = nullptr;
    char* stack = nullptr;
    void start(void (*entry)());  // takes a stack; the first resume enters here, which never returns
    void resume();                // run it until it calls pause()
    void finish();                // give the stack back
    bool overflowed() const;      // it wrote below its stack
};
void pause(Fiber& current);  // back to whoever resumed it
}  // namespace emu
