// What every kernel file includes: how a kernel is launched, what a launcher takes, and how Python finds it.
//
//     void relu_forward(Out<float> y, In<float> x, cudaStream_t stream) {
//         LAUNCH(kernel, grid, block, 0, stream, y.data, x.data, x.size());
//     }
//     BIND(relu_forward, "y x");
//
// A launcher takes outputs, then workspaces, then inputs, allocates nothing, and ends with the stream.  The same text
// is compiled by nvcc, and by g++ with csrc/emulator first on the include path.
#pragma once
#include <cuda_runtime.h>

#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

namespace tinymed {

// ------------------------------------------------------------------------------------------------- arguments

constexpr int MAX_AXES = 8;

// The lengths of an array's axes; also a Python tuple of integers (a stride, a padding).
struct Lengths {
    int count = 0;
    int64_t length[MAX_AXES] = {};
    int64_t operator[](int axis) const { return length[axis]; }
    int64_t product() const {
        int64_t p = 1;
        for (int i = 0; i < count; ++i) p *= length[i];
        return p;
    }
};

// IN: read only.  MAYBE: None gives a null pointer.  OUT: written completely.  WORK: scratch.  INOUT: updated in place.
enum Mode { IN, MAYBE, OUT, WORK, INOUT };

// A dense array in C order of its memory: images arrive as N, H, W, C and filters as H, W, I, O.
template <class T, Mode mode>
struct Array {
    T* data = nullptr;
    Lengths shape;
    int64_t size() const { return shape.product(); }
    int length(int axis) const { return int(shape[axis]); }
    bool aligned(size_t bytes) const { return reinterpret_cast<uintptr_t>(data) % bytes == 0; }
    explicit operator bool() const { return data != nullptr; }
};
template <class T>
using In = Array<const T, IN>;
template <class T>
using Maybe = Array<const T, MAYBE>;
template <class T>
using Out = Array<T, OUT>;
template <class T>
using Work = Array<T, WORK>;
template <class T>
using InOut = Array<T, INOUT>;

// A word of an error's message.  What is done with it is in launch.cpp: a kernel file includes no strings and streams,
// which every one of a compiler's passes over it would read again.
struct Word {
    enum Kind { TEXT, INTEGER, NUMBER, LENGTHS } kind;
    const char* text = nullptr;
    int64_t integer = 0;
    double number = 0;
    Lengths lengths;
    Word(const char* text) : kind(TEXT), text(text) {}
    Word(const Lengths& lengths) : kind(LENGTHS), lengths(lengths) {}
    template <class T, std::enable_if_t<std::is_integral_v<T>, int> = 0>
    Word(T n) : kind(INTEGER), integer(int64_t(n)) {}
    Word(double number) : kind(NUMBER), number(number) {}
};

[[noreturn]] void refuse(const Word* words, int count);  // by std::invalid_argument, Python's ValueError

// Refuse the call unless ok: the kernel's name, what it got, what it takes.
template <class... Words>
void require(bool ok, const Words&... words) {
    if (ok) return;
    const Word message[] = {Word(words)...};
    refuse(message, int(sizeof...(words)));
}

// Blocks of `each` that cover n elements; a grid with a zero launches nothing.
inline unsigned blocks(int64_t n, int64_t each) { return unsigned((n + each - 1) / each); }

// -------------------------------------------------------------------------------------------------- launching

#ifdef TINYMED_EMULATED
#define DYNAMIC_SHARED(T, name) T* name = static_cast<T*>(emu::dynamic_shared())

template <class... P, class... A>
void launch(const char* name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared, cudaStream_t, A... args) {
    if (!grid.x || !grid.y || !grid.z) return;
    struct Call {
        void (*kernel)(P...);
        std::tuple<P...> args;
    } call{kernel, {P(args)...}};
    emu::run(
        name, grid, block, shared,
        [](void* c) {
            auto* call = static_cast<Call*>(c);
            std::apply(call->kernel, call->args);
        },
        &call, sizeof call);
}
#elif defined(__CUDACC__)
#define DYNAMIC_SHARED(T, name)                                           \
    extern __shared__ __align__(16) unsigned char dynamic_shared_bytes[]; \
    T* name = reinterpret_cast<T*>(dynamic_shared_bytes)

// Prepare a launch, which may have no block; std::runtime_error where the device cannot run it.
bool launchable(const char* name, const void* kernel, dim3 grid, size_t shared);
void check_launched(const char* name);  // std::runtime_error where the last launch failed

template <class... P, class... A>
void launch(const char* name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared, cudaStream_t stream,
            A... args) {
    if (!launchable(name, reinterpret_cast<const void*>(kernel), grid, shared)) return;
    kernel<<<grid, block, shared, stream>>>(P(args)...);
    check_launched(name);
}
#endif
// LAUNCH(kernel, grid, block, shared bytes, stream, arguments...); a template's name goes in parentheses.
#define LAUNCH(kernel, ...) ::tinymed::launch(#kernel, kernel, __VA_ARGS__)

// ---------------------------------------------------------------------------------------------------- binding

struct Value {  // one argument on its way from Python
    void* data = nullptr;
    Lengths lengths;
    int64_t integer = 0;
    double number = 0;
};

struct Parameter {
    enum Kind { ARRAY, INTEGER, NUMBER, LENGTHS } kind;
    Mode mode = IN;
    char type = 'f';  // NumPy's kind of element: f, i, u, b
    int bytes = 4;
};

template <class P>
struct Describe;
template <class T, Mode mode>
struct Describe<Array<T, mode>> {
    using U = std::remove_const_t<T>;
    static constexpr char type = std::is_floating_point_v<U> ? 'f'
                                 : std::is_same_v<U, bool>   ? 'b'
                                 : std::is_signed_v<U>       ? 'i'
                                                             : 'u';
    static constexpr Parameter parameter{Parameter::ARRAY, mode, type, int(sizeof(T))};
    static Array<T, mode> get(const Value& v) { return {static_cast<T*>(v.data), v.lengths}; }
};
template <>
struct Describe<Lengths> {
    static constexpr Parameter parameter{Parameter::LENGTHS};
    static Lengths get(const Value& v) { return v.lengths; }
};
template <>
struct Describe<float> {
    static constexpr Parameter parameter{Parameter::NUMBER};
    static float get(const Value& v) { return float(v.number); }
};
template <>
struct Describe<double> {
    static constexpr Parameter parameter{Parameter::NUMBER};
    static double get(const Value& v) { return v.number; }
};
template <>
struct Describe<int64_t> {
    static constexpr Parameter parameter{Parameter::INTEGER};
    static int64_t get(const Value& v) { return v.integer; }
};
template <>
struct Describe<int> {
    static constexpr Parameter parameter{Parameter::INTEGER};
    static int get(const Value& v) { return int(v.integer); }
};
template <>
struct Describe<bool> {
    static constexpr Parameter parameter{Parameter::INTEGER};
    static bool get(const Value& v) { return v.integer != 0; }
};

using Bound = void (*)(const Value*, cudaStream_t);
bool add_launcher(const char* name, const char* names, const Parameter* parameters, int count, Bound call);

template <class F>
struct Signature;
template <class... A>
struct Signature<void (*)(A...)> {
    static constexpr size_t count = sizeof...(A) - 1;  // the last is the stream
    using All = std::tuple<A...>;
    template <size_t i>
    using P = std::tuple_element_t<i, All>;
    static_assert(std::is_same_v<P<count>, cudaStream_t>, "a launcher ends with the stream");
};

template <auto function, size_t... i>
void call_bound(const Value* v, cudaStream_t stream, std::index_sequence<i...>) {
    using S = Signature<decltype(function)>;
    function(Describe<typename S::template P<i>>::get(v[i])..., stream);
}

template <auto function, size_t... i>
bool bind_launcher(const char* name, const char* names, std::index_sequence<i...>) {
    using S = Signature<decltype(function)>;
    const Parameter parameters[] = {Describe<typename S::template P<i>>::parameter...};
    return add_launcher(name, names, parameters, int(S::count), [](const Value* v, cudaStream_t stream) {
        call_bound<function>(v, stream, std::index_sequence<i...>());
    });
}
}  // namespace tinymed

// Make a launcher a function of the Python module under its own name.
#define BIND(function, names)                                                                  \
    [[maybe_unused]] static const bool bound_##function = ::tinymed::bind_launcher<&function>( \
        #function, names, std::make_index_sequence<::tinymed::Signature<decltype(&function)>::count>())

using namespace tinymed;
