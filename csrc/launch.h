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
#include <sstream>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

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

inline std::ostream& operator<<(std::ostream& out, const Lengths& l) {
    out << '[';
    for (int i = 0; i < l.count; ++i) out << (i ? ", " : "") << l[i];
    return out << ']';
}

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

// Throw std::invalid_argument (Python's ValueError) unless ok: the kernel's name, what it got, what it takes.
template <class... Words>
void require(bool ok, const Words&... words) {
    if (ok) return;
    std::ostringstream message;
    (message << ... << words);
    throw std::invalid_argument(message.str());
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

template <class... P, class... A>
void launch(const char* name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared, cudaStream_t stream,
            A... args) {
    if (!grid.x || !grid.y || !grid.z) return;
    if (grid.y > 65535 || grid.z > 65535)
        throw std::runtime_error(std::string(name) + ": a grid of more than 65535 blocks along y or z");
    auto check = [name](const char* what, cudaError_t e) {
        if (e != cudaSuccess) throw std::runtime_error(std::string(name) + what + ": " + cudaGetErrorString(e));
    };
    if (shared > 48 * 1024)
        check(" cannot have its shared memory",
              cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(shared)));
    kernel<<<grid, block, shared, stream>>>(P(args)...);
    check("", cudaGetLastError());
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

struct Launcher {
    std::string name;
    std::vector<std::string> names;  // of the parameters
    std::vector<Parameter> parameters;
    void (*call)(const Value*, cudaStream_t);
};

std::vector<Launcher>& launchers();  // every bound launcher of the library: bindings.cpp

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
    std::istringstream words(names);
    std::vector<std::string> list;
    for (std::string word; words >> word;) list.push_back(word);
    if (list.size() != S::count)
        throw std::logic_error(std::string(name) + ": BIND names another number of parameters");
    launchers().push_back(
        {name, list, {Describe<typename S::template P<i>>::parameter...}, [](const Value* v, cudaStream_t s) {
             call_bound<function>(v, s, std::index_sequence<i...>());
         }});
    return true;
}
}  // namespace tinymed

// Make a launcher a function of the Python module under its own name.
#define BIND(function, names)                                                                  \
    [[maybe_unused]] static const bool bound_##function = ::tinymed::bind_launcher<&function>( \
        #function, names, std::make_index_sequence<::tinymed::Signature<decltype(&function)>::count>())

using namespace tinymed;
