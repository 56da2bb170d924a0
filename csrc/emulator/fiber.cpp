// Switching stacks: save the registers that a call must keep, exchange the stack pointer, return.
#include "fiber.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <new>
#include <vector>

extern "C" __attribute__((visibility("hidden"))) void emu_switch(void** save_sp, void* load_sp);
#if defined(__x86_64__)
asm(R"(
    .text
    .globl emu_switch
    .hidden emu_switch
    .type emu_switch,@function
emu_switch:
    push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15
    mov %rsp, (%rdi)
    mov %rsi, %rsp
    pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp
    ret
    .size emu_switch,.-emu_switch
)");
constexpr int FRAME = 8, RETURN_SLOT = 6;  // words below the top of a fresh stack
#elif defined(__aarch64__)
asm(R"(
    .text
    .globl emu_switch
    .hidden emu_switch
    .type emu_switch,@function
emu_switch:
    sub sp, sp, #160
    stp x19, x20, [sp]; stp x21, x22, [sp, #16]; stp x23, x24, [sp, #32]; stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]; stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]; stp d10, d11, [sp, #112]; stp d12, d13, [sp, #128]; stp d14, d15, [sp, #144]
    mov x9, sp; str x9, [x0]; mov sp, x1
    ldp x19, x20, [sp]; ldp x21, x22, [sp, #16]; ldp x23, x24, [sp, #32]; ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]; ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]; ldp d10, d11, [sp, #112]; ldp d12, d13, [sp, #128]; ldp d14, d15, [sp, #144]
    add sp, sp, #160
    ret
    .size emu_switch,.-emu_switch
)");
constexpr int FRAME = 20, RETURN_SLOT = 11;
#else
#error "the emulator switches stacks on x86-64 and AArch64 only"
#endif

namespace emu {
constexpr uint64_t CANARY = 0x71e57ac4ba5e0000;
// Stacks begin at different places in their pages, or the few lines that a waiting thread needs would all lie in the
// same sets of the cache.
constexpr size_t COLOURS = 64, COLOUR = 5 * 64;
static_assert(COLOURS * COLOUR <= GUARD);
static void* resumer_sp;
static std::vector<char*> free_stacks;  // kept between launches

static uint64_t& canary(char* stack) { return *reinterpret_cast<uint64_t*>(stack + STACK - ALLOWED); }

static char* new_stack() {
    static size_t made;
    size_t bytes = STACK + COLOURS * COLOUR;
    void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) throw std::bad_alloc();
    mprotect(p, GUARD, PROT_NONE);  // beyond it lies another's stack
    return static_cast<char*>(p) + made++ % COLOURS * COLOUR;
}

void Fiber::start(void (*entry)()) {
    if (free_stacks.empty()) free_stacks.push_back(new_stack());
    stack = free_stacks.back();
    free_stacks.pop_back();
    canary(stack) = CANARY;
    void** top = reinterpret_cast<void**>((uintptr_t(stack) + STACK) & ~uintptr_t(63));
    void** frame = top - FRAME;
    std::fill(frame, top, nullptr);
    frame[RETURN_SLOT] = reinterpret_cast<void*>(entry);
    sp = frame;
}

void Fiber::resume() {
    void* outer = resumer_sp;  // of a launch that waits for this one
    emu_switch(&resumer_sp, sp);
    resumer_sp = outer;
}

void Fiber::finish() {
    if (stack) free_stacks.push_back(stack);
    stack = nullptr;
}

bool Fiber::overflowed() const { return canary(stack) != CANARY; }

void change(Fiber& current, Fiber& next) { emu_switch(&current.sp, next.sp); }

void pause(Fiber& current) { emu_switch(&current.sp, resumer_sp); }
}  // namespace emu
