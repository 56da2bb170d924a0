// The process that runs someone's program: its options, signals, the watchdog, and the report it leaves.
//     TINYMED_EMULATE="seed check profile architecture patience sample report-file"
#include <dlfcn.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <vector>

#include "image.h"
#include "process.h"

// No __shared__ array lies in a section here: each announces itself.  So the section that shared.ld makes is empty.
extern "C" {
__attribute__((visibility("hidden"))) char __start_emu_shared[1] = {};
extern __attribute__((visibility("hidden"), alias("__start_emu_shared"))) char __stop_emu_shared[1];
}

namespace emu {
static std::string report_file;
static std::vector<std::string> notes;
static int arch = 80;
static unsigned ticks_still;         // seconds that one thread has run without giving way
static uint64_t clock_then, runs_then;
static pid_t owner;

int architecture() { return arch; }

void note(const std::string& what) {
    if (notes.size() < 20 && (notes.empty() || notes.back() != what)) notes.push_back(what);
}

static std::string quoted(const std::string& s) {
    std::string out = "\"";
    for (unsigned char c : s) {
        char escape[8];
        if (c == '"' || c == '\\')
            out += '\\', out += char(c);
        else if (c < 32)
            std::snprintf(escape, sizeof escape, "\\u%04x", c), out += escape;
        else
            out += char(c);
    }
    return out + "\"";
}

static void write_report(int code, const std::string& what) {
    if (report_file.empty() || getpid() != owner) return;
    std::ofstream out(report_file);
    out << "{\"code\": " << code << ", \"what\": " << quoted(what) << ", \"notes\": [";
    for (size_t i = 0; i < notes.size(); ++i) out << (i ? ", " : "") << quoted(notes[i]);
    out << "], \"profile\": [";
    bool first = true;
    for (auto& r : profile_rows()) {
        out << (std::exchange(first, false) ? "" : ", ") << "[" << r.offset << ", " << r.shared << ", " << r.write
            << ", "
            << r.requests << ", " << r.moved << ", " << r.ideal << ", " << r.lanes << "]";
    }
    out << "], \"launches\": " << launches_as_json() << "}\n";
    report_file.clear();
}

void end_with(int code, const std::string& what) {
    std::fflush(nullptr);
    write_report(code, what);
    _exit(code);
}

void refuse(Site where, const std::string& what) {
    end_with(REFUSED, "not supported: " + what + ", at " + place(where));
}

int warp_id() { return current().id / 32; }

void wrong_call(const std::string& what) { end_with(WRONG_CALL, what); }

void trap(const char* what) { fail(std::string("trap: ") + what); }

long long ticks() {
    auto now = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

// ------------------------------------------------------------------------------------------------------- signals

static const void* counter_of(void* context) {
    auto* c = static_cast<ucontext_t*>(context);
#if defined(__x86_64__)
    auto at = c->uc_mcontext.gregs[REG_RIP];
#else
    auto at = c->uc_mcontext.pc;
#endif
    return reinterpret_cast<const char*>(at) + 1;  // place() takes the address after a call
}

static std::string spot(void* context) {
    const void* at = counter_of(context);
    if (in_image(uintptr_t(at))) return place(at);
    return "a function of the C library";
}

static std::string here_in_kernel() {
    return "\n  kernel " + std::string(block.kernel) + ", block " + text(blockIdx) + ", thread " +
           text(current().index);
}

static void on_crash(int signal_number, siginfo_t* info, void* context) {
    const char* address = static_cast<char*>(info->si_addr);
    if (on_kernel()) {
        bool zero = signal_number == SIGFPE, overflow = false;
        if (char* stack = current().fiber.stack) overflow = address >= stack - GUARD && address < stack + GUARD;
        std::string what = zero       ? "arithmetic: an integer division by zero at "
                           : overflow ? "stack: a thread used all of its local memory at "
                                      : "out-of-bounds: an address that no memory has, at ";
        end_with(FAULT, what + spot(context) + here_in_kernel());
    }
    if (signal_number == SIGSEGV && is_device(address))
        end_with(FAULT, "host: code of the host touches " +
                            (array_name(address).empty() ? "memory of the GPU" : array_name(address)) + " at " +
                            spot(context) + "; cudaMemcpy brings it");
    end_with(128 + signal_number, std::string("host: the program itself ended by ") + strsignal(signal_number) +
                                      " at " + spot(context));
}

static void on_interrupt(int, siginfo_t*, void* context) {
    std::string what = "interrupted";
    if (on_kernel()) {
        what += " in a kernel, at " + spot(context);
        std::string waiting = waiting_threads();
        what += here_in_kernel() + "\n  " + waiting;
    }
    end_with(INTERRUPTED, what);
}

// Every second of a kernel: one thread that never gives way would run for ever.
static void on_tick(int, siginfo_t*, void* context) {
    if (!on_kernel()) return;
    bool moved = block.clock != clock_then || resumed() != runs_then;
    clock_then = block.clock, runs_then = resumed();
    ticks_still = moved ? 0 : ticks_still + 1;
    if (ticks_still > 6 * options.patience)
        end_with(HUNG, "hang: one thread has run for " + std::to_string(ticks_still) +
                           " seconds without an end or a barrier, now at " + spot(context) + here_in_kernel() + "\n  " +
                           waiting_threads());
}

void watch_clock(bool on) {
    ticks_still = 0;
    itimerval each{};
    if (on) each.it_interval.tv_sec = each.it_value.tv_sec = 1;
    setitimer(ITIMER_REAL, &each, nullptr);
}

static void handle(int number, void (*function)(int, siginfo_t*, void*), int flags) {
    struct sigaction action {};
    action.sa_sigaction = function;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | flags;
    sigaction(number, &action, nullptr);
}

static void at_end() {
    std::string first;
    if (size_t n = unfinished(first))
        note(std::to_string(n) + " operations were not waited for when the program ended (the first: " + first +
             "), so they were not done: cudaDeviceSynchronize() waits");
    if (options.checking) report_leaks();
    std::fflush(nullptr);
    write_report(0, "");
}

static struct Start {
    Start() {
        owner = getpid();
        const char* given = getenv("TINYMED_EMULATE");
        if (given) {
            std::istringstream words(given);
            words >> options.seed >> options.checking >> options.profile >> arch >> options.patience >> options.sample;
            std::getline(words >> std::ws, report_file);
        }
        options.static_shared = 48 * 1024;
        options.ended_lanes = true;
        static char stack[256 * 1024];
        stack_t other{};
        other.ss_sp = stack, other.ss_size = sizeof stack;
        sigaltstack(&other, nullptr);
        for (int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) handle(number, on_crash, 0);
        handle(SIGINT, on_interrupt, 0);
        handle(SIGTERM, on_interrupt, 0);
        handle(SIGALRM, on_tick, SA_RESTART);
        std::atexit(at_end);
    }
} start;
}  // namespace emu

// assert(): in a kernel it ends the kernel, with the thread's name.
extern "C" void __assert_fail(const char* what, const char* file, unsigned line, const char* function) noexcept {
    emu::Site here{file, int(line)};
    if (emu::on_kernel()) emu::fail("assert: " + std::string(what) + " does not hold at " + emu::place(here));
    std::fprintf(stderr, "%s:%u: %s: Assertion `%s' failed.\n", file, line, function, what);
    std::abort();
}

extern "C" void* emu_malloc(size_t bytes) {
    void* p = malloc(bytes);
    if (emu::on_kernel() && p) emu::add_array("memory of malloc", p, bytes, 4, true, false, false);
    return p;
}
extern "C" void emu_free(void* p) {
    if (emu::on_kernel()) emu::drop_array(p);
    free(p);
}

static void touch_range(const void* p, size_t bytes, emu::Access kind, const void* where) {
    size_t step = bytes % 4 || uintptr_t(p) % 4 ? 1 : 4;
    for (size_t i = 0; i < bytes && emu::on_kernel(); i += step)
        emu::touch(static_cast<const char*>(p) + i, step, kind, where);
}
extern "C" void* emu_memcpy(void* to, const void* from, size_t bytes) {
    touch_range(from, bytes, emu::READ, EMU_HERE);
    touch_range(to, bytes, emu::WRITE, EMU_HERE);
    return memcpy(to, from, bytes);
}
extern "C" void* emu_memset(void* to, int value, size_t bytes) {
    touch_range(to, bytes, emu::WRITE, EMU_HERE);
    return memset(to, value, bytes);
}
