// What instrumented code calls.  Kernels compiled with -fsanitize=thread call a __tsan_* function before each access;
// ThreadSanitizer's runtime is not linked: the functions below take its place and tell the checker.
#include "emulator.h"

namespace {
// A plain run is told of accesses only where it has to be compiled so for the volatile ones.
void plain(void* p, size_t bytes, emu::Access kind, const void* where) {
    if (__builtin_expect(emu::options.checking, false)) emu::touch(p, bytes, kind, where);
}

void range(void* p, size_t bytes, emu::Access kind, const void* where) {
    if (!emu::options.checking) return;
    size_t step = bytes % 4 || uintptr_t(p) % 4 ? 1 : 4;
    for (size_t i = 0; i < bytes; i += step) emu::touch(static_cast<char*>(p) + i, step, kind, where);
}

// A volatile access lets the others run: a thread that waits for a flag does not wait alone, and lanes of a warp go in
// step from one volatile access to the next, as code older than Volta wants it.  The checker is told when the thread
// goes on: what it reads then may have been written while the others ran, and it knows of all that came before that.
void polling(void* p, size_t bytes, emu::Access kind, const void* where) {
    if (!emu::on_kernel()) return;
    kind == emu::VOLATILE_READ ? emu::poll(p, where) : emu::give_way();
    emu::touch(p, bytes, kind, where);
}
}  // namespace

#define HOOK(n)                                                                                                 \
    extern "C" void __tsan_read##n(void* p) { plain(p, n, emu::READ, EMU_HERE); }                               \
    extern "C" void __tsan_write##n(void* p) { plain(p, n, emu::WRITE, EMU_HERE); }                             \
    extern "C" void __tsan_unaligned_read##n(void* p) { plain(p, n, emu::READ, EMU_HERE); }                     \
    extern "C" void __tsan_unaligned_write##n(void* p) { plain(p, n, emu::WRITE, EMU_HERE); }                   \
    extern "C" void __tsan_volatile_read##n(void* p) { polling(p, n, emu::VOLATILE_READ, EMU_HERE); }           \
    extern "C" void __tsan_volatile_write##n(void* p) { polling(p, n, emu::VOLATILE_WRITE, EMU_HERE); }         \
    extern "C" void __tsan_unaligned_volatile_read##n(void* p) { polling(p, n, emu::VOLATILE_READ, EMU_HERE); } \
    extern "C" void __tsan_unaligned_volatile_write##n(void* p) { polling(p, n, emu::VOLATILE_WRITE, EMU_HERE); }
HOOK(1) HOOK(2) HOOK(4) HOOK(8) HOOK(16)
extern "C" void __tsan_read_range(void* p, size_t n) { range(p, n, emu::READ, EMU_HERE); }
extern "C" void __tsan_write_range(void* p, size_t n) { range(p, n, emu::WRITE, EMU_HERE); }
extern "C" void __tsan_init() {}
extern "C" void __tsan_func_entry(void*) {}
extern "C" void __tsan_func_exit() {}
extern "C" void __tsan_vptr_update(void*, void*) {}
extern "C" void __tsan_vptr_read(void*) {}

// The host's own atomics (std::atomic, std::shared_ptr) are calls too in instrumented code.
#define ATOMIC_OPERATION(bits, T, operation)                                  \
    extern "C" T __tsan_atomic##bits##_##operation(volatile T* a, T v, int) { \
        return __atomic_##operation(a, v, __ATOMIC_SEQ_CST);                  \
    }
#define ATOMIC_HOOKS(bits, T)                                                                                  \
    extern "C" T __tsan_atomic##bits##_load(const volatile T* a, int) { return __atomic_load_n(a, 5); }        \
    extern "C" void __tsan_atomic##bits##_store(volatile T* a, T v, int) { __atomic_store_n(a, v, 5); }        \
    extern "C" T __tsan_atomic##bits##_exchange(volatile T* a, T v, int) { return __atomic_exchange_n(a, v, 5); } \
    ATOMIC_OPERATION(bits, T, fetch_add)                                                                       \
    ATOMIC_OPERATION(bits, T, fetch_sub)                                                                       \
    ATOMIC_OPERATION(bits, T, fetch_and)                                                                       \
    ATOMIC_OPERATION(bits, T, fetch_or)                                                                        \
    ATOMIC_OPERATION(bits, T, fetch_xor)                                                                       \
    extern "C" int __tsan_atomic##bits##_compare_exchange_strong(volatile T* a, T* c, T v, int, int) {         \
        return __atomic_compare_exchange_n(a, c, v, false, 5, 5);                                              \
    }                                                                                                          \
    extern "C" int __tsan_atomic##bits##_compare_exchange_weak(volatile T* a, T* c, T v, int, int) {           \
        return __atomic_compare_exchange_n(a, c, v, false, 5, 5);                                              \
    }
ATOMIC_HOOKS(8, uint8_t) ATOMIC_HOOKS(16, uint16_t) ATOMIC_HOOKS(32, uint32_t) ATOMIC_HOOKS(64, uint64_t)
extern "C" void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(5); }
extern "C" void __tsan_atomic_signal_fence(int) {}

// -fsanitize=bounds: an index beyond an array of fixed size, a __shared__ one say.
struct UbsanSite {
    const char* file;
    unsigned line, column;
};
static void report(const UbsanSite* s, const std::string& what) {
    if (emu::options.checking && emu::on_kernel()) emu::fail(what + emu::place(emu::Site{s->file, int(s->line)}));
}
extern "C" void __ubsan_handle_out_of_bounds(UbsanSite* s, uintptr_t i) {
    report(s, "out-of-bounds: index " + std::to_string(long(i)) + " is outside its array at ");
}
extern "C" void __ubsan_handle_out_of_bounds_abort(UbsanSite* s, uintptr_t i) { __ubsan_handle_out_of_bounds(s, i); }

// -fsanitize=signed-integer-overflow, of other people's files.
#define OVERFLOWED(operation, what)                                                       \
    extern "C" void __ubsan_handle_##operation##_overflow(UbsanSite* s, void*, void*) { \
        report(s, "overflow: the " what " of two signed integers does not fit their type, at "); \
    }
OVERFLOWED(add, "sum") OVERFLOWED(sub, "difference") OVERFLOWED(mul, "product")
extern "C" void __ubsan_handle_negate_overflow(UbsanSite* s, void*) {
    report(s, "overflow: the negative of a signed integer does not fit its type, at ");
}
extern "C" void __ubsan_handle_divrem_overflow(UbsanSite* s, void*, void*) {
    report(s, "overflow: a division of signed integers by zero, or whose result does not fit, at ");
}
